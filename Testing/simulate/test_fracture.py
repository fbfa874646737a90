"""Simulated fractures and their mimics, on the built-in vertebrae."""

from __future__ import annotations

import json
import time
from functools import cache

import numpy as np
import pytest
import torch
from neckfrac.anatomy import LEVEL_NAMES
from neckfrac.errors import InputError
from neckfrac_lab.simulate.built_in.layout import frame_of, lay_out
from neckfrac_lab.simulate.built_in.morphometry import draw_person
from neckfrac_lab.simulate.built_in.parametric import build_vertebra
from neckfrac_lab.simulate.fractures.fracture import (
    FRACTURED_LEVELS,
    FRACTURED_PATIENTS,
    KINDS,
    MIMICS,
    draw_fractured_levels,
    make_fracture,
    make_mimic,
    parse_fracture,
    random_fracture,
    random_mimic,
)
from neckfrac_lab.simulate.neck import DISTANCE_SCALE
from scipy import ndimage

STEP = 1.0  # mm; a voxel is one mm³
LEVELS = ("C1", "C2", "C5", "C7")
CASES = [(level, kind) for level in LEVELS for kind in KINDS if level in KINDS[kind].levels]
MIMIC_CASES = [(level, kind) for level in LEVELS for kind in MIMICS if level in MIMICS[kind].levels]


class Vertebra:
    """One vertebra and the points of a lattice within 4 mm of its bone, in its own axes."""

    def __init__(self, level: str) -> None:
        person = draw_person(None)
        place = lay_out(person).places[level]
        self.bone, self.frame = build_vertebra(place, person), frame_of(place, person)
        ends = np.array(self.bone.distance.shape[::-1]) * self.bone.spacing
        corners = np.array(np.meshgrid(*[(0, n) for n in ends])).reshape(3, -1).T + self.bone.origin
        local = self.frame.to_local(corners)
        axes = [np.arange(a, b, STEP) for a, b in zip(local.min(0), local.max(0), strict=True)]
        lattice = torch.tensor(np.stack(np.meshgrid(*axes, indexing="ij"), -1), dtype=torch.float32)
        self.points = lattice[self.distance(lattice) < 4]
        self.solid = self.distance(self.points)

    def distance(self, local: torch.Tensor) -> torch.Tensor:
        """Signed distance (mm) of points in the vertebra's axes."""
        lps = local.double().numpy() @ np.array(self.frame.axes) + np.array(self.frame.center)
        index = (lps - np.array(self.bone.origin)) / self.bone.spacing
        values = ndimage.map_coordinates(
            self.bone.distance.astype(np.float32), np.moveaxis(index[..., ::-1], -1, 0), order=1, cval=126
        )
        return torch.from_numpy(values / DISTANCE_SCALE)

    def broken(self, effect) -> torch.Tensor:
        """Signed distance of the bone after the effect, as the renderer combines them."""
        moved = self.distance(self.points + effect.displacement)
        if effect.added is not None:
            moved = torch.minimum(moved, effect.added)
        return torch.maximum(moved, -effect.gap)


vertebra = cache(Vertebra)


@pytest.mark.parametrize(("level", "kind"), CASES)
def test_every_kind_hits_bone_at_every_seed_and_severity(level, kind):
    here = vertebra(level)
    for seed, severity in ((1, 0.0), (2, 0.3), (3, 1.0), (4, None)):
        effect = make_fracture(level, kind, here.frame, seed=seed, severity=severity)(here.points)
        truth = int(((effect.region > 0.5) & (here.solid < 0.5)).sum())
        changed = int(((here.broken(effect) < 0) != (here.solid < 0)).sum())
        assert 40 < truth < 0.45 * int((here.solid < 0.5).sum()), (seed, truth)
        assert severity == 0.0 or changed > 5, (seed, changed)


@pytest.mark.parametrize(("level", "kind"), CASES)
def test_displacement_stays_within_bounds_and_far_from_the_fracture_most_bone_stays(level, kind):
    here = vertebra(level)
    bone = here.solid < 0
    for seed in (5, 6):
        effect = make_fracture(level, kind, here.frame, seed=seed, severity=1.0)(here.points)
        moved = effect.displacement.norm(dim=-1)
        assert float(moved[bone].max()) < 9.0
        # The main fragment, with most of the bone, doesn't move at all.
        # (of Jefferson's fracture both lateral masses do).
        share = {"jefferson": 0.1, "hangman": 0.3}.get(kind, 0.5)
        assert float((moved[bone] == 0).float().mean()) > share
        # What the gap and the moved pieces leave is still about the same amount of bone.
        left = int((here.broken(effect) < 0).sum()) / int(bone.sum())
        assert 0.7 < left < 1.2


def test_a_fragment_moves_as_a_rigid_body():
    here = vertebra("C7")
    effect = make_fracture("C7", "spinous", here.frame, seed=3, severity=1.0)(here.points)
    source = here.points + effect.displacement
    moved = effect.displacement.norm(dim=-1) > 0
    points, sources = here.points[moved][::10].double(), source[moved][::10].double()
    assert len(points) > 50
    assert torch.allclose(torch.cdist(points, points), torch.cdist(sources, sources), atol=1e-3)


def test_a_hairline_displaces_nothing():
    for level, kind in CASES:
        if kind in ("compression", "burst"):
            continue
        here = vertebra(level)
        effect = make_fracture(level, kind, here.frame, seed=2, severity=0.0)(here.points[::9])
        assert float(effect.displacement.abs().max()) == 0.0, (level, kind)


def test_severity_sets_the_height_that_a_compressed_body_loses():
    here = vertebra("C5")
    width, depth, height = here.frame.half_size
    column = torch.zeros(2001, 3)
    column[:, 1], column[:, 2] = -0.8 * depth, torch.linspace(-1.5 * height, 1.5 * height, 2001)
    for severity, loss in ((0.0, 0.10), (0.5, 0.30), (1.0, 0.50)):
        field = make_fracture("C5", "compression", here.frame, seed=8, severity=severity)
        assert field.parameters["height_loss"] == pytest.approx(loss)
        source = column[:, 2] + field(column).displacement[:, 2]
        assert (source.diff() > 0).all()  # nothing folds over
        top = float(column[:, 2][source > height][0])
        # The endplate is uneven: a third more or less.
        assert 0.6 * loss < (height - top) / (2 * height) < 1.35 * loss


@pytest.mark.parametrize(("level", "kind"), MIMIC_CASES)
def test_mimics_change_the_picture_and_leave_the_truth_empty(level, kind):
    here = vertebra(level)
    near = here.solid < 1.0
    for seed in (1, 2, 3):
        effect = make_mimic(level, kind, here.frame, seed=seed)(here.points)
        assert float(effect.region.max()) == 0.0
        carved = int(((effect.gap < 0.3) & near).sum())
        grown = 0 if effect.added is None else int(((effect.added < 0) & (here.solid > 0)).sum())
        hardened = 0 if effect.sclerosis is None else int(((effect.sclerosis > 30) & near).sum())
        assert carved + grown + hardened > 3, seed


def test_the_same_seed_gives_the_same_fracture_and_another_seed_another():
    here = vertebra("C5")
    points = here.points[::4]
    for make, kinds in ((make_fracture, KINDS), (make_mimic, MIMICS)):
        for kind in (kind for kind in kinds if "C5" in kinds[kind].levels):
            first, second, other = (make("C5", kind, here.frame, seed=seed) for seed in (11, 11, 12))
            assert first.parameters == second.parameters
            a, b, c = first(points), second(points), other(points)
            assert torch.equal(a.displacement, b.displacement) and torch.equal(a.gap, b.gap)
            same = [x is None or torch.equal(x, y) for x, y in ((a.gap, c.gap), (a.added, c.added),
                                                              (a.sclerosis, c.sclerosis))]
            assert not all(same), kind


def test_parameters_of_every_kind_can_be_written_as_json():
    for level, kind in CASES:
        field = make_fracture(level, kind, vertebra(level).frame, seed=1)
        assert json.loads(json.dumps(field.parameters))["seed"] == 1
        assert (field.level, field.kind) == (level, kind)


def test_random_kinds_are_possible_at_their_level_and_vary():
    for level in LEVELS:
        frame = vertebra(level).frame
        kinds = {random_fracture(level, frame, seed=seed).kind for seed in range(40)}
        assert len(kinds) >= 3 and all(level in KINDS[kind].levels for kind in kinds)
        mimics = {random_mimic(level, frame, seed=seed).kind for seed in range(40)}
        assert len(mimics) >= 2 and all(level in MIMICS[kind].levels for kind in mimics)


@pytest.mark.parametrize(
    ("text", "result"), [("C2:odontoid-2", ("C2", "odontoid-2")), (" c7:Spinous ", ("C7", "spinous")),
                         ("C1:anterior_arch", ("C1", "anterior-arch"))]
)
def test_a_fracture_is_read_from_its_name(text, result):
    assert parse_fracture(text) == result


@pytest.mark.parametrize(
    ("text", "listed"),
    [("C2", "C2:odontoid-2"), ("C9:spinous", "C1, C2, C3"), ("C2:jefferson", "hangman"), ("C7:", "spinous"),
     ("", "C7:")],
)
def test_a_wrong_name_is_refused_with_what_is_possible(text, listed):
    with pytest.raises(InputError, match=listed):
        parse_fracture(text)


def test_a_kind_at_the_wrong_level_is_refused():
    with pytest.raises(InputError, match="C5 has no fracture 'hangman'"):
        make_fracture("C5", "hangman", vertebra("C5").frame, seed=0)
    with pytest.raises(InputError, match="Possible at C1"):
        make_mimic("C1", "schmorl-node", vertebra("C1").frame, seed=0)


def test_levels_break_as_often_as_in_the_rsna_data():
    generator = np.random.default_rng(0)
    drawn = [draw_fractured_levels(generator) for _ in range(4000)]
    for level, count in zip(LEVEL_NAMES, FRACTURED_LEVELS, strict=True):
        share = np.mean([level in levels for levels in drawn])
        assert share == pytest.approx(count / FRACTURED_PATIENTS, abs=0.035)
    numbers = np.array([len(levels) for levels in drawn])
    assert numbers.min() == 1 and 0.55 < (numbers == 1).mean() < 0.72 and (numbers >= 4).mean() < 0.05
    assert all(levels == sorted(levels) for levels in drawn)


def test_a_million_points_take_a_few_seconds_at_most():
    here = vertebra("C5")
    points = (torch.rand(1_000_000, 3, generator=torch.Generator().manual_seed(0)) - 0.5) * torch.tensor([60.0, 60, 30])
    began = time.process_time()
    make_fracture("C5", "burst", here.frame, seed=1, severity=1.0)(points)
    assert time.process_time() - began < 5

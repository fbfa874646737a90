"""Measuring explanations: on vertebrae and networks made by hand, where it is known what explains the answer."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from neckfrac import cli
from neckfrac.errors import InputError
from neckfrac.options import GRAD_CAM, SMOOTH_GRAD
from neckfrac.pipeline.engine import Networks
from neckfrac_lab.evaluation import explanations
from neckfrac_lab.evaluation.explanation_cases import (
    Vertebra,
    cached,
    deleted,
    neighbourhood,
    on_fracture,
    patchy,
    vertebra_from,
)
from neckfrac_lab.evaluation.explanations import (
    CONTROL,
    TRAINED,
    deletion,
    evaluate_explanations,
    heat_of,
    logit_of,
    placed,
    with_random_weights,
)
from torch import nn

pytestmark = pytest.mark.usefixtures("one_thread")
MEMBER = "tiny-vertebrae"
SHAPE, LEVEL = (28, 64, 64), 3
BREAK = (slice(10, 14), slice(34, 42), slice(34, 42))  # voxels [z, y, x]
METHODS = ("heat", GRAD_CAM, SMOOTH_GRAD)


class SeesDark(nn.Module):
    """A stand-in that calls a vertebra broken by how much of its mask is darker than bone, and knows where that is."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(4, 2, 1), nn.ReLU(), nn.AvgPool2d(4))
        self.encoder[0].weight.data = torch.tensor([[-1.0, 0.0, 0.0, 1.0], [0.0, 0.0, 0.0, 1.0]])[..., None, None]
        self.encoder[0].bias.data = torch.tensor([-1.0, 0.0])

    def forward(self, images):
        maps = self.encoder(images.flatten(0, 1)).unflatten(0, images.shape[:2])[:, :, 0]
        return {"logit": 4 * maps.sum(dim=(1, 2, 3)) - 2, "heat": 40 * maps - 5}


def sample(broken: bool, seed: int = 0):
    """A C3 of 400 HU in tissue of 40 HU; a break in it is as dark as the tissue. Below it a dark C4 that is whole."""
    generator = np.random.default_rng(seed)
    hu, labels = np.full(SHAPE, 40.0), np.zeros(SHAPE, np.uint8)
    labels[6:22, 16:48, 16:48], labels[1:5, 16:48, 16:48] = LEVEL, LEVEL + 1
    hu[labels == LEVEL] = 400
    fracture = np.zeros(SHAPE, np.uint8)
    if broken:
        hu[BREAK], fracture[BREAK] = 40, LEVEL
    return {
        "hu": (hu + generator.normal(0, 5, SHAPE)).astype(np.int16),
        "labels": labels,
        "fracture": fracture,
        "level": np.int64(LEVEL),
        "kind": np.array("teardrop" if broken else ""),
        "severity": np.float32(0.5 * broken),
    }


@pytest.fixture(scope="module")
def vertebra() -> Vertebra:
    return vertebra_from(sample(broken=True))


@pytest.fixture(scope="module")
def networks(models):
    """Networks whose member for vertebrae is the stand-in that goes by darkness."""
    networks = Networks(models, "cpu")
    networks.networks[MEMBER] = SeesDark().eval()
    return networks


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    """A cache with two held-out pairs, a pair that training sees, and a broken vertebra without its intact partner."""
    folder = tmp_path_factory.mktemp("vertebrae")
    for seed in (18, 19, 38, 39, 20, 21, 59):
        with (folder / f"{seed:08d}.npz").open("wb") as file:
            np.savez(file, **sample(bool(seed % 2), seed))
    return folder


def test_a_sample_becomes_its_own_vertebra_alone(vertebra):
    assert vertebra.name == "C3" and vertebra.fractured and vertebra.kind == "teardrop"
    assert set(np.unique(vertebra.segmented.labels)) == {0, LEVEL}
    assert not vertebra_from(sample(broken=False)).fractured


def test_what_counts_as_on_the_fracture_is_its_box_and_3_mm_about_it(vertebra):
    near, box = on_fracture(vertebra.fracture)
    assert np.array_equal(box, vertebra.fracture)  # this break is a box
    assert near[BREAK].all() and near[7, 38, 38] and not near[6, 38, 38]  # slices are 1 mm
    assert near[12, 38, 46] and not near[12, 38, 47]  # columns 0.6 mm


@pytest.mark.parametrize("fraction", [0.1, 0.3])
def test_deleting_touches_so_many_voxels_of_the_vertebra_and_none_beside_it(vertebra, fraction):
    hu, mask = vertebra.segmented.hu, vertebra.mask
    order = np.random.default_rng(1).random(SHAPE)
    result = deleted(hu, mask, order, fraction)
    limit = np.sort(order[mask])[-round(fraction * mask.sum())]
    assert np.array_equal(result[~(mask & (order >= limit))], hu[~(mask & (order >= limit))])
    assert (result != hu).sum() > 0.8 * fraction * mask.sum()  # some have the mean's HU already


def test_deleting_fills_with_the_bone_about_and_not_with_what_lies_outside(vertebra):
    whole = deleted(vertebra.segmented.hu, vertebra.mask, np.ones(SHAPE), 1.0)[vertebra.mask]
    assert whole.min() > 200  # in the middle of the break; tissue is 40
    assert np.median(whole) == pytest.approx(400, abs=15)


def test_random_patches_delete_as_many_voxels_but_together(vertebra):
    generator = np.random.default_rng(0)
    patches, grains = patchy(SHAPE, generator), generator.random(SHAPE)

    def neighbours(order):
        gone = deleted(vertebra.segmented.hu, vertebra.mask, order, 0.2) != vertebra.segmented.hu
        return (gone[:, :, 1:] & gone[:, :, :-1]).sum() / gone.sum()

    assert neighbours(patches) > 0.6 > 0.4 > neighbours(grains)


@pytest.mark.parametrize("method", METHODS)
def test_deleting_the_decisive_place_lowers_the_answer_more_than_deleting_at_random(vertebra, networks, method):
    before = logit_of(vertebra, networks, MEMBER)
    hot = deletion(vertebra, heat_of(vertebra, networks, MEMBER, method), networks, MEMBER)
    orders = [patchy(SHAPE, np.random.default_rng(n)) for n in range(4)]
    random = np.mean([deletion(vertebra, order, networks, MEMBER) for order in orders], axis=0)
    assert all(before - a > 2 * (before - b) for a, b in zip(hot, random, strict=True))
    assert before - hot[0] > 0.2


@pytest.mark.parametrize("method", METHODS)
def test_heat_of_a_network_that_sees_the_break_lies_on_it(vertebra, networks, method):
    near, box = on_fracture(vertebra.fracture)
    heat = heat_of(vertebra, networks, MEMBER, method)
    assert not heat[~neighbourhood(vertebra)].any()
    figures = placed(heat, box, near)
    assert figures["points at box"] and figures["points near"] and figures["near"] > 0.6 > 0.2 > near.mean()


def test_no_heat_is_no_hit():
    corner = np.zeros((4, 4, 4), bool)
    corner[0, 0, 0] = True
    expected = {"box": 0.0, "near": 0.0, "points at box": False, "points near": False}
    assert placed(np.zeros((4, 4, 4), np.float32), corner, corner) == expected


def test_the_control_is_another_network_of_the_same_make(models):
    networks = Networks(models, "cpu")
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    control, again, other = (with_random_weights(networks, seed) for seed in (7, 7, 8))
    assert torch.equal(torch.rand(1), expected)
    for name in networks.members:
        own, new, same, third = (n.networks[name].state_dict() for n in (networks, control, again, other))
        assert own.keys() == new.keys() and type(networks.networks[name]) is type(control.networks[name])
        weights = [key for key, value in own.items() if value.ndim > 1]
        assert weights and not any(torch.equal(own[key], new[key]) for key in weights)
        assert all(torch.equal(new[key], same[key]) for key in own)
        assert not any(torch.equal(new[key], third[key]) for key in weights)
        assert not control.networks[name].training


def test_only_held_out_pairs_of_a_cache_are_taken(samples, tmp_path):
    pairs = list(cached(samples))
    assert len(pairs) == 2
    assert all(broken.fractured and not whole.fractured for broken, whole in pairs)
    with pytest.raises(InputError, match="no pairs"):
        next(cached(tmp_path))
    with pytest.raises(InputError, match="no such folder"):
        next(cached(tmp_path / "missing"))


@pytest.fixture(scope="module")
def result(networks, samples):
    return evaluate_explanations(networks, 2, cache=samples)


def test_the_figures_tell_a_network_that_sees_the_break_from_chance_and_from_random_weights(result):
    figures = result["members"][MEMBER]
    assert figures["auc"] == 1.0 and result["samples"] == 2
    for method in METHODS:
        own = figures["methods"][method]
        heat = own["heat within 3 mm of the fracture"]
        assert heat[TRAINED]["mean"] > 0.6 > 0.5 > result["chance"]["near"]["mean"]
        assert heat["beyond chance"]["interval"][0] > 0.3 and heat[CONTROL]["mean"] < 0.6
        assert own["hottest voxel within 3 mm"][TRAINED]["rate"] == 1.0
        assert own["falls beyond random patches"]["10%"]["mean"] > 0.2
    assert set(result["members"]["tiny-slices"]["methods"]) == {GRAD_CAM, SMOOTH_GRAD}  # it has no heat map


def test_the_result_says_that_it_is_simulated_and_how_to_get_it_again(result, networks, samples):
    told = json.loads(json.dumps(result, allow_nan=False))
    assert told["on"].startswith("simulated") and told["command"].startswith("neckfrac evaluate explanations")
    assert set(told["bundles"]) == set(networks.members) and len(told["cases"]) == 2
    again = evaluate_explanations(networks, 1, cache=samples)
    assert again["cases"][0] == told["cases"][0]


def test_a_cache_without_a_fracture_is_refused(networks, tmp_path):
    for seed in (18, 19):
        with (tmp_path / f"{seed:08d}.npz").open("wb") as file:
            np.savez(file, **sample(broken=False))
    with pytest.raises(InputError, match="No sample holds a fracture"):
        evaluate_explanations(networks, 1, cache=tmp_path)


def test_the_command_prints_and_keeps_the_same_json(models, samples, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(explanations, "FRACTIONS", (0.2,))
    monkeypatch.setattr("neckfrac.pipeline.saliency.SAMPLES", 1)
    options = ["--samples", "1", "--cache", str(samples), "--models", str(models), "--device", "cpu", "--quiet"]
    with pytest.raises(SystemExit) as end:
        cli.main(["evaluate", "explanations", *options, "--out", str(tmp_path / "out")])
    assert not end.value.code
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((tmp_path / "out" / "explanations.json").read_text())
    assert set(printed["members"]) == {"tiny-slices", MEMBER}

import numpy as np
import pytest
import torch
from neckfrac.anatomy import LEVEL_NAMES
from neckfrac_lab.simulate.fractures.bone_variants import BONE_VARIANTS, random_bone_variant
from neckfrac_lab.simulate.fractures.fracture import make_fracture
from neckfrac_lab.simulate.fractures.shapes import REGION_REACH
from neckfrac_lab.simulate.neck import VertebraFrame


def frame(level):
    """A plausible vertebra, its body's centre at the origin."""
    return VertebraFrame(
        (0.0, 0.0, 0.0), (0.0, 16.0, 0.0), tuple(map(tuple, np.eye(3).tolist())), (9.0, 8.0, 7.0), (0.0, 42.0, -6.0),
        (17.0, 9.0, 0.0), (-17.0, 9.0, 0.0), (27.0, 6.0, 0.0), (-27.0, 6.0, 0.0), (9.0, 26.0, 0.0), (-9.0, 26.0, 0.0),
        (0.0, 0.0, 22.0) if level == "C2" else None,
    )  # fmt: skip


def points():
    axes = torch.meshgrid(*(torch.arange(-30.0, 31.0, 1.5),) * 3, indexing="ij")
    return torch.stack(axes, dim=-1)


@pytest.mark.parametrize("kind", BONE_VARIANTS)
def test_a_variant_changes_bone_and_is_no_fracture(kind):
    level = next(iter(BONE_VARIANTS[kind][1]))
    for seed in range(40):
        field = random_bone_variant(level, frame(level), seed=seed)
        if field.kind == kind:
            break
    else:
        pytest.fail(f"{kind} was never drawn at {level}")
    effect = field(points())
    assert (effect.region == 0).all() and (effect.surface == 0).all() and not field.traumatic
    changed = (effect.sclerosis is not None and effect.sclerosis.abs().max() > 20) or (effect.gap < 0).any()
    assert changed or (effect.added is not None and (effect.added < 0).any())


@pytest.mark.parametrize("level", LEVEL_NAMES)
def test_the_same_seed_gives_the_same_variant(level):
    first, second = (random_bone_variant(level, frame(level), seed=7)(points()) for _ in range(2))
    assert torch.equal(first.gap, second.gap)
    assert first.sclerosis is None or torch.equal(first.sclerosis, second.sclerosis)


def test_of_lost_height_only_the_depressed_endplate_is_surface():
    field = make_fracture("C5", "compression", frame("C5"), seed=3, severity=0.8)
    effect = field(points())
    region, surface = effect.region > 0.5, effect.surface > 0.5
    assert 0 < surface.sum() < 0.75 * region.sum() and not (surface & ~region).any()


def test_of_a_plain_break_surface_and_region_are_the_same_thin_band():
    effect = make_fracture("C5", "lamina", frame("C5"), seed=3, severity=0.2)(points())
    assert torch.equal(effect.region, effect.surface) and (effect.region > 0.5).any()
    assert effect.gap[effect.region > 0.5].max() <= REGION_REACH + 1

"""Saliency: networks made by hand, whose answer hangs on one known place, are explained by that place."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from neckfrac.bundles.steps import SPINE, known_steps
from neckfrac.errors import Cancelled, InputError
from neckfrac.findings import Explanation
from neckfrac.members import can_explain, member_module
from neckfrac.members import sagittal as nine_sagittal
from neckfrac.members import slices as axial_slices
from neckfrac.members import vertebrae as model_two
from neckfrac.members.slices import pool_slices, pooled
from neckfrac.networks.sagittal_nine import SagittalNine
from neckfrac.networks.slice_classifier import ModelOne
from neckfrac.networks.three_planes import ThreePlanes
from neckfrac.networks.vertebra_sequence import VertebraSequence
from neckfrac.options import GRAD_CAM, SMOOTH_GRAD, AnalysisOptions
from neckfrac.options import HEATMAP as HEAT
from neckfrac.pipeline.combine import logit
from neckfrac.pipeline.grids import FINE_SPACING, Lattice
from neckfrac.pipeline.intensity import BONE_WINDOW, TISSUE_AND_BONE
from neckfrac.pipeline.localize import level_heat
from neckfrac.pipeline.saliency import Score, layer_to_look_at, saliency, weight_sharing_copy
from neckfrac.pipeline.segment import Segmented
from neckfrac.progress import Progress
from neckfrac.study_warning import StudyWarning
from pipeline_phantom import knowing, phantom, stored, study
from torch import nn

pytestmark = pytest.mark.usefixtures("one_thread")
BOTH = pytest.mark.parametrize("method", [GRAD_CAM, SMOOTH_GRAD])
CPU = torch.device("cpu")
SPOT = (slice(14, 18), slice(40, 48), slice(56, 64))  # fine voxels [z, y, x] of the one bright place within C4


class SeesBright(nn.Module):
    """A stand-in that calls a vertebra fractured by voxels brighter than `limit`, of the first channel."""

    def __init__(self, limit: float, sequence: bool = True) -> None:
        super().__init__()
        conv = nn.Conv2d(1, 2, 1)
        conv.weight.data, conv.bias.data = torch.ones(2, 1, 1, 1), torch.tensor([-limit, 10.0])
        self.encoder = nn.Sequential(nn.AvgPool2d(4), conv, nn.ReLU(inplace=True))
        self.sequence = sequence

    def forward(self, images):
        maps = self.encoder(images.flatten(0, 1)[:, :1] if self.sequence else images[:, :1])
        if not self.sequence:
            return maps[:, 0].sum(dim=(1, 2))[:, None].expand(-1, 8)  # as Model I, one answer a label
        maps = maps.unflatten(0, images.shape[:2])[:, :, 0]
        return {"logit": maps.sum(dim=(1, 2, 3)), "heat": maps}


def segmented() -> Segmented:
    """C4 as a block with a bright spot in one of its corners; C5 below it, bright all over."""
    hu, labels = np.full((32, 96, 96), 40, np.int16), np.zeros((32, 96, 96), np.uint8)
    labels[10:24, 30:66, 30:66], labels[1:8, 30:66, 30:66] = 4, 5
    hu[labels == 4], hu[labels == 5] = 300, 1400
    hu[SPOT] = 1400
    lattice = Lattice(labels.shape, FINE_SPACING, (0.0, 0.0, 0.0))
    return Segmented(hu, labels, labels, labels, lattice, np.zeros((32, 2), int), 96)


def images_of(channels=4, slices=5, size=64):
    """One bright square in slice 2, rows 32 to 48, columns 16 to 32."""
    images = torch.zeros(1, slices, channels, size, size)
    images[0, 2, :, 32:48, 16:32] = 2.0
    return images


@BOTH
def test_a_network_that_looks_at_one_place_is_explained_by_that_place(method):
    score = Score(SeesBright(1.0), lambda network, images: network(images)["logit"])
    heat = torch.from_numpy(saliency(score, images_of(), method))[None]
    heat = torch.nn.functional.interpolate(heat, (64, 64), mode="nearest")[0]
    assert heat.min() >= 0 and heat[2, 32:48, 16:32].mean() > 0.5 * heat.max() > 0
    assert heat[2, 29:51, 13:35].sum() > 0.99 * heat.sum()  # SmoothGrad's grain is blurred by a voxel


@BOTH
def test_the_network_is_left_as_it_was_and_keeps_no_gradients_or_hooks(method):
    network = SeesBright(1.0).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    saliency(Score(network, lambda network, images: network(images)["logit"]), images_of(), method)
    assert all(part.requires_grad and part.grad is None for part in network.parameters())
    assert network.training and network.encoder[2].inplace
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    for module in network.modules():
        assert not module._forward_hooks and not module._backward_hooks and not module._backward_pre_hooks


def test_the_twin_shares_its_weights_with_the_network():
    network = VertebraSequence(widths=(8, 8, 8, 8), hidden=8)
    pairs = zip(network.parameters(), weight_sharing_copy(network).parameters(), strict=True)
    assert all(a.data_ptr() == b.data_ptr() and not b.requires_grad for a, b in pairs)


@BOTH
def test_gradients_are_there_where_the_road_has_switched_them_off(method):
    score = Score(SeesBright(1.0), lambda network, images: network(images)["logit"])
    usual = saliency(score, images_of(), method)
    with torch.inference_mode():
        assert np.array_equal(saliency(score, images_of(), method), usual)


def test_noise_comes_from_a_seed_and_leaves_the_general_one_alone():
    score = Score(SeesBright(0.05), lambda network, images: network(images)["logit"])
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    results = [saliency(score, images_of(), SMOOTH_GRAD, seed=seed) for seed in (1, 1, 2)]
    assert torch.equal(torch.rand(1), expected)
    assert np.array_equal(results[0], results[1]) and not np.array_equal(results[0], results[2])


@pytest.mark.parametrize("encoder", ["compact", "resnet50"])
def test_grad_cam_looks_at_maps_through_which_all_of_model_two_passes(encoder):
    options = {"widths": (8, 8, 8, 8)} if encoder == "compact" else {}
    network = VertebraSequence(encoder, hidden=8, **options).eval()
    images = images_of(size=48)[:, 2:3]
    name = layer_to_look_at(Score(network, lambda network, x: network(x)["logit"]), images.requires_grad_())
    layer = network.get_submodule(name.removeprefix("network."))
    with torch.no_grad():
        assert not torch.equal(network(images)["logit"], network(0 * images)["logit"])
        layer.register_forward_hook(lambda _, __, output: torch.zeros_like(output))
        assert torch.equal(network(images)["logit"], network(0 * images)["logit"])


def test_grad_cam_does_not_look_at_a_layer_that_a_shortcut_leads_round():
    class Shortcut(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Conv2d(4, 2, 3, padding=1), nn.Conv2d(2, 2, 3, padding=1)

        def forward(self, images):
            maps = self.first(images[0])
            return (maps + self.second(maps)).sum()

    score = Score(Shortcut(), lambda network, images: network(images))
    assert layer_to_look_at(score, images_of().requires_grad_()) == "network.first"


def test_a_network_without_maps_can_not_be_explained_by_grad_cam():
    network = nn.Sequential(nn.Flatten(), nn.LazyLinear(1))
    network(images_of())
    with pytest.raises(RuntimeError, match="no layer of maps"):
        saliency(Score(network, lambda network, images: network(images)), images_of(), GRAD_CAM)


def on_grid(found, level="C4"):
    result = np.zeros(segmented().labels.shape, np.float32)
    heat, place = level_heat(segmented(), level, *found[level])
    result[place] = heat
    return result


@BOTH
def test_model_two_s_heat_lies_on_the_bright_spot_of_the_fine_grid(method):
    found = model_two.explain(
        segmented(), SeesBright(1.5), levels=["C4"], method=method, intensity=TISSUE_AND_BONE, slices=14, size=64,
        device=CPU, progress=Progress(),
    )  # fmt: skip
    heat = on_grid(found)
    wide = tuple(slice(part.start - 4, part.stop + 4) for part in SPOT)
    assert heat.max() > 0.8 and heat[wide].sum() > 0.9 * heat.sum()
    assert heat[SPOT].mean() > 0.5


@BOTH
def test_model_one_s_heat_lies_on_the_bright_spot_of_the_fine_grid(method):
    found = axial_slices.explain(
        segmented(), SeesBright(0.4, sequence=False), levels=["C4"], method=method, intensity=BONE_WINDOW, field=64,
        size=32, step=1, device=CPU, progress=Progress(),
    )  # fmt: skip
    heat = on_grid(found)
    wide = tuple(slice(part.start - 5, part.stop + 5) for part in SPOT)
    assert heat.max() > 0.5 and heat[wide].sum() > 0.9 * heat.sum()


class SeesBrightFromTheSide(SeesBright):
    """The same for nine sagittal images: as that member, it is also given the levels' labels."""

    def forward(self, images, labels):
        output = super().forward(images[:, :, None])
        return {"logits": output["logit"][:, None].expand(-1, 8), "heat": 50 * output["heat"] - 0.5}


@pytest.mark.parametrize("method", [GRAD_CAM, SMOOTH_GRAD, HEAT])
def test_the_sagittal_member_s_heat_lies_on_the_bright_spot_of_the_fine_grid(method):
    network = SeesBrightFromTheSide(1.0)
    found = nine_sagittal.explain(
        segmented(), network, levels=["C4"], method=method, intensity=TISSUE_AND_BONE, device=CPU, progress=Progress()
    )
    heat = on_grid(found)
    if method == HEAT:
        heat = np.maximum(heat - 0.5, 0)  # a sigmoid: 0.38 where there is nothing
    hottest = np.argwhere(heat > 0.5 * heat.max()).mean(axis=0)
    # A plane lies 4 mm, 7 fine voxels, beside the next.
    assert np.all(np.abs(hottest - [16, 44, 60]) <= (3, 5, 7)), hottest


SETTINGS = {
    "sagittal": {"intensity": TISSUE_AND_BONE},
    "vertebrae": {"intensity": TISSUE_AND_BONE, "slices": 4, "size": 64},
    "slices": {"intensity": BONE_WINDOW, "field": 64, "size": 64, "step": 3},
    "planes": {"intensity": BONE_WINDOW, "tissue": [-100.0, 250.0], "views": 3, "size": 64, "rows": 48},
}
NETWORKS = {
    "sagittal": lambda: SagittalNine(widths=(8, 8, 8, 8), heat_channels=8, hidden=8),
    "vertebrae": lambda: VertebraSequence(widths=(8, 8, 8, 8), hidden=8),
    "slices": lambda: ModelOne(size=64),
    "planes": lambda: ThreePlanes(widths=(8, 8, 8, 8), hidden=8, views=3),
}


@BOTH
@pytest.mark.parametrize("step", [step for step in known_steps() if step not in SPINE and can_explain(step, GRAD_CAM)])
def test_every_kind_of_member_is_explained_from_0_to_1_in_the_levels_asked_for(step, method):
    torch.manual_seed(0)
    options = {"method": method, "device": CPU, "progress": Progress(), **SETTINGS[step]}
    found = member_module(step).explain(segmented(), NETWORKS[step]().eval(), levels=["C4", "C6"], **options)
    assert set(found) == {"C4"}  # C6 is not there
    crop, heat = found["C4"]
    # What is interpolated between two images may not reach its hottest place.
    assert heat.shape[0] == len(crop.slices) and heat.min() >= 0 and heat.max() == pytest.approx(1)
    assert on_grid(found).max() > 0


def test_model_one_is_explained_by_the_very_probability_that_it_gives():
    logits = torch.tensor([-2.0, 0.5, 1.5, -8.0])
    areas = np.array([10.0, 40.0, 30.0, 5.0])
    answer = pooled(logits, torch.from_numpy(areas / areas.sum()))
    assert float(answer) == pytest.approx(logit(pool_slices(logits.sigmoid().double().numpy(), areas)), abs=1e-6)


@pytest.fixture(scope="module")
def engine(models):
    """Every level of the phantom is suspected at the sensitive operating point."""
    return knowing(models)


@pytest.fixture(scope="module")
def usual(engine):
    return engine.analyze(study(phantom()[0]), AnalysisOptions("sensitive"))


def explained(engine, volume, method, progress=None, **options):
    return engine.analyze(study(volume), AnalysisOptions("sensitive", explain=method, **options), progress=progress)


@BOTH
def test_another_explanation_changes_the_heat_and_nothing_else_that_was_found(engine, usual, method):
    result = explained(engine, phantom()[0], method)
    assert result.findings.levels == usual.findings.levels
    assert np.array_equal(result.labels, usual.labels) and not np.array_equal(result.heat, usual.heat)
    assert result.heat.dtype == np.uint8 and 80 <= result.heat.max() <= 100
    title = {"grad-cam": "Grad-CAM", "smooth-grad": "SmoothGrad"}[method]
    assert result.findings.explanation.in_words() == f"{title} of tiny-vertebrae"
    assert result.findings.explanation.method == method and usual.findings.explanation == Explanation()


@BOTH
def test_heat_lies_at_the_same_place_of_the_patient_however_the_scan_is_stored(engine, method):
    upright = explained(engine, phantom()[0], method, member="tiny-slices")
    assert upright.heat.any()
    for axes, flips in (((1, 2, 0), (0,)), ((0, 2, 1), (1, 2)))[: 2 if method == GRAD_CAM else 1]:
        volume, _ = stored(*phantom(), axes, flips)
        result = explained(engine, volume, method, member="tiny-slices")
        _, back = stored(phantom()[0], upright.heat, axes, flips)
        assert np.abs(result.heat.astype(int) - back).max() <= 1, (axes, flips)


def test_cancelling_stops_in_the_midst_of_smooth_grad(engine):
    steps = []

    def cancelled():
        return steps.count("Explaining") > 3

    progress = Progress(lambda stage, _: steps.append(stage), cancelled)
    with pytest.raises(Cancelled):
        explained(engine, phantom()[0], SMOOTH_GRAD, progress=progress)
    assert steps.count("Explaining") == 4


def test_a_member_that_can_not_be_explained_leaves_the_usual_heat_and_a_warning(models, usual):
    engine = knowing(models)
    network = engine.networks["tiny-vertebrae"]

    class NoMaps(nn.Module):
        def forward(self, images):
            return network(images)

        def __deepcopy__(self, memo):
            raise RuntimeError("out of memory\nsecond line")

    engine.networks["tiny-vertebrae"] = NoMaps()
    result = explained(engine, phantom()[0], GRAD_CAM)
    assert np.array_equal(result.heat, usual.heat) and result.findings.explanation == Explanation()
    told = "Grad-CAM of tiny-vertebrae failed; the heat is the members' own: out of memory"
    data = {"member": "tiny-vertebrae", "method": GRAD_CAM, "error": "RuntimeError"}
    assert StudyWarning("saliency-failed", told, data) in result.findings.warnings


@pytest.mark.parametrize(
    ("method", "member", "told"),
    [
        ("gradcam", None, "no explanation 'gradcam'"),
        (GRAD_CAM, "model-nine", "no member 'model-nine'"),
        ("heat", "tiny-slices", "Heat map can't explain tiny-slices"),
    ],
)
def test_what_can_not_be_explained_is_refused_before_anything_is_done(engine, method, member, told):
    steps = []
    with pytest.raises(InputError, match=told):
        explained(engine, phantom()[0], method, member=member, progress=Progress(lambda *step: steps.append(step)))
    assert not steps

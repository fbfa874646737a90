"""A kind of member that is no part of NeckFrac: its own module, its own network, a bundle, and nothing else."""

import importlib
import sys

import neckfrac.members
import neckfrac.networks
import pytest
import torch
from neckfrac.anatomy import LEVEL_NAMES
from neckfrac.bundles.bundle import build_network, load_bundle, save_bundle
from neckfrac.bundles.steps import known_steps, member_module
from neckfrac.options import AnalysisOptions
from neckfrac.pipeline.combine import Ensemble, Member
from pipeline_phantom import knowing, phantom, study
from tiny_networks import write_models

MEMBER = '''
"""Says of each level how bright it is."""
from neckfrac.bundles.tensors import tensor
from neckfrac.members import MemberPrediction

TITLE = "Brightness of each level"


def data_format(network_config):
    image = tensor("image", ["*", "*", "*"], {0: "HU"})
    return {"inputs": {"image": image}, "outputs": {"logits": tensor("probabilities", [], {0: "bright"}, "classes")}}


def predict(segmented, network, *, scale, device, progress):
    import torch
    from neckfrac.anatomy import LEVELS

    means = {level.name: segmented.hu[segmented.labels == level.label] for level in LEVELS}
    logits = {name: network(torch.tensor(float(hu.mean()) / scale)) for name, hu in means.items() if hu.size}
    heat = {}
    for level in LEVELS:
        if level.name in logits:
            own = (segmented.labels == level.label).astype("float32")
            heat[level.name] = own, tuple(slice(0, n) for n in own.shape)
    return MemberPrediction({name: float(logit.sigmoid()) for name, logit in logits.items()}, fine_heat=heat)
'''
NETWORK = '''
from torch import nn


class Brightness(nn.Module):
    def __init__(self):
        super().__init__()
        self.line = nn.Linear(1, 1)

    def forward(self, value):
        return self.line(value.view(1, 1))[0, 0]
'''


@pytest.fixture
def plugged_in(tmp_path, monkeypatch):
    """The two files lie in folders of their own that the packages look into as well."""
    for package, text in ((neckfrac.members, MEMBER), (neckfrac.networks, NETWORK)):
        folder = tmp_path / package.__name__
        folder.mkdir()
        (folder / "brightness.py").write_text(text, encoding="utf-8")
        package.__path__.append(str(folder))
    importlib.invalidate_caches()
    yield
    for package in (neckfrac.members, neckfrac.networks):
        package.__path__.pop()
        sys.modules.pop(f"{package.__name__}.brightness", None)
    member_module.cache_clear()


@pytest.mark.usefixtures("plugged_in", "one_thread")
def test_a_new_kind_of_member_is_a_module_a_network_and_a_bundle_and_touches_nothing_else(tmp_path):
    folder = write_models(tmp_path / "models")
    config = {"_target_": "neckfrac.networks.brightness.Brightness"}
    torch.manual_seed(0)
    bundle = save_bundle(
        folder / "bright", name="bright", version="0.0.1", step="brightness", network=build_network(config),
        network_config=config, preprocessing={"scale": 500.0}, metadata={},
    )  # fmt: skip
    assert "brightness" in known_steps()
    assert load_bundle(folder / "bright").metadata["task"] == "Brightness of each level"
    assert bundle.metadata["network_data_format"]["inputs"]["image"]["channel_def"] == {"0": "HU"}
    ensemble = Ensemble.read(folder / "ensemble.json")
    levels = {**ensemble.levels, "bright": Member(5.0)}
    Ensemble(levels, ensemble.patient, ensemble.thresholds, ensemble.measured).write(folder / "ensemble.json")

    findings = knowing(folder).analyze(study(phantom()[0]), AnalysisOptions("sensitive")).findings
    seen = [level for level in findings.levels if level.probability is not None]
    assert seen and all("bright" in level.members for level in seen)
    assert {level.level for level in seen if level.region is not None} == {level.level for level in seen}
    assert {level.level for level in seen} <= set(LEVEL_NAMES)


RECIPE = '''
from neckfrac_lab.training.loop import Schedule
from neckfrac_lab.training.samples import vertebra_sample
from neckfrac_lab.training.task import Task

TASK = Task(
    "bright", "brightness", "bright", "vertebrae", vertebra_sample,
    {"_target_": "neckfrac.networks.brightness.Brightness"}, {"scale": 500.0}, Schedule(steps=10), None, None, "Bright",
)
'''


@pytest.mark.usefixtures("plugged_in")
def test_its_recipe_is_found_as_those_of_the_laboratory_are(tmp_path, monkeypatch):
    from neckfrac_lab.training import recipes, tasks

    (tmp_path / "bright.py").write_text(RECIPE, encoding="utf-8")
    monkeypatch.setattr(recipes, "__path__", [*recipes.__path__, str(tmp_path)])
    try:
        task = importlib.reload(tasks).TASKS["bright"]
        assert task.step in known_steps() and build_network(task.network) is not None
        assert {"locate", "segment", "model1", "model2", "planes", "sagittal", "dense"} < set(tasks.TASKS)
    finally:
        monkeypatch.undo()
        importlib.reload(tasks)
        sys.modules.pop(f"{recipes.__name__}.bright", None)


def test_without_its_module_a_bundle_is_refused_in_words():
    with pytest.raises(ValueError, match="brightness"):
        member_module("brightness")

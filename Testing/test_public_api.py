"""`import neckfrac`: light, complete, and from a study to its findings in one call."""

from __future__ import annotations

import ast
import inspect
import json
import os
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import neckfrac
import numpy as np
import pytest
import SimpleITK as sitk
from intake.made_dicom import head, write_series
from neckfrac import api
from neckfrac.anatomy import LEVEL_NAMES
from neckfrac.bundles.bundle import load_bundle
from neckfrac.volume import to_image
from pipeline_phantom import phantom, study
from tiny_networks import write_models

ENGINE = Path(__file__).parents[1] / "NeckFracExtension"

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(autouse=True)
def cold(monkeypatch):
    """No networks are kept from another test, nor for one."""
    monkeypatch.setattr(api, "_WARM", api.WarmEngine())


@pytest.fixture
def options(models):
    return {"models_dir": models, "device": "cpu"}


def modules_after(code):
    """The names of the modules that a fresh Python holds after the code."""
    environment = os.environ | {"PYTHONPATH": str(ENGINE)}
    command = [sys.executable, "-c", f"{code}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


def test_importing_neckfrac_imports_nothing_else_of_it_and_no_library():
    loaded = modules_after("import neckfrac; dir(neckfrac); neckfrac.__version__")
    assert {name for name in loaded if name.startswith("neckfrac")} == {"neckfrac"}
    heavy = {"numpy", "torch", "monai", "SimpleITK", "pydicom", "scipy", "typer", "rich"}
    assert not heavy & loaded


def test_reading_a_study_and_naming_the_api_does_without_the_networks_libraries():
    loaded = modules_after("import neckfrac; neckfrac.read_study, neckfrac.analyze, neckfrac.Engine, neckfrac.Findings")
    assert "neckfrac.api" in loaded and not {"torch", "monai", "neckfrac_lab"} & loaded


def test_every_public_name_is_there_documented_and_the_same_for_a_type_checker():
    tree = ast.parse((ENGINE / "neckfrac" / "__init__.py").read_text(encoding="utf-8"))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level == 1]
    assert {alias.name: node.module for node in imports for alias in node.names} == neckfrac._HOMES
    assert set(neckfrac.__all__) == {*neckfrac._HOMES, "DISCLAIMER", "__version__"} <= set(dir(neckfrac))
    for name in neckfrac._HOMES:
        assert inspect.getdoc(getattr(neckfrac, name)), name
    with pytest.raises(AttributeError, match="no attribute 'analyse'"):
        neckfrac.analyse  # noqa: B018


def test_the_documentation_tells_every_public_name():
    told = (ENGINE.parent / "docs" / "python.md").read_text(encoding="utf-8")
    assert [name for name in neckfrac._HOMES if f"`{name}" not in told] == []


def test_a_path_gives_findings_of_every_level(tmp_path, options):
    write_series(tmp_path / "study", head())
    analysis = neckfrac.analyze(str(tmp_path / "study"), **options)
    assert isinstance(analysis, neckfrac.Analysis) and isinstance(analysis.findings, neckfrac.Findings)
    assert [level.level for level in analysis.findings.levels] == list(LEVEL_NAMES)
    assert analysis.findings.level("C4").probability is None, "there is no neck in it"
    assert analysis.findings.study.source == str(tmp_path / "study")


@pytest.fixture
def neck(tmp_path):
    """A phantom with seven levels as files: the CT, and its labels."""
    volume, labels = phantom()
    paths = tmp_path / "ct.nrrd", tmp_path / "labels.nrrd"
    sitk.WriteImage(to_image(volume), str(paths[0]))
    sitk.WriteImage(to_image(type(volume)(labels, volume.affine)), str(paths[1]))
    return paths


def test_labels_can_be_given_as_a_file_or_as_an_array_with_the_same_findings(neck, options):
    ct, labels = neck
    from_file = neckfrac.analyze(ct, labels=labels, operating_point="sensitive", **options)
    array = sitk.GetArrayFromImage(sitk.ReadImage(str(labels)))
    from_array = neckfrac.analyze(neckfrac.read_study(ct), labels=array, operating_point="sensitive", **options)
    probability = from_file.findings.level("C4").probability
    assert 0 < probability < 1 and from_file.findings.operating_point == "sensitive"
    assert from_array.findings.level("C4").probability == probability
    assert np.array_equal(from_file.labels, from_array.labels)


def test_the_networks_are_kept_until_other_ones_are_wanted_or_installed(tmp_path, monkeypatch):
    from neckfrac.pipeline import analyze as module

    loaded = []

    class Counted(module.Engine):
        def __init__(self, **how):
            loaded.append(how["leave_out"])
            super().__init__(**how)

    monkeypatch.setattr(module, "Engine", Counted)
    models = write_models(tmp_path / "models", others=("planes",))
    ct = study(phantom()[0])
    for leave_out in ((), (), ("tiny-slices",), ("tiny-slices",)):
        neckfrac.analyze(ct, models_dir=models, device="cpu", leave_out=leave_out)
    assert loaded == [(), ("tiny-slices",)]
    neckfrac.analyze(ct, models_dir=str(models), device="cpu", leave_out=["tiny-slices"])
    assert len(loaded) == 2, "the same, said in another way"
    for path in sorted((models / "tiny-planes").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    neckfrac.analyze(ct, models_dir=models, device="cpu", leave_out=("tiny-slices",))
    assert len(loaded) == 3, "a bundle has gone"


def test_an_engine_of_ones_own_is_used_and_keeps_its_networks(models):
    engine = neckfrac.Engine(models, "cpu")
    analysis = neckfrac.analyze(study(phantom()[0]), engine=engine)
    assert {model.name for model in analysis.findings.models} == {
        load_bundle(path.parent).name for path in models.glob("*/configs")
    }
    assert api._WARM._engine is None


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"operating_point": "lucky"}, "no operating point 'lucky'"),
        ({"device": "abacus"}, "no device 'abacus'"),
        ({"series": "7"}, "was read already"),
        ({"labels": np.ones((2, 3, 4), np.uint8)}, "do not lie on the study's voxels"),
        ({"labels": "nowhere.nrrd"}, "no such file"),
        ({"leave_out": ["nobody"]}, "no member nobody"),
        ({"explain": "tea-leaves"}, "tea-leaves"),
    ],
)
def test_what_can_not_be_used_is_an_input_error_that_says_so(options, wrong, words):
    with pytest.raises(neckfrac.InputError, match=words):
        neckfrac.analyze(study(phantom()[0]), **{**options, **wrong})


def test_options_are_keywords_or_one_object_but_not_both(options):
    assert set(api.OptionValues.__annotations__) == {field.name for field in fields(neckfrac.AnalysisOptions)}
    one = neckfrac.AnalysisOptions(operating_point="specific", **options)
    assert neckfrac.analyze(study(phantom()[0]), one).findings.operating_point == "specific"
    with pytest.raises(neckfrac.InputError, match="as an object and as keywords"):
        neckfrac.analyze(study(phantom()[0]), one, anchors=True)


def test_an_engine_and_how_to_make_one_exclude_each_other(models):
    engine = neckfrac.Engine(models, "cpu")
    with pytest.raises(neckfrac.InputError, match="beside it"):
        neckfrac.analyze(study(phantom()[0]), engine=engine, models_dir=models)


def test_a_progress_is_told_and_may_cancel(options):
    told = []
    progress = neckfrac.Progress(lambda stage, done: told.append(done), lambda: len(told) > 3)
    with pytest.raises(neckfrac.Cancelled):
        neckfrac.analyze(study(phantom()[0]), progress=progress, **options)
    assert told


def test_a_result_is_written_whole_and_never_over_the_study_or_what_is_not_ours(tmp_path, neck, options, undrawn):
    analysis = neckfrac.analyze(neck[0], **options)
    out = tmp_path / "result"
    neckfrac.write_result(analysis, out)
    assert {"scene.mrb", "findings.json", "report.html"} <= {path.name for path in out.iterdir()}
    with pytest.raises(neckfrac.InputError, match="already holds"):
        neckfrac.write_result(analysis, str(out))
    neckfrac.write_result(analysis, str(out), overwrite=True)
    # A study that lies in an old result's folder is not replaced with it.
    inside = out / "ct.nrrd"
    neck[0].rename(inside)
    again = neckfrac.analyze(inside, **options)
    with pytest.raises(neckfrac.InputError, match="holds what is read"):
        neckfrac.write_result(again, out, overwrite=True)
    assert inside.is_file()

"""Bundles: what is written comes back the same, and nothing that was changed or could run code is loaded."""

from __future__ import annotations

import json
import os
import pickle
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch
from neckfrac.bundles.bundle import (
    METADATA,
    WEIGHTS,
    build_network,
    find_bundle,
    list_bundles,
    load_bundle,
    record_measured,
    save_bundle,
)
from neckfrac.bundles.metadata import REQUIRED, REQUIRED_OF_TENSOR, measured_on
from neckfrac.bundles.steps import data_format, known_steps
from neckfrac.errors import InputError
from neckfrac.findings import ModelIdentity
from neckfrac.provenance import Provenance
from neckfrac.resources import resources_dir

TINY = {"_target_": "neckfrac.networks.locate_unet.LocateUNet", "channels": [8, 8, 8], "n_classes": 3}
CLASSIFIER = {"_target_": "neckfrac.networks.slice_classifier.ModelOne", "n_labels": 2, "size": 64}
COUNTING = {"_target_": "neckfrac.networks.baselines.ConvNet", "classes": 2}  # its batch norms count batches
PREPROCESSING = {"hu_lower": -300.0, "hu_upper": 1500.0, "spacing_mm": [2.0, 2.0, 2.0]}


def save(folder: Path, step: str = "locate", config: dict = TINY, **options):
    torch.manual_seed(1)
    network = build_network(config)
    values = {"name": folder.name, "version": "0.1.0", "metadata": {"neckfrac": {"trained_on": "noise"}}, **options}
    return network, save_bundle(
        folder, step=step, network=network, network_config=config, preprocessing=PREPROCESSING, **values
    )


@pytest.fixture(scope="module")
def original(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny-locate"
    save(folder)
    return folder


@pytest.fixture
def folder(original, tmp_path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "tiny-locate"))


def rewrite(path: Path, change) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")


@pytest.mark.parametrize(
    ("config", "types"), [(CLASSIFIER, {torch.float16}), (COUNTING, {torch.float16, torch.int64})]
)
def test_a_network_comes_back_equal_to_its_float16_rounding(tmp_path, config, types):
    network, bundle = save(tmp_path / "network", "slices", config)
    loaded = bundle.network("cpu")
    assert not loaded.training and not any(parameter.requires_grad for parameter in loaded.parameters())
    saved, expected = loaded.state_dict(), network.state_dict()
    assert saved.keys() == expected.keys()
    for key, value in expected.items():
        assert saved[key].dtype == value.dtype
        rounded = value.half().float() if value.is_floating_point() else value
        assert torch.equal(saved[key], rounded), key
    stored = safetensors.torch.load_file(bundle.folder / WEIGHTS)
    assert {tensor.dtype for tensor in stored.values()} == types


def test_a_network_kept_in_float32_comes_back_exactly(tmp_path):
    network, bundle = save(tmp_path / "exact", half=False)
    volume = torch.randn(1, 1, 16, 16, 16)
    with torch.inference_mode():
        assert torch.equal(bundle.network()(volume), network.eval()(volume))


def test_a_bundle_says_what_it_is(original):
    bundle = load_bundle(original)
    assert isinstance(bundle.identity, ModelIdentity)
    assert (bundle.identity.name, bundle.identity.version, bundle.identity.step) == ("tiny-locate", "0.1.0", "locate")
    assert bundle.identity.trained_on == "noise" and len(bundle.identity.sha256) == 64
    assert bundle.preprocessing == PREPROCESSING
    assert bundle.settings["n_parameters"] == sum(p.numel() for p in bundle.network().parameters())
    bundle.verify()


def test_settings_and_metadata_of_the_caller_are_kept(tmp_path):
    extra = {
        "task": "Find levels",
        "eval_metrics": {"Dice": 0.8},
        "neckfrac": {"temperature": 1.3, "trained_on": "sim"},
    }
    _, bundle = save(tmp_path / "kept", metadata=extra)
    assert bundle.settings["temperature"] == 1.3 and bundle.metadata["task"] == "Find levels"
    card = (bundle.folder / "docs/README.md").read_text(encoding="utf-8")
    assert "- Dice: 0.8" in card and "Research use only; not a medical device." in card


@pytest.mark.parametrize("step", known_steps())
def test_metadata_holds_every_key_that_monai_verifies(tmp_path, step):
    from monai.bundle.properties import MetaProperties

    _, bundle = save(tmp_path / step, step)
    metadata = json.loads((bundle.folder / METADATA).read_text(encoding="utf-8"))
    assert set(REQUIRED) <= metadata.keys()
    assert metadata["intended_use"].startswith("Research use only; not a medical device")
    for direction in ("inputs", "outputs"):
        for tensor in metadata["network_data_format"][direction].values():
            assert set(REQUIRED_OF_TENSOR) <= tensor.keys()
            assert tensor["num_channels"] == len(tensor["channel_def"])
    # MONAI's own list of properties, as it stands in the installed version.
    for name, content in MetaProperties.items():
        part = metadata
        for key in content["id"].split("::")[1:]:
            # MONAI's paths name the tensors "image" and "pred"; a segmentation example's, ours are spelled out.
            if key in ("image", "pred") and key not in part:
                key = next(iter(part))
            assert key in part, name
            part = part[key]


@pytest.mark.parametrize("where", ["first byte", "last byte", "truncated"])
def test_tampered_weights_are_refused(folder, where):
    path = folder / WEIGHTS
    content = bytearray(path.read_bytes())
    if where == "truncated":
        content = content[:-10]
    else:
        content[0 if where == "first byte" else -1] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match="SHA-256 differs"):
        load_bundle(folder).network()


def test_another_networks_weights_are_refused_even_with_their_checksum(folder, tmp_path):
    _, other = save(tmp_path / "other", config={**TINY, "n_classes": 4})
    shutil.copy(other.folder / WEIGHTS, folder / WEIGHTS)
    rewrite(folder / METADATA, lambda content: content["neckfrac"].update(weights_sha256=other.identity.sha256))
    with pytest.raises(InputError, match="not this network's"):
        load_bundle(folder).network()


def test_a_file_that_is_no_safetensors_is_refused_even_with_its_checksum(folder):
    import hashlib

    (folder / WEIGHTS).write_bytes(pickle.dumps({"a": 1}))
    digest = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
    rewrite(folder / METADATA, lambda content: content["neckfrac"].update(weights_sha256=digest))
    with pytest.raises(InputError, match="can't be read"):
        load_bundle(folder).network()


def test_missing_weights_and_pickles_are_told_apart(folder):
    (folder / WEIGHTS).unlink()
    with pytest.raises(InputError, match="weights are missing"):
        load_bundle(folder).network()
    (folder / "models/model.pt").write_bytes(b"anything")
    with pytest.raises(InputError, match=r"pickled weights \(model.pt\)"):
        load_bundle(folder).network()


@pytest.mark.parametrize(
    "description",
    [
        {"_target_": "os.system", "command": "touch {marker}"},
        {"_target_": "subprocess.run", "args": ["touch", "{marker}"]},
        {"_target_": "neckfrac.networks.locate_unet.torch.hub.load", "repo_or_dir": "x"},
        {"_target_": "neckfrac.networks.locate_unet.torch.nn.Linear", "in_features": 1, "out_features": 1},
        {"_target_": "neckfrac.networks.locate_unet.pixelshuffle"},
        {
            "_target_": "neckfrac.networks.locate_unet.Convolution",
            "spatial_dims": 2,
            "in_channels": 1,
            "out_channels": 1,
        },
        {"_target_": "neckfrac.networks.no_such_file.Network"},
        {"_target_": "neckfrac.networks.__builtins__.eval"},
        {"_target_": ["neckfrac.networks.locate_unet.LocateUNet"]},
        {**TINY, "channels": "$__import__('os').system('touch {marker}') or [8, 8]"},
        {**TINY, "channels": ["$__import__('os').system('touch {marker}')"]},
        {**TINY, "channels": {"_target_": "os.system", "command": "touch {marker}"}},
        {**TINY, "_requires_": ["$__import__('os').system('touch {marker}')"]},
        {**TINY, "_mode_": "debug"},
        {**TINY, "channels": "%/etc/passwd"},
        {**TINY, "channels": "@other"},
        {"channels": [8, 8]},
    ],
    ids=lambda description: str(description.get("_target_", "none"))[-30:],
)
def test_a_description_that_could_run_code_is_refused(description, tmp_path):
    marker = tmp_path / "code-ran"
    description = json.loads(json.dumps(description).replace("{marker}", str(marker)))
    with pytest.raises(InputError) as caught:
        build_network(description)
    assert caught.value.exit_code == 2 and not marker.exists()


def test_the_description_is_checked_when_a_bundle_is_loaded(folder, tmp_path):
    marker = tmp_path / "code-ran"
    evil = {"_target_": "os.system", "command": f"touch {marker}"}
    rewrite(folder / "configs/inference.json", lambda content: content.update(network_def=evil))
    with pytest.raises(InputError, match="os.system"):
        load_bundle(folder).network()
    assert not marker.exists()


def test_a_network_that_would_download_weights_is_refused():
    full = {"_target_": "monai.networks.nets.EfficientNetBN", "model_name": "efficientnet-b0", "num_classes": 1}
    with pytest.raises(InputError, match="download"):
        build_network(full)
    with pytest.raises(InputError, match="download"):
        build_network({**full, "pretrained": True})
    assert isinstance(build_network({**full, "pretrained": False}), torch.nn.Module)


def test_arguments_that_the_network_does_not_take_are_named():
    with pytest.raises(InputError, match="no_such_argument"):
        build_network({**TINY, "no_such_argument": 1})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda content: content.pop("network_data_format"), "network_data_format"),
        (lambda content: content.pop("monai_version"), "monai_version"),
        (lambda content: content.pop("neckfrac"), "another program's bundle"),
        (lambda content: content["neckfrac"].update(step="guess"), "guess"),
        (lambda content: content["neckfrac"].update(weights_sha256="abc"), "no SHA-256"),
        (lambda content: content["neckfrac"].update(weights_sha256=7), "no SHA-256"),
        (lambda content: content["network_data_format"]["inputs"].update(image="hello"), "image"),
    ],
)
def test_wrong_metadata_is_refused_with_what_is_wrong(folder, change, said):
    rewrite(folder / METADATA, change)
    with pytest.raises(InputError, match=said):
        load_bundle(folder)


@pytest.mark.parametrize("content", ["", "{", "[]", "null", "\x00"])
def test_json_that_is_no_object_is_refused(folder, content):
    (folder / METADATA).write_text(content, encoding="utf-8")
    with pytest.raises(InputError):
        load_bundle(folder)


def test_verify_finds_a_wrong_parameter_count(folder):
    rewrite(folder / METADATA, lambda content: content["neckfrac"].update(n_parameters=1))
    with pytest.raises(InputError, match="counts other parameters"):
        load_bundle(folder).verify()


def test_weights_that_overflow_float16_are_not_saved(tmp_path):
    network = build_network(TINY)
    with torch.no_grad():
        network.head.bias[0] = 1e6
    with pytest.raises(ValueError, match="head.bias"):
        save_bundle(
            tmp_path / "big", name="big", version="1", step="locate", network=network, network_config=TINY,
            preprocessing={}, metadata={},
        )  # fmt: skip
    assert list(tmp_path.iterdir()) == []


def test_a_failed_save_leaves_the_old_bundle_and_nothing_else(folder):
    before = (folder / WEIGHTS).read_bytes()
    network = build_network({**TINY, "n_classes": 5})
    with pytest.raises(InputError):
        save_bundle(
            folder, name="x", version="2", step="locate", network=network, network_config=TINY, preprocessing={},
            metadata={},
        )  # fmt: skip
    assert (folder / WEIGHTS).read_bytes() == before and load_bundle(folder).metadata["version"] == "0.1.0"
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_a_save_replaces_the_older_version_and_keeps_what_it_did_not_write(folder):
    (folder / "models/stray.txt").write_text("old")
    save(folder, version="0.2.0")
    assert load_bundle(folder).metadata["version"] == "0.2.0" and (folder / "models/stray.txt").read_text() == "old"
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_the_same_network_is_written_byte_for_byte_the_same(original, tmp_path):
    save(tmp_path / original.name)
    for path in (part for part in original.rglob("*") if part.is_file()):
        assert path.read_bytes() == (tmp_path / original.name / path.relative_to(original)).read_bytes(), path.name


def test_measured_figures_reach_the_model_card_and_only_that_of_the_weights_measured(folder):
    bundle = load_bundle(folder)
    weights = (folder / WEIGHTS).read_bytes()
    record_measured(folder, bundle.identity.sha256, {"Dice, simulated": "0.90"})
    assert "Dice, simulated: 0.90" in (folder / "docs/README.md").read_text(encoding="utf-8")
    assert load_bundle(folder).metadata["eval_metrics"] == {"Dice, simulated": "0.90"}
    load_bundle(folder).verify()
    assert (folder / WEIGHTS).read_bytes() == weights
    with pytest.raises(InputError, match="Other weights"):
        record_measured(folder, "0" * 64, {"Dice, simulated": "0.99"})
    assert "0.99" not in (folder / "docs/README.md").read_text(encoding="utf-8")


def card_of(folder: Path, trained: str, measured: str) -> str:
    own = {"trained_on": "told in words", "provenance": trained, "measured_on": measured}
    save(folder, "vertebrae", metadata={"eval_metrics": {"AUC": "0.7"}, "neckfrac": own})
    return (folder / "docs/README.md").read_text(encoding="utf-8")


def test_the_card_of_a_fracture_network_tells_limits_first_and_what_patients_it_has_seen(tmp_path):
    simulated = card_of(tmp_path / "a", "simulated", "simulated")
    parts = ("## Limits", "## Intended use", "## Training", "## Measured", "## CLAIM")
    order = [simulated.index(part) for part in parts]
    assert order == sorted(order) and "It has seen no patient" in simulated and "Not measured on patients" in simulated
    assert "no annotators" in simulated and "Performance on external data | None" in simulated
    real = card_of(tmp_path / "b", "mixed", "patients")
    assert "It has seen no patient" not in real and "Not measured on patients" not in real
    assert "no person's data" not in real and "Performance on external data | See" in real


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("simulated CT only; no patient data", Provenance.SIMULATED),
        ("simulated CT and patients of the RSNA 2022 cervical spine data (non-commercial use only)", Provenance.MIXED),
        ("patients of the RSNA 2022 cervical spine data (non-commercial use only)", Provenance.PATIENTS),
        ("not stated", Provenance.UNKNOWN),
    ],
)
def test_a_bundle_that_was_published_without_its_provenance_is_read_by_its_sentence(folder, sentence, expected):
    content = json.loads((folder / METADATA).read_text(encoding="utf-8"))
    del content["neckfrac"]["provenance"]
    content["neckfrac"]["trained_on"] = sentence
    (folder / METADATA).write_text(json.dumps(content), encoding="utf-8")
    assert load_bundle(folder).identity.provenance is expected
    assert measured_on(content) is Provenance.SIMULATED
    assert measured_on(content | {"eval_metrics": {"on": "patients' CT"}}) is Provenance.PATIENTS


def test_what_a_bundle_says_of_its_provenance_goes_before_the_sentence_and_must_be_known(folder):
    content = json.loads((folder / METADATA).read_text(encoding="utf-8"))
    content["neckfrac"] |= {"trained_on": "simulated CT only; no patient data", "provenance": "patients"}
    (folder / METADATA).write_text(json.dumps(content), encoding="utf-8")
    assert load_bundle(folder).identity.provenance is Provenance.PATIENTS
    content["neckfrac"]["provenance"] = "whales"
    (folder / METADATA).write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(InputError, match="provenance 'whales' is none of simulated, mixed, patients, unknown"):
        load_bundle(folder)


def test_the_embedded_networks_say_whose_scans_they_were_trained_on():
    files = sorted((resources_dir() / "Models").glob("*/configs/metadata.json"))
    assert files
    for file in files:
        assert json.loads(file.read_text(encoding="utf-8"))["neckfrac"]["provenance"] == "simulated"


@pytest.mark.parametrize("name", ["neckfrac-model-two", "neckfrac-sagittal-nine", "neckfrac-three-planes"])
def test_heat_maps_have_the_resolution_that_the_metadata_state(name):
    """Also as the code would write them today, with the settings that the published network has."""
    bundle = load_bundle(resources_dir() / "Models" / name)
    formats, made = bundle.metadata["network_data_format"], data_format(bundle.step, bundle.inference["network_def"])
    assert formats["outputs"] == made["outputs"]
    shape, enlarged = (1, 2, 96, 96), 1.0
    if bundle.step == "sagittal":
        images, enlarged = [torch.zeros(shape), torch.ones(shape)], bundle.network().enlarged
    else:
        channels = {"vertebrae": 4, "planes": 3}[bundle.step]
        views = {"vertebrae": (3,), "planes": (2, 4)}[bundle.step]
        images = [torch.zeros(1, n, channels, 96, 96) for n in views]
    with torch.inference_mode():
        answers = bundle.network()(*images)
    for key in ("heat", "upright_heat"):
        if key in formats["outputs"]:
            (said,) = re.findall(r"at 1/(\d) of the resolution", formats["outputs"][key]["channel_def"]["0"])
            assert answers[key].shape[-2:] == (96 * enlarged / int(said),) * 2


def test_the_resolution_of_a_heat_map_follows_the_networks_settings():
    full = data_format("vertebrae", {"encoder": "resnet18"})["outputs"]["heat"]["channel_def"]["0"]
    deeper = data_format("planes", {"widths": [8, 8, 8, 8, 8]})["outputs"]["heat"]["channel_def"]["0"]
    assert full.endswith("at 1/4 of the resolution") and deeper.endswith("at 1/4 of the resolution")


def test_bundles_are_listed_in_the_order_of_the_pipeline_and_found_by_step(tmp_path):
    for step, name in (("vertebrae", "a"), ("locate", "b"), ("segment", "c")):
        save(tmp_path / name, step)
    (tmp_path / "notes").mkdir()
    assert [bundle.step for bundle in list_bundles(tmp_path)] == ["locate", "segment", "vertebrae"]
    assert find_bundle(tmp_path, "segment").name == "c"
    with pytest.raises(InputError, match="no network for the step 'slices'"):
        find_bundle(tmp_path, "slices")
    save(tmp_path / "d", "segment")
    with pytest.raises(InputError, match="2 networks for the step 'segment': c, d"):
        find_bundle(tmp_path, "segment")


def test_listing_bundles_imports_neither_torch_nor_monai(original):
    code = (
        "import sys; from neckfrac.bundles.bundle import list_bundles; "
        f"assert len(list_bundles({str(original.parent)!r})) == 1; "
        "sys.exit('torch' in sys.modules or 'monai' in sys.modules)"
    )
    engine = Path(__file__).parents[2] / "NeckFracExtension"
    assert subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(engine)}).returncode == 0

"""A bundle's metadata: what MONAI's bundle schema asks for, and what NeckFrac adds."""

from __future__ import annotations

from typing import Any

from .. import DISCLAIMER, __version__
from ..anatomy import CLASS_NAMES, LEVEL_NAMES

STEPS = ("locate", "segment", "slices", "vertebrae", "planes", "sagittal", "dense")
# Published with the MONAI bundle specification; only named here, never fetched.
SCHEMA = "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/meta_schema_20240725.json"
REQUIRED = (
    "schema", "version", "monai_version", "pytorch_version", "numpy_version", "required_packages_version",
    "optional_packages_version", "task", "description", "authors", "copyright", "network_data_format",
)  # fmt: skip
REQUIRED_OF_TENSOR = ("type", "format", "num_channels", "spatial_shape", "dtype", "value_range")
REQUIRED_OF_NECKFRAC = ("name", "step", "weights_sha256", "n_parameters", "trained_on")
TITLES = {
    "locate": "Locate C1 to C7 on a 2 mm grid",
    "segment": "Segment C1 to C7 in axial slices",
    "slices": "Model I: fracture probability of patient and levels from axial slices",
    "vertebrae": "Model II: fracture probability of a vertebra from its slices",
    "planes": "Fracture probability of a vertebra from axial, sagittal and coronal views",
    "sagittal": "Fracture probability of patient and levels from nine sagittal images",
    "dense": "Fracture probability of every voxel of the cervical spine",
}
SEGMENT_CLASSES = ("background", *LEVEL_NAMES, "other bone")


def complete(
    metadata: dict[str, Any],
    *,
    name: str,
    version: str,
    step: str,
    network_config: dict[str, Any],
    facts: dict[str, Any],
) -> dict[str, Any]:
    """`metadata` with all keys that the schema requires; what the caller gave wins over the defaults.

    facts: weights_sha256, n_parameters, weights_dtype. They and name and step go under "neckfrac" with the
    caller's settings.
    """
    import monai
    import numpy as np
    import safetensors
    import torch

    given = dict(metadata)
    settings = dict(given.pop("neckfrac", {}))
    defaults = {
        "schema": SCHEMA,
        "version": version,
        "changelog": {version: "Trained and exported."},
        # Without build tags: they name the machine's wheel, not the version.
        "monai_version": monai.__version__.split("+")[0],
        "pytorch_version": torch.__version__.split("+")[0],
        "numpy_version": np.__version__,
        "required_packages_version": {"safetensors": safetensors.__version__, "neckfrac": __version__},
        "optional_packages_version": {},
        "name": name,
        "task": TITLES[step],
        "description": TITLES[step],
        "authors": "The NeckFrac authors",
        "copyright": "Copyright (c) the NeckFrac authors",
        "license": "Apache-2.0",
        "data_source": "Not stated.",
        "data_type": "dicom",
        "intended_use": DISCLAIMER,
        "eval_metrics": {},
        "references": [],
        "network_data_format": data_format(step, network_config),
    }
    trained_on = settings.pop("trained_on", "not stated")
    return {
        **defaults,
        **given,
        "version": version,
        "intended_use": given.get("intended_use", DISCLAIMER),
        "neckfrac": {**settings, "name": name, "step": step, "trained_on": trained_on, **facts},
    }


def faults(metadata: Any) -> list[str]:
    """What keeps `metadata` from being a NeckFrac bundle's, in words; empty when nothing does."""
    if not isinstance(metadata, dict):
        return ["it is no JSON object"]
    found = [f"{key!r} is missing" for key in REQUIRED if key not in metadata]
    own = metadata.get("neckfrac")
    if not isinstance(own, dict):
        return [*found, "'neckfrac' is missing: it is another program's bundle"]
    found += [f"'neckfrac' lacks {key!r}" for key in REQUIRED_OF_NECKFRAC if key not in own]
    if "step" in own and own["step"] not in STEPS:
        found.append(f"its step {own['step']!r} is none of {', '.join(STEPS)}")
    digest = own.get("weights_sha256", "0" * 64)
    if not (isinstance(digest, str) and len(digest) == 64 and set(digest) <= set("0123456789abcdef")):
        found.append("'weights_sha256' is no SHA-256")
    formats = metadata.get("network_data_format", {})
    for direction in ("inputs", "outputs"):
        tensors = formats.get(direction) if isinstance(formats, dict) else None
        if not isinstance(tensors, dict) or not tensors:
            found.append(f"'network_data_format' lacks {direction}")
            continue
        for tensor, content in tensors.items():
            found += [f"{direction} {tensor!r} lacks {key!r}" for key in REQUIRED_OF_TENSOR if key not in content]
    return found


def data_format(step: str, network_config: dict[str, Any]) -> dict[str, Any]:
    """The network's tensors in MONAI's terms (channel first, batch left out)."""
    if step == "locate":
        image = _tensor("image", ["*", "*", "*"], {0: "(HU clipped to -300...1500 - 200) / 500, 2 mm, [z, y, x]"})
        prediction = _tensor("image", ["*", "*", "*"], dict(enumerate(CLASS_NAMES)), "labels")
    elif step == "segment":
        neighbours = network_config.get("neighbours", 2)
        channels = [f"slice {offset:+d}, (HU clipped - 200) / 500" for offset in range(-neighbours, neighbours + 1)]
        n_prior = network_config.get("n_prior", len(SEGMENT_CLASSES))
        channels += [f"located probability of {part}" for part in SEGMENT_CLASSES[:n_prior]]
        image = _tensor("image", ["*", "*"], dict(enumerate(channels)))
        prediction = _tensor("image", ["*", "*"], dict(enumerate(SEGMENT_CLASSES)), "labels")
    elif step == "slices":
        size = network_config.get("size", 128)
        image = _tensor("image", [size, size], _numbered("axial slice", network_config.get("in_channels", 3)))
        labels = dict(enumerate(("patient", *LEVEL_NAMES)))
        prediction = _tensor("probabilities", [], labels, "classes")
    elif step == "planes":
        views, channels = network_config.get("views", 8), {0: "bone window", 1: "soft-tissue window", 2: "mask"}
        images = {"axial": _tensor("image", [views, "*", "*"], channels)}
        images["upright"] = _tensor("image", [2 * views, "*", "*"], channels)  # sagittal views, then coronal ones
        prediction = _tensor("probabilities", [], {0: "vertebra fractured"}, "classes")
        heat = _tensor("image", ["*", "*", "*"], {0: "fractured here, at 1/8 of the resolution"}, "classes")
        return {"inputs": images, "outputs": {"logit": prediction, "heat": heat, "upright_heat": heat}}
    elif step == "sagittal":
        images = {"image": _tensor("image", ["*", "*", "*"], {0: "sagittal images, windowed HU, [planes, z, y]"})}
        images["labels"] = _tensor("image", ["*", "*", "*"], {0: "0 or the level's label"}, "labels")
        prediction = _tensor("probabilities", [], dict(enumerate(("patient", *LEVEL_NAMES))), "classes")
        heat = _tensor("image", ["*", "*", "*"], {0: "fractured here, at 1/4 of the resolution"}, "classes")
        return {"inputs": images, "outputs": {"logits": prediction, "heat": heat}}
    elif step == "dense":
        hats = {0: "HU on the scale of the scan's muscle and bone, 1.0 x 0.6 x 0.6 mm", 1: "black top-hat, 3 x 3 x 3"}
        image = _tensor("image", ["*", "*", "*"], {**hats, 2: "black top-hat of the smoothed image, 5 x 7 x 7"})
        prediction = _tensor("image", ["*", "*", "*"], {0: "fracture, of each 1 x 2 x 2 voxels"}, "classes")
    else:
        n_channels = network_config.get("in_channels", 4)
        slices = {**_numbered("slice of the vertebra", n_channels - 1), n_channels - 1: "mask of the vertebra"}
        image = _tensor("image", [network_config.get("slices", 24), "*", "*"], slices)
        prediction = _tensor("probabilities", [], {0: "vertebra fractured"}, "classes")
        heat = _tensor("image", ["*", "*", "*"], {0: "fractured here, at 1/8 of the resolution"}, "classes")
        return {"inputs": {"image": image}, "outputs": {"logit": prediction, "heat": heat}}
    return {"inputs": {"image": image}, "outputs": {"logits": prediction}}


def _numbered(what: str, count: int) -> dict[int, str]:
    return {number: f"{what} {number - count // 2:+d}" for number in range(count)}


def _tensor(kind: str, shape: list, channels: dict[int, str], form: str = "hounsfield") -> dict[str, Any]:
    return {
        "type": kind,
        "format": form,
        "modality": "CT",
        "num_channels": len(channels),
        "spatial_shape": shape,
        "dtype": "float32",
        "value_range": [],
        "is_patch_data": kind == "image",
        "channel_def": {str(number): name for number, name in channels.items()},
    }


def license_note(metadata: dict[str, Any]) -> str:
    return (
        f"The weights of {metadata['neckfrac']['name']} are licensed under {metadata['license']}.\n"
        f"{metadata['copyright']}\n\nTraining data and credits: {metadata['data_source']}\n\n{DISCLAIMER}\n"
    )

"""A bundle's metadata: what MONAI's bundle schema asks for, and what NeckFrac adds."""

from __future__ import annotations

from typing import Any

from .. import DISCLAIMER, __version__
from ..provenance import Provenance
from .steps import data_format, known_steps, title_of

# Published with the MONAI bundle specification; only named here, never fetched.
SCHEMA = "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/meta_schema_20240725.json"
REQUIRED = (
    "schema", "version", "monai_version", "pytorch_version", "numpy_version", "required_packages_version",
    "optional_packages_version", "task", "description", "authors", "copyright", "network_data_format",
)  # fmt: skip
REQUIRED_OF_TENSOR = ("type", "format", "num_channels", "spatial_shape", "dtype", "value_range")
REQUIRED_OF_NECKFRAC = ("name", "step", "weights_sha256", "n_parameters", "trained_on")


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
    caller's settings. Raises ValueError for a "provenance" among these that is no `Provenance`.
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
        "task": title_of(step),
        "description": title_of(step),
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
    origin = Provenance(settings.pop("provenance", Provenance.UNKNOWN))
    return {
        **defaults,
        **given,
        "version": version,
        "intended_use": given.get("intended_use", DISCLAIMER),
        "neckfrac": {**settings, "name": name, "step": step, "trained_on": trained_on, "provenance": origin, **facts},
    }


def provenance(metadata: dict[str, Any]) -> Provenance:
    """Whose scans the network was trained on; bundles of before the key was written tell it in a sentence."""
    own = metadata["neckfrac"]
    return Provenance.of(own["provenance"]) if "provenance" in own else Provenance.from_sentence(str(own["trained_on"]))


def measured_on(metadata: dict[str, Any]) -> Provenance:
    """Whose scans it was measured on; bundles of before the key was written tell it among the figures."""
    if "measured_on" in metadata["neckfrac"]:
        return Provenance.of(metadata["neckfrac"]["measured_on"])
    patients = any("patients' CT" in str(value) for value in metadata["eval_metrics"].values())
    return Provenance.PATIENTS if patients else Provenance.SIMULATED


def faults(metadata: Any) -> list[str]:
    """What keeps `metadata` from being a NeckFrac bundle's, in words; empty when nothing does."""
    if not isinstance(metadata, dict):
        return ["it is no JSON object"]
    found = [f"{key!r} is missing" for key in REQUIRED if key not in metadata]
    own = metadata.get("neckfrac")
    if not isinstance(own, dict):
        return [*found, "'neckfrac' is missing: it is another program's bundle"]
    found += [f"'neckfrac' lacks {key!r}" for key in REQUIRED_OF_NECKFRAC if key not in own]
    if "step" in own and own["step"] not in known_steps():
        found.append(f"its step {own['step']!r} is none of {', '.join(known_steps())}")
    if own.get("provenance", Provenance.UNKNOWN) not in [*Provenance]:
        found.append(f"its provenance {own['provenance']!r} is none of {', '.join(Provenance)}")
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


def license_note(metadata: dict[str, Any]) -> str:
    return (
        f"The weights of {metadata['neckfrac']['name']} are licensed under {metadata['license']}.\n"
        f"{metadata['copyright']}\n\nTraining data and credits: {metadata['data_source']}\n\n{DISCLAIMER}\n"
    )

"""A bundle's model card, ``docs/README.md``: for networks that look for fractures the limits come first."""

from __future__ import annotations

from typing import Any

from .. import DISCLAIMER
from ..provenance import Provenance
from .metadata import measured_on, provenance
from .steps import SPINE

UNSEEN = (
    "Trained on simulated CT. It has seen no patient with a fracture; expect it to find fewer in patients than in "
    "simulation."
)
UNMEASURED = (
    "Not measured on patients: nothing is known of how well it finds a fracture in one, and what is measured here is "
    "measured on simulated CT."
)
LIMITS = (
    "A fracture that it misses is not ruled out, and one that it finds is not proven. It must not decide about a "
    "person's care, nor the order in which scans are read.",
    "It sees what the segmentation gives it: a vertebra that is missed or named wrongly is judged wrongly.",
    "It looks for fractures alone: not for dislocation without fracture, injured ligaments, tumour or infection.",
)
USE = (
    "For research on fracture detection in CT of the cervical spine, as one member of NeckFrac's ensemble, on scans of "
    "0.5 to 5 mm slices with or without contrast. Intended users: researchers. Out of scope: any clinical use, other "
    "parts of the spine, other modalities."
)


def model_card(metadata: dict[str, Any]) -> str:
    """The metadata a reader wants, in prose order."""
    return _spine_card(metadata) if metadata["neckfrac"]["step"] in SPINE else _fracture_card(metadata)


def _spine_card(metadata: dict[str, Any]) -> str:
    return f"""{_head(metadata)}

{_facts(metadata)}

## Measured
{_measured(metadata)}

## Limits
Not validated on patients. Do not use it to decide about a person's care.

## References
{_references(metadata)}
"""


def _fracture_card(metadata: dict[str, Any]) -> str:
    known = {UNSEEN: not trained_on_patients(metadata), UNMEASURED: not measured_on_patients(metadata)}
    limits = "\n".join(f"- {limit}" for limit in (*(limit for limit, holds in known.items() if holds), *LIMITS))
    items = "\n".join(f"| {item} | {answer} |" for item, answer in claim(metadata).items())
    return f"""{_head(metadata)}

## Limits
{limits}

## Intended use
{USE}

## Training
{_facts(metadata)}

## Measured
Intervals are 95 %, over patients drawn with replacement. Never read a sensitivity without its specificity and the
baselines beside it: always positive, and the constant majority.

{_measured(metadata)}

## CLAIM 2024
Items of the checklist (Tejani et al., Radiology: Artificial Intelligence 2024, doi:10.1148/ryai.240300) that apply.

| Item | Answer |
|---|---|
{items}

## References
{_references(metadata)}
"""


def trained_on_patients(metadata: dict[str, Any]) -> bool:
    """Whether patients are among the training data, or nobody knows that none is."""
    return provenance(metadata) is not Provenance.SIMULATED


def measured_on_patients(metadata: dict[str, Any]) -> bool:
    """Whether its figures are of patients."""
    return measured_on(metadata) is not Provenance.SIMULATED


def claim(metadata: dict[str, Any]) -> dict[str, str]:
    """The items of CLAIM 2024 that apply, answered from the metadata."""
    patients, outside = trained_on_patients(metadata), measured_on_patients(metadata)
    measured = "See *Measured*" if metadata["eval_metrics"] and not outside else "Not measured yet"
    return {
        "Category of AI, aim": f"Deep learning; {metadata['task']}",
        "Intended use and role": "Research: looks at each vertebra once it is segmented. See *Intended use*",
        "Study design and goal": "Model creation and feasibility"
        + (", on labelled scans collected before" if patients or outside else ", on simulation; no study of patients"),
        "Data sources": metadata["data_source"],
        "Inclusion and exclusion": "Every study of the source; simulated levels less than half in view are not judged",
        "Preprocessing": "HU clipped and scaled, crops on a 1 × 0.6 × 0.6 mm grid: `configs/inference.json`",
        "De-identification": "As published by the data's source" if patients else "Not needed: no person's data",
        "Missing data": "A level that the segmentation misses counts as probability 0",
        "Reference standard": "In simulation the simulator's own record of each fracture, voxel by voxel"
        + ("; of patients as the data's source describes" if patients or outside else "; no annotators"),
        "Partitions": "People, poses and scans of training, calibration and measuring have seeds apart. The anatomy "
        "of meshes, where used, is the same person throughout",
        "Sample size": "Chosen by the time it takes, not by a power calculation; intervals are given",
        "Model": f"{metadata['neckfrac']['n_parameters']:,} parameters: `configs/inference.json` and the source",
        "Initial weights": "Random, or learned by another of these networks (`TRAINING.md`); none from elsewhere",
        "Training and choice of the final model": "See *Training* and the project's `Resources/Models/TRAINING.md`",
        "Ensemble": "Weighted mean of calibrated logits with the other members: `ensemble.json`",
        "Metrics and uncertainty": "AUC, sensitivity and specificity, F2, Brier, ECE, RSNA 2022 loss, FROC; bootstrap "
        "over patients",
        "Performance on internal data": measured,
        "Performance on external data": "See *Measured*" if outside else "None: no patients with known fractures",
        "Robustness": "By pose, slice thickness, noise, kernel, field of view and metal: `neckfrac evaluate fractures`",
        "Explainability": "A heat map and a box for a suspected fracture; measured as FROC",
        "Failure analysis": "Pictures of the worst misses and false alarms: `neckfrac evaluate fractures`",
        "Limitations": "See *Limits*",
        "Availability": f"Source and weights are public; {metadata['license']}",
        "Registration": "None: no clinical trial",
    }


# --- parts --------------------------------------------------------------------------------------


def _head(metadata: dict[str, Any]) -> str:
    return f"""# {metadata["neckfrac"]["name"]} {metadata["version"]}
**{DISCLAIMER}**

{metadata["description"]}"""


def _facts(metadata: dict[str, Any]) -> str:
    own = metadata["neckfrac"]
    return f"""- Task: {metadata["task"]}
- Step of the pipeline: {own["step"]}
- Parameters: {own["n_parameters"]:,}
- Trained on: {own["trained_on"]}
- Training data: {metadata["data_source"]}
- License: {metadata["license"]}
- Weights: `models/model.safetensors` ({own.get("weights_dtype", "float16")}), SHA-256 `{own["weights_sha256"]}`"""


def _measured(metadata: dict[str, Any]) -> str:
    lines = [f"- {name}: {value}" for name, value in metadata["eval_metrics"].items()]
    return "\n".join(lines) or "Nothing measured yet."


def _references(metadata: dict[str, Any]) -> str:
    return "\n".join(f"- {reference}" for reference in metadata["references"]) or "See the project's README."

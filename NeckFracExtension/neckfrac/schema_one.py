"""Findings as they were stored before schema 2.0, in schema 1.0 to 1.6, become findings of schema 2.0.

Warnings, what drew the heat map and whose scans trained a network were sentences then. What was added from 1.1 on
(naming, reviews, regions, thresholds, measurements) may be missing; `Findings.from_dict` has defaults for it.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from .options import EXPLANATION_TITLES
from .provenance import Provenance
from .study_warning import GIVEN, NOT_CODED, StudyWarning


def upgraded(content: dict[str, Any], names: StudyWarning | None) -> dict[str, Any]:
    """The content of findings of schema 1.x as schema 2.0 has it. names: the warning of uncertain names, if any.

    Warnings whose code decides something get it, the others have none. Raises KeyError for what is no such content.
    """
    known = {str(warning): warning for warning in (names, GIVEN) if warning is not None}
    warnings = [known.get(text) or StudyWarning(NOT_CODED, text) for text in content["warnings"]]
    models = [{**m, "provenance": Provenance.from_sentence(m.get("trained_on", ""))} for m in content["models"]]
    return content | {
        "warnings": [asdict(warning) for warning in warnings],
        "models": models,
        "explanation": _explanation(content.get("explanation", "")),
    }


def _explanation(sentence: str) -> dict[str, str]:
    """Of "Grad-CAM of neckfrac-model-two"; "" stood for the members' own heat maps."""
    for method, title in EXPLANATION_TITLES.items():
        if sentence.startswith(f"{title} of "):
            return {"method": method, "member": sentence.removeprefix(f"{title} of ")}
    return {}

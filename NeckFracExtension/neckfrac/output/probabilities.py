"""The probabilities, calls and reviews as a table node."""

from __future__ import annotations

from typing import Any

from ..findings import Findings
from ..formatting import suspicion_in_words
from .mrml import table_of

TEXTS = ("Level", "Call", "Suspicion", "Review", "Note")


def fill_table(node: Any, findings: Findings) -> None:
    """A row a level and one for the patient; what is not known is NaN. Replaces what the node holds."""
    members = sorted({name for level in findings.levels for name in level.members})
    reviews = [findings.review_of(level.level) for level in findings.levels]
    columns: dict[str, list[Any]] = {
        "Level": [*(findings.naming.either(level.level) for level in findings.levels), "Patient"],
        "Probability": [*(level.probability for level in findings.levels), findings.patient_probability],
        "Call": [*(level.status for level in findings.levels), findings.patient_status],
        "Suspicion": [*(suspicion_in_words(level.severity) for level in findings.levels), ""],
        "Share in view": [*(level.share_in_view for level in findings.levels), None],
        "Threshold": [*(level.threshold for level in findings.levels), findings.patient_threshold],
        "Review": [*(review.verdict if review else "" for review in reviews), ""],
        "Note": [*(review.note if review else "" for review in reviews), ""],
    }
    for name in members:
        columns[name] = [*(level.members.get(name) for level in findings.levels), findings.patient_members.get(name)]
    node.SetAndObserveTable(table_of(columns, TEXTS))
    node.SetDescription(findings.naming.sentence())

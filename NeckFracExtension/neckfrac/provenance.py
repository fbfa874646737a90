"""Whose scans a network was trained on, or measured on: a word for programs beside the sentence for people."""

from __future__ import annotations

from enum import StrEnum
from typing import Any


class Provenance(StrEnum):
    """Of scans. SIMULATED: no person with a fracture is among them. MIXED: simulated ones and patients."""

    SIMULATED = "simulated"
    MIXED = "mixed"
    PATIENTS = "patients"
    UNKNOWN = "unknown"

    @classmethod
    def of(cls, value: Any) -> Provenance:
        """The provenance of that name; UNKNOWN for any other value, which a later version may have written."""
        return cls(value) if value in cls._value2member_map_ else cls.UNKNOWN

    @classmethod
    def from_sentence(cls, trained_on: str) -> Provenance:
        """What ``trained_on`` says in bundles and findings of before schema 2.0, which had the sentence alone."""
        if trained_on.startswith("simulated CT only"):
            return cls.SIMULATED
        if trained_on.startswith("patients of "):
            return cls.PATIENTS
        return cls.MIXED if trained_on.startswith("simulated CT and patients of ") else cls.UNKNOWN

    def with_other(self, other: Provenance) -> Provenance:
        """Of both together; what is not known stays unknown."""
        if self is other:
            return self
        return Provenance.UNKNOWN if Provenance.UNKNOWN in (self, other) else Provenance.MIXED

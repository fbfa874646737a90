"""Measurements in the Structured Report: TID 300, a TID 1501 group for each level and each pair of neighbours."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import __version__
from ..anatomy import LEVEL_BY_NAME
from ..findings import Findings
from ..measurement import Measurement
from . import dicom_codes as codes
from .dicom_source import SourceSeries
from .dicom_writing import new_uid


def measurement_groups(source: SourceSeries, findings: Findings) -> list[Any]:
    """The groups, from above; the finding sites of a pair are both its levels."""
    from highdicom import sr

    groups: dict[tuple[str, ...], list[Measurement]] = {}
    for one in findings.measurements:
        groups.setdefault(one.levels, []).append(one)
    made = []
    for levels, measured in groups.items():
        names = " and ".join(findings.naming.either(level) for level in levels)
        sites = [LEVEL_BY_NAME[level] for level in levels]
        made.append(
            sr.MeasurementsAndQualitativeEvaluations(
                tracking_identifier=sr.TrackingIdentifier(
                    uid=new_uid(source.series_uid, *levels, "measurements"), identifier=f"NeckFrac measured {names}"
                ),
                algorithm_id=sr.AlgorithmIdentification("NeckFrac", __version__),
                finding_sites=[
                    sr.FindingSite(codes.Concept(site.snomed, "SCT", site.meaning).code()) for site in sites
                ],
                measurements=[_measurement(source, one) for one in measured],
            )
        )
    return made


def _measurement(source: SourceSeries, one: Measurement) -> Any:
    """TID 300 with its uncertainty and normality (TID 310), its normal range (TID 312) and its lines."""
    from highdicom import sr

    quantity, unit = one.quantity, codes.UNITS[one.unit]
    normal = None
    if one.normal is not None:
        limits = [
            sr.NumContentItem(
                name=code.code(), value=_decimal(end), unit=unit.code(),
                relationship_type=sr.RelationshipTypeValues.HAS_PROPERTIES,
            )
            for code, end in ((codes.NORMAL_LOWER, one.normal.lower), (codes.NORMAL_UPPER, one.normal.upper))
            if end is not None
        ]  # fmt: skip
        normal = sr.NormalRangeProperties(limits, authority=one.normal.source)
    normality = None if one.normal is None else (codes.ABNORMAL if one.flag else codes.NORMAL).code()
    lines = [
        sr.CoordinatesForMeasurement3D(sr.GraphicTypeValues3D.POLYLINE, np.array(line), source.frame_of_reference)
        for line in one.lines
    ]
    return sr.Measurement(
        name=codes.Concept(quantity.name, codes.SCHEME, quantity.title).code(),
        value=_decimal(one.value),
        unit=unit.code(),
        method=codes.BY_HAND.code() if one.edited else codes.AUTOMATED.code(),
        properties=sr.MeasurementProperties(
            normality=normality,
            normal_range_properties=normal,
            upper_measurement_uncertainty=_decimal(one.upper - one.value),
            lower_measurement_uncertainty=_decimal(one.value - one.lower),
        ),
        referenced_coordinates=lines,
    )


def _decimal(value: float) -> float:
    """A decimal string holds 16 characters; no length is known to more than these digits."""
    return round(float(value), 4)

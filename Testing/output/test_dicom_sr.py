import json
from dataclasses import replace

import numpy as np
import pydicom
import pytest
from neckfrac.anatomy import LEVEL_NAMES, LEVELS
from neckfrac.findings import NEGATIVE, Box, Naming, Review
from neckfrac.output.dicom_codes import PROBABILITY
from neckfrac.output.dicom_source import read_source
from neckfrac.output.dicom_sr import write_report
from output.made_series import (
    FRAME,
    NAME,
    SERIES,
    dciodvfy_errors,
    findings_of,
    output_of,
    program,
    without_a_neck,
    write_case,
)

highdicom = pytest.importorskip("highdicom")
FINDINGS = findings_of()


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return read_source(write_case(tmp_path_factory.mktemp("series")), FINDINGS.study)


@pytest.fixture
def written(tmp_path, source):
    """Writes findings and reads them back: (dataset, groups by tracking identifier, as highdicom reads them)."""

    def written(findings=FINDINGS):
        path = tmp_path / "report.dcm"
        write_report(path, source, findings)
        content = highdicom.sr.srread(path).content
        groups = content.get_image_measurement_groups() + content.get_volumetric_roi_measurement_groups()
        return pydicom.dcmread(path), {group.tracking_identifier.removeprefix("NeckFrac "): group for group in groups}

    return written


def evaluations(group):
    """Qualitative evaluations as meaning: meaning."""
    found = {item.name.meaning: item.value.meaning for item in group.get_qualitative_evaluations()}
    return {name: value for name, value in found.items() if name != "Finding category"}


def comments(dataset):
    """The texts at the end of the report."""
    (container,) = [
        item for item in dataset.ContentSequence if item.ConceptNameCodeSequence[0].CodeValue == "C0034375"
    ]
    return [item.TextValue for item in container.ContentSequence]


def probability(group):
    return [item.value for item in group.get_measurements(name=PROBABILITY.code())]


def test_each_level_and_the_patient_has_its_place_probability_and_call(written):
    _, groups = written()
    assert set(groups) == {*LEVEL_NAMES, "Cervical spine"}
    for level in LEVELS:
        (site,) = groups[level.name].finding_sites
        assert (site.value.value, site.value.scheme_designator) == (level.snomed, "SCT")
    assert {name: probability(group) for name, group in groups.items()} == {
        "Cervical spine": [0.91], "C3": [0.87], "C4": [0.62], "C5": [0.03], "C1": [], "C2": [], "C6": [], "C7": []
    }  # fmt: skip
    assert evaluations(groups["C3"]) == {"Fracture": "Positive", "Degree of suspicion": "Medium"}
    assert evaluations(groups["C5"]) == {"Fracture": "Negative"}
    assert evaluations(groups["C7"]) == {"Fracture": "Not seen in the scan"}
    assert evaluations(groups["Cervical spine"]) == {"Fracture": "Positive"}
    fractured = {name for name, group in groups.items() if group.finding_type is not None}
    assert fractured == {"C3", "C4"}
    assert groups["C3"].finding_type.value == "72704001"


def test_the_corners_of_a_box_are_those_of_the_finding_in_its_frame_of_reference(written):
    _, groups = written()
    for name in ("C3", "C4"):
        surface, box = groups[name].roi, FINDINGS.level(name).box
        corners = np.concatenate(surface.graphic_data)
        assert surface.frame_of_reference_uid == FRAME
        assert np.allclose(corners.min(axis=0), box.lower, atol=1e-4)
        assert np.allclose(corners.max(axis=0), box.upper, atol=1e-4)
        assert len(np.unique(corners, axis=0)) == 8 and len(surface.graphic_data) == 6
        for face in surface.graphic_data:
            assert np.array_equal(face[0], face[-1])
            outwards = np.cross(face[1] - face[0], face[2] - face[1])
            assert outwards @ (face[:4].mean(axis=0) - box.center) > 0
    assert groups["C3"].roi.source_series_for_segmentation.value == SERIES


def test_it_says_first_that_it_is_for_research_and_what_the_networks_learned_from(written):
    dataset, _ = written()
    said = comments(dataset)
    assert said[0] == (
        "Research use only; not a medical device. Networks trained on: simulated CT only; no patient data."
    )
    assert said[1] == "Do not rely on the fracture calls."
    assert said[2] == "No reader has marked the review of this result as complete."
    assert "5% of the patients" in said[3] and "does not grade instability" in said[4]


def test_when_a_reader_marked_the_review_as_complete_is_told(written):
    dataset, _ = written(replace(FINDINGS, review_completed="2026-03-01T10:20:30+00:00"))
    assert "A reader marked the review as complete: 2026-03-01 10:20:30+00:00." in comments(dataset)
    assert dataset.VerificationFlag == "UNVERIFIED", "a stamp without a name is no verification"


def test_patient_study_and_evidence_are_the_series_own_and_nobody_has_verified_it(written, source):
    dataset, _ = written()
    assert (dataset.PatientName, dataset.PatientID, dataset.StudyInstanceUID) == (NAME, "ID-4711-XYZ", "1.2.3.4")
    assert (dataset.CompletionFlag, dataset.PreliminaryFlag, dataset.VerificationFlag) == (
        "COMPLETE", "PRELIMINARY", "UNVERIFIED")  # fmt: skip
    (study,) = dataset.CurrentRequestedProcedureEvidenceSequence
    (series,) = study.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == SERIES
    assert {item.ReferencedSOPInstanceUID for item in series.ReferencedSOPSequence} == {
        header.SOPInstanceUID for header in source.headers
    }
    assert (dataset.ManufacturerModelName, dataset.SoftwareVersions) == ("NeckFrac", "0.1.0")
    assert [item.CodingSchemeDesignator for item in dataset.CodingSchemeIdentificationSequence] == ["99NECKFRAC"]


def test_what_a_reader_said_stands_beside_the_call_of_the_networks(written):
    seen = Box((1.0, 2.0, 60.0), (8.0, 9.0, 66.0))
    findings = FINDINGS
    for review in (
        Review("C3", "rejected"), Review("C4", "confirmed"), Review("C5", "added", "Lamina, left.", seen)
    ):  # fmt: skip
        findings = findings.reviewed(review.level, review)
    dataset, groups = written(findings)
    assert evaluations(groups["C3"])["Review by a reader"] == "Rejected"
    assert evaluations(groups["C3"])["Fracture"] == "Positive" and groups["C3"].finding_type is None
    assert evaluations(groups["C4"])["Review by a reader"] == "Confirmed" and groups["C4"].finding_type is not None
    assert evaluations(groups["C5"]) == {"Fracture": "Negative", "Review by a reader": "Added"}
    assert groups["C5"].finding_type is not None
    assert np.allclose(np.concatenate(groups["C5"].roi.graphic_data).max(axis=0), seen.upper)
    assert dataset.VerificationFlag == "UNVERIFIED"
    assert "Reader on C5: Lamina, left." in comments(dataset)


def test_the_same_level_keeps_its_tracking_uid_from_report_to_report(written):
    first, groups = written()
    second, again = written(findings_of(NEGATIVE))
    assert first.SOPInstanceUID != second.SOPInstanceUID
    assert {name: group.tracking_uid for name, group in groups.items()} == {
        name: group.tracking_uid for name, group in again.items()
    }
    assert len({group.tracking_uid for group in groups.values()}) == 8


def test_uncertain_names_are_told_with_the_levels_and_before_the_warnings(written):
    naming = Naming(False, "C3–C5", ("C4–C6",), 0.7, "No end is in view.")
    dataset, groups = written(replace(FINDINGS, naming=naming, warnings=(naming.warning(),)))
    assert {"C3 or C4", "C4 or C5", "C5 or C6"} <= set(groups)
    told = "The levels' names are uncertain: C3–C5 or C4–C6. No end is in view."
    assert comments(dataset).count(told) == 1 and comments(dataset).index(told) == 1


def test_a_finding_without_a_box_and_a_study_without_a_neck_are_written(written):
    levels = tuple(replace(level, box=None) for level in FINDINGS.levels)
    _, groups = written(replace(FINDINGS, levels=levels))
    assert groups["C3"].finding_type is not None and not hasattr(groups["C3"], "roi")
    _, groups = written(without_a_neck())
    assert {evaluations(group)["Fracture"] for group in groups.values()} == {"Not seen in the scan"}
    assert all(not probability(group) for group in groups.values())


def test_dcmqi_reads_every_group_of_it(tmp_path, source):
    reader = program("tid1500reader", "pip install dcmqi")
    write_report(tmp_path / "report.dcm", source, FINDINGS)
    output_of(reader, "--inputDICOM", tmp_path / "report.dcm", "--outputMetadata", tmp_path / "report.json")
    groups = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))["Measurements"]
    found = {group["TrackingIdentifier"]: group for group in groups}
    assert set(found) == {f"NeckFrac {name}" for name in (*LEVEL_NAMES, "Cervical spine")}
    assert found["NeckFrac C3"]["measurementItems"][0]["value"] == "0.87"
    assert found["NeckFrac C3"]["Finding"]["CodeMeaning"] == "Fracture"


def test_dicom3tools_finds_no_error_in_it(tmp_path, source):
    write_report(tmp_path / "report.dcm", source, FINDINGS)
    assert dciodvfy_errors(tmp_path / "report.dcm") == []


def test_dcmtk_takes_it_for_a_comprehensive_3d_report(tmp_path, source):
    dump = program("dsrdump", "apt install dcmtk")
    write_report(tmp_path / "report.dcm", source, FINDINGS)
    said = output_of(dump, tmp_path / "report.dcm")
    assert said.startswith("Comprehensive 3D SR Document") and "E: " not in said

import csv
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from jinja2.exceptions import UndefinedError
from neckfrac.errors import Cancelled, InputError
from neckfrac.findings import ADDED, REJECTED, SCHEMA_VERSION, Box, Explanation, Findings, Naming, Review
from neckfrac.marks import MARK, mark_result
from neckfrac.output.folder import write_result
from neckfrac.output.pictures import panels
from neckfrac.output.report import report, templates
from neckfrac.output.tables import read_json, write_csv
from neckfrac.progress import Progress
from neckfrac.study_warning import StudyWarning
from neckfrac.workspace import check_place
from output_case import UNCERTAIN, center_of, make_analysis, with_anchors, with_naming

TABLES = {"findings.json", "findings.csv", "measurements.csv"}
FILES = {"scene.mrb", "vertebrae.seg.nrrd", "report.html", "overview.png", MARK} | TABLES


def test_the_result_folder_holds_all_that_is_promised(tmp_path, analysis):
    write_result(analysis, tmp_path / "a b" / "résult")
    out = tmp_path / "a b" / "résult"
    assert {path.name for path in out.iterdir()} == FILES
    assert read_json(out / "findings.json") == analysis.findings
    assert json.loads((out / "findings.json").read_text())["schema"] == SCHEMA_VERSION
    rows = list(csv.DictReader((out / "findings.csv").open(encoding="utf-8")))
    assert [row["level"] for row in rows] == ["C1", "C2", "C3", "C4", "C5", "C6", "C7", "patient"]
    assert rows[6]["status"] == "not seen" and rows[6]["probability"] == ""
    assert float(rows[1]["box_lower_x_mm"]) == pytest.approx(center_of(1)[0] - 7, abs=0.1)
    assert [path.name for path in out.parent.iterdir()] == ["résult"]


def test_anchors_are_a_file_of_their_own_and_the_vertebrae_s_stays_as_it_is(tmp_path, analysis):
    import SimpleITK as sitk

    write_result(analysis, tmp_path / "without")
    write_result(with_anchors(analysis), tmp_path / "with")
    assert {path.name for path in (tmp_path / "with").iterdir()} == FILES | {"anchors.seg.nrrd"}
    vertebrae = [sitk.ReadImage(str(tmp_path / name / "vertebrae.seg.nrrd")) for name in ("without", "with")]
    assert np.array_equal(*map(sitk.GetArrayViewFromImage, vertebrae))
    assert vertebrae[0].GetOrigin() == vertebrae[1].GetOrigin()


def test_the_csv_says_of_each_level_what_else_it_could_be(tmp_path, analysis):
    write_csv(with_naming(analysis, UNCERTAIN).findings, tmp_path / "uncertain.csv")
    rows = list(csv.DictReader((tmp_path / "uncertain.csv").open(encoding="utf-8")))
    assert [row["alternative_levels"] for row in rows] == ["C2", "C3", "C4", "C5", "C6", "C7", "", ""]
    assert {row["names_certain"] for row in rows} == {"no"} and rows[0]["names_probability"] == "0.7000"
    write_csv(analysis.findings, tmp_path / "certain.csv")
    rows = list(csv.DictReader((tmp_path / "certain.csv").open(encoding="utf-8")))
    assert {(row["alternative_levels"], row["names_certain"], row["names_probability"]) for row in rows} == {
        ("", "yes", "")
    }


def test_the_segmentation_opens_alone_with_names_and_codes(tmp_path, analysis):
    import SimpleITK as sitk

    write_result(analysis, tmp_path / "out")
    image = sitk.ReadImage(str(tmp_path / "out" / "vertebrae.seg.nrrd"))
    keys = {key: image.GetMetaData(key) for key in image.GetMetaDataKeys()}
    names = {keys[key]: key.split("_")[0] for key in keys if re.fullmatch(r"Segment\d+_Name", key)}
    assert set(names) == {"C1", "C2", "C3", "C4", "C5", "C6"}
    assert "39976000" in keys[f"{names['C2']}_Tags"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), Cancelled(), KeyboardInterrupt()])
def test_nothing_is_left_when_writing_fails_and_the_old_result_stays(tmp_path, analysis, monkeypatch, error):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old.txt").write_text("old")
    mark_result(tmp_path / "out")

    def fail(*_):
        raise error

    monkeypatch.setattr("neckfrac.output.tables.write_csv", fail)
    with pytest.raises(InputError if isinstance(error, OSError) else type(error)):
        write_result(analysis, tmp_path / "out", overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (tmp_path / "out" / "old.txt").read_text() == "old"


def test_a_disk_that_is_full_while_the_scene_is_written_leaves_nothing_and_says_where(tmp_path, analysis, capfd):
    resource = pytest.importorskip("resource")
    analysis.volume.voxels[...] = np.random.default_rng(0).integers(-1000, 2000, analysis.volume.shape)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, before[1]))  # the CT alone needs more
    try:
        with pytest.raises(InputError, match="can't be written") as error:
            write_result(analysis, tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert error.value.where == str(tmp_path / "out")
    assert list(tmp_path.iterdir()) == [] and capfd.readouterr().out == ""


def test_cancelling_while_writing_leaves_nothing(tmp_path, analysis):
    progress = Progress(cancelled=lambda: "Writing the scene" in progress.timings or progress.timings)
    with pytest.raises(Cancelled):
        write_result(analysis, tmp_path / "out", progress=progress)
    assert list(tmp_path.iterdir()) == []


def test_an_old_result_is_replaced_only_when_asked(tmp_path, analysis):
    write_result(analysis, tmp_path / "out")
    with pytest.raises(InputError, match="already holds"):
        check_place(tmp_path / "out", overwrite=False)
    write_result(analysis, tmp_path / "out", overwrite=True)
    assert {path.name for path in (tmp_path / "out").iterdir()} == FILES


def test_the_report_stands_alone_and_escapes_what_it_is_given(analysis):
    html = report(analysis, panels(analysis))
    assert "<b>Doe</b>" not in html and "&lt;b&gt;Doe&lt;/b&gt;" in html
    assert not re.search(r"""(src|href)=["'](?!data:|#)""", html) and "url(" not in html and "<script" not in html
    assert "Research use only; not a medical device" in html
    assert "trained on simulated CT only" in html
    assert "ab" * 32 in html and "1.5 s" in html
    assert html.count("<figure>") == 6 and html.count('class="box drawn"') == 6
    row = re.search(r"<tr[^>]*><td>C7</td>.*?</tr>", html).group()
    assert "not seen" in row and "negative" not in row
    assert re.search(r"Not seen: C7\.", html)


def test_what_a_study_says_of_itself_is_text_in_the_report_and_no_markup(analysis):
    study = replace(analysis.findings.study, patient_name="<b>A&B</b>", series_description='"><script>x()</script>')
    note, drawn = StudyWarning("scan-short", "<i>note</i>"), Explanation("grad-cam", "<u>x</u>")
    findings = replace(analysis.findings, study=study, warnings=(note,), explanation=drawn)
    html = report(replace(analysis, findings=findings), panels(analysis))
    assert "<script" not in html and "<b>A" not in html and "<i>note" not in html and "<u>" not in html
    assert "&lt;b&gt;A&amp;B&lt;/b&gt;" in html and "&lt;i&gt;note" in html


def test_a_name_that_a_template_lacks_is_an_error_and_no_gap():
    with pytest.raises(UndefinedError, match="absent"):
        templates().from_string("{{ absent }}").render()


def test_a_report_warns_of_uncertain_names_before_it_names_a_level(analysis):
    uncertain = with_naming(analysis, UNCERTAIN)
    another = StudyWarning("scan-short", "Another warning.")
    findings = replace(uncertain.findings, warnings=(UNCERTAIN.warning(), another))
    html = report(replace(uncertain, findings=findings), panels(analysis))
    banner = re.search(r'<section class="uncertain".*?</section>', html, re.DOTALL).group()
    assert "C1–C6 or C2–C7" in banner and "first rib" in html and "70%" in banner
    assert html.index(banner) < html.index("Suspected fracture") < html.index("<table>")
    assert "Suspected fracture: C2 or C3; C4 or C5<" in html and "Highest level: C2 or C3, 0.87" in html
    rows = re.findall(r"<tr[^>]*><td>(?:<a[^>]*>)?(C\d[^<]*)<", html)
    assert rows == ["C1 or C2", "C2 or C3", "C3 or C4", "C4 or C5", "C5 or C6", "C6 or C7", "C7"]
    assert "<h2>C2 or C3 fracture 0.87" in html and 'href="#C2"' in html and 'id="C2"' in html
    assert html.count("The levels") == 0 and "Another warning." in html, "the warning is not told twice"


def test_a_report_with_certain_names_warns_of_none(analysis):
    html = report(with_naming(analysis, Naming(True, "C1–C6", (), 0.99)), panels(analysis))
    assert "Uncertain" not in html and " or C" not in html


def test_a_patient_called_because_of_a_level_is_explained_in_report_and_tables(tmp_path, analysis):
    findings = replace(analysis.findings, patient_probability=0.41)
    note = findings.note_on_call()
    assert "0.41, lies below its threshold of 0.60" in note and "C2, C4 are" in note
    html = report(replace(analysis, findings=findings), panels(analysis))
    assert html.count(note) == 1 and html.index(note) < html.index("<table>")
    write_csv(findings, tmp_path / "findings.csv")
    rows = list(csv.DictReader((tmp_path / "findings.csv").open(encoding="utf-8")))
    assert rows[-1]["note"] == note and rows[-1]["level"] == "patient"
    assert "called positive because" not in report(analysis, panels(analysis))


def test_a_report_without_a_finding_has_no_views_and_no_switch(analysis):
    levels = tuple(
        replace(level, status="negative", severity=None, box=None) if level.status == "positive" else level
        for level in analysis.findings.levels
    )
    findings = replace(analysis.findings, levels=levels, patient_status="negative", patient_probability=0.2)
    html = report(replace(analysis, findings=findings), panels(analysis))
    assert "No level above its threshold" in html and "<figure>" not in html and "checkbox" not in html


def test_a_finding_without_a_box_is_shown_at_its_vertebra_and_without_either_says_so(analysis):
    second = analysis.findings.levels[1]
    nowhere = {"box": None, "center": None}
    for change, expected in (({"box": None}, "No region stands out"), (nowhere, "No place is known")):
        levels = (replace(second, **change), *analysis.findings.levels[2:])
        html = report(replace(analysis, findings=replace(analysis.findings, levels=levels)), panels(analysis))
        assert expected in html


def test_a_study_without_a_neck_gets_a_report_that_says_so():
    analysis = make_analysis(empty=True)
    html = report(analysis, panels(analysis))
    assert "No cervical spine found" in html and "negative" not in html


def test_findings_of_another_major_schema_are_refused(analysis):
    content = analysis.findings.to_dict() | {"schema": "3.0"}
    with pytest.raises(ValueError, match="schema 3.0"):
        Findings.from_dict(content)


def test_what_readers_said_is_in_table_report_and_json_and_their_boxes_are_drawn(tmp_path, analysis):
    box = Box(tuple(center_of(4) - 5), tuple(center_of(4) + 5))
    findings = analysis.findings.reviewed("C2", Review("C2", REJECTED, "vessel <b>")).reviewed(
        "C5", Review("C5", ADDED, "", box)
    )
    reviewed = replace(analysis, findings=findings)
    write_csv(findings, tmp_path / "findings.csv")
    rows = {row["level"]: row for row in csv.DictReader((tmp_path / "findings.csv").open(encoding="utf-8"))}
    assert (rows["C2"]["review"], rows["C2"]["note"], rows["C2"]["box_lower_x_mm"]) == ("rejected", "vessel <b>", "")
    assert rows["C5"]["review"] == "added"
    assert float(rows["C5"]["box_lower_x_mm"]) == pytest.approx(box.lower[0], abs=0.1)
    assert rows["patient"]["review"] == "" and set(rows["patient"]) == set(rows["C2"])
    text = report(reviewed, panels(reviewed))
    assert "rejected: vessel &lt;b&gt;" in text and 'id="C5"' in text and text.count("added") >= 2
    assert "Review" not in report(analysis, panels(analysis))

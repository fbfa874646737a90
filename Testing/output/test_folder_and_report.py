import csv
import json
import re

import numpy as np
import pytest
from neckfrac.errors import Cancelled, InputError
from neckfrac.findings import Findings
from neckfrac.output import folder as folders
from neckfrac.output.folder import check_result_folder, remove_unfinished, write_result
from neckfrac.output.pictures import cut, overview, png, view
from neckfrac.output.report import report
from neckfrac.output.tables import read_json
from neckfrac.progress import Progress
from output_case import center_of, make_analysis

FILES = {"scene.mrb", "vertebrae.seg.nrrd", "findings.json", "findings.csv", "report.html", "overview.png"}


def test_the_result_folder_holds_all_that_is_promised(tmp_path, analysis):
    write_result(analysis, tmp_path / "a b" / "résult")
    out = tmp_path / "a b" / "résult"
    assert {path.name for path in out.iterdir()} == FILES
    assert read_json(out / "findings.json") == analysis.findings
    assert json.loads((out / "findings.json").read_text())["schema"] == "1.0"
    rows = list(csv.DictReader((out / "findings.csv").open(encoding="utf-8")))
    assert [row["level"] for row in rows] == ["C1", "C2", "C3", "C4", "C5", "C6", "C7", "patient"]
    assert rows[6]["status"] == "not seen" and rows[6]["probability"] == ""
    assert float(rows[1]["box_lower_x_mm"]) == pytest.approx(center_of(1)[0] - 7, abs=0.1)
    assert [path.name for path in out.parent.iterdir()] == ["résult"]


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

    def fail(*_):
        raise error

    monkeypatch.setattr("neckfrac.output.tables.write_csv", fail)
    with pytest.raises(InputError if isinstance(error, OSError) else type(error)):
        write_result(analysis, tmp_path / "out", overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (tmp_path / "out" / "old.txt").read_text() == "old"


def test_cancelling_while_writing_leaves_nothing(tmp_path, analysis):
    progress = Progress(cancelled=lambda: "Writing the scene" in progress.timings or progress.timings)
    with pytest.raises(Cancelled):
        write_result(analysis, tmp_path / "out", progress=progress)
    assert list(tmp_path.iterdir()) == []


def test_an_old_result_is_replaced_only_when_asked(tmp_path, analysis):
    write_result(analysis, tmp_path / "out")
    with pytest.raises(InputError, match="already holds"):
        check_result_folder(tmp_path / "out")
    write_result(analysis, tmp_path / "out", overwrite=True)
    assert {path.name for path in (tmp_path / "out").iterdir()} == FILES


def test_a_place_that_cannot_be_written_is_refused_before_the_work(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file, not a folder"):
        check_result_folder(tmp_path / "file")
    with pytest.raises(InputError, match="can't be written"):
        check_result_folder(tmp_path / "file" / "out")


def test_a_forced_end_removes_what_is_unfinished(tmp_path):
    (tmp_path / "half").mkdir()
    folders._UNFINISHED.add(tmp_path / "half")
    remove_unfinished()
    folders._UNFINISHED.clear()
    assert not (tmp_path / "half").exists()


def test_the_report_stands_alone_and_escapes_what_it_is_given(analysis):
    html = report(analysis, overview(analysis))
    assert "<b>Doe</b>" not in html and "&lt;b&gt;Doe&lt;/b&gt;" in html
    assert not re.search(r"""(src|href)=["'](?!data:|#)""", html)
    assert "Research use only; not a medical device" in html
    assert "trained on simulated CT only" in html
    assert html.count("<figure>") == 6
    row = re.search(r"<tr[^>]*><td>C7</td>.*?</tr>", html).group()
    assert "not seen" in row and "negative" not in row


def test_a_study_without_a_neck_gets_a_report_that_says_so():
    analysis = make_analysis(empty=True)
    html = report(analysis, overview(analysis))
    assert "No cervical spine found" in html and "negative" not in html


@pytest.mark.parametrize(("axes", "flips"), [((0, 1, 2), ()), ((2, 0, 1), (1,)), ((1, 2, 0), (0, 2))])
def test_a_view_shows_the_same_place_whatever_the_stored_axes(axes, flips):
    center = center_of(1)
    stored, turned = make_analysis().volume, make_analysis(axes, flips).volume
    planes = [cut(volume, volume.voxels, center, "sagittal", (30, 20), 0.5) for volume in (stored, turned)]
    np.testing.assert_allclose(*planes, atol=1)


def test_a_view_has_the_front_on_the_left_and_the_head_on_top(analysis):
    volume = analysis.volume
    analysis.volume.voxels[...] = -1000
    z, y, x = np.rint(volume.to_indices(center_of(2) + np.array([0, -12, 14]))).astype(int)
    volume.voxels[z - 1 : z + 2, y - 2 : y + 3, x - 1 : x + 2] = 3000
    picture = view(analysis, center_of(2), "sagittal", (30, 30), 0.5, heat=False).astype(int).sum(axis=2)
    row, column = np.unravel_index(np.argmax(picture[20:-20, 20:-20]), (81, 81))
    assert row < 35 and column < 35


def test_pictures_are_png(analysis):
    assert png(overview(analysis)).startswith(b"\x89PNG")


def test_findings_of_another_major_schema_are_refused(analysis):
    content = analysis.findings.to_dict() | {"schema": "2.0"}
    with pytest.raises(ValueError, match="schema 2.0"):
        Findings.from_dict(content)

import json

import numpy as np
import pytest
import SimpleITK as sitk
from neckfrac.cli import main
from neckfrac.comparison.compare import Comparison

GRID = np.array([60, 24, 24])


def labels(swapped=False, shift=0):
    """Balls for C2 to C5 from above to below; `swapped`: C3 and C4 change names."""
    where = np.moveaxis(np.indices(GRID), 0, -1)
    result = np.zeros(GRID, np.uint8)
    for label in range(2, 6):
        own = {3: 4, 4: 3}.get(label, label) if swapped else label
        result[np.linalg.norm(where - (80 - 14 * label, 12, 12 + shift), axis=-1) < 5] = own
    return result


def write(array, path, spacing=(1.0, 1.0, 1.0)):
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(spacing)
    sitk.WriteImage(image, str(path))
    return path


@pytest.fixture
def run(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")

    def call(*arguments):
        with pytest.raises(SystemExit) as ended:
            main(["evaluate", "compare", *map(str, arguments)])
        captured = capsys.readouterr()
        return ended.value.code or 0, captured.out, captured.err

    return call


def test_a_row_a_level_and_what_is_odd_are_printed_and_written(run, tmp_path):
    ours = write(labels(shift=1), tmp_path / "ours.nii.gz")
    reference = write(labels(swapped=True), tmp_path / "reference.nrrd")
    code, told, errors = run(ours, reference, "--out", tmp_path / "c.json")
    assert (code, errors) == (0, "")
    rows = {c[0]: c for c in ([c.strip() for c in line.split("│")[1:-1]] for line in told.splitlines()) if c}
    assert list(rows) == [f"C{n}" for n in range(1, 8)]
    assert 0.7 < float(rows["C2"][1]) < 1 and rows["C2"][4] == "1.0" and rows["C2"][7] == "both"
    assert rows["C3"][7] == "in the reference's C4" and rows["C7"][7] == "in neither"
    assert "Reference: C4 lies above C3: the levels are out of order. At" in told
    written = Comparison.from_dict(json.loads((tmp_path / "c.json").read_text()))
    assert f"{written.levels[1].dice:.3f}" == rows["C2"][1] and f"{written.mean_dice:.3f}" in told


def test_the_reference_may_lie_on_another_grid(run, tmp_path):
    ours = write(labels(), tmp_path / "ours.nii.gz")
    fine = write(labels().repeat(2, 0).repeat(2, 1).repeat(2, 2), tmp_path / "fine.nrrd", (0.5, 0.5, 0.5))
    code, told, _ = run(ours, fine)
    assert code == 0 and "1.000" in next(line for line in told.splitlines() if "C3" in line)


@pytest.mark.parametrize("content, reason", [(b"no image", "not a NRRD header"), (None, "no such file")])
def test_files_that_are_no_labels_are_refused_in_one_line(run, tmp_path, content, reason):
    good, bad = write(labels(), tmp_path / "good.nii.gz"), tmp_path / "bad.nrrd"
    if content:
        bad.write_bytes(content)
    for pair in ((good, bad), (bad, good)):
        code, told, errors = run(*pair)
        assert code == 2 and told == "" and reason in errors and "Traceback" not in errors
    assert run(write(np.zeros((4, 4, 4), np.uint8), tmp_path / "empty.nrrd"), good)[0] == 2


def test_what_is_doubtful_in_the_files_is_printed_with_the_table_and_written(run, tmp_path):
    ours = write(labels(), tmp_path / "ours.nii.gz")
    theirs = np.zeros(GRID, np.uint8)
    for label in range(2, 6):
        theirs[labels() == label] = 51 - label  # TotalSegmentator's numbers
    reference = write(theirs, tmp_path / "reference.nrrd")
    code, told, errors = run(ours, reference, "--out", tmp_path / "c.json")
    assert code == 0 and "TotalSegmentator" in told and "reference.nrrd" in told and errors == ""
    (warning,) = Comparison.from_dict(json.loads((tmp_path / "c.json").read_text())).warnings
    assert "TotalSegmentator" in warning


def test_a_comparison_of_an_earlier_version_is_read():
    assert Comparison.from_dict({"levels": [], "flags": [], "reference_flags": [], "mean_dice": None}).warnings == ()

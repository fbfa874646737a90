import csv
from dataclasses import replace

import numpy as np
import pytest
from neckfrac.findings import NEGATIVE, Box
from neckfrac.intake.study import read_study
from neckfrac.output.dicom_source import read_source
from neckfrac.output.rsna_boxes import on_slices, write_boxes
from neckfrac_lab.training.rsna import RSNAData
from output.made_series import SHAPE, findings_of, write_case

FINDINGS = findings_of()
COLUMNS = "StudyInstanceUID,x,y,width,height,slice_number"


def test_the_reader_of_the_layout_finds_the_boxes_where_they_were(tmp_path):
    images = tmp_path / "train_images" / "1.2.3.4"
    for path in write_case(tmp_path / "written"):
        images.mkdir(parents=True, exist_ok=True)
        number = SHAPE[0] - int(path.stem.removeprefix("image")) + 1  # made_dicom names files against their number
        path.rename(images / f"{number}.dcm")
    columns = "StudyInstanceUID,patient_overall,C1,C2,C3,C4,C5,C6,C7"
    (tmp_path / "train.csv").write_text(f"{columns}\n1.2.3.4,1,0,0,1,1,0,0,0\n")
    write_boxes(tmp_path / "train_bounding_boxes.csv", list(images.iterdir()), FINDINGS)
    assert (tmp_path / "train_bounding_boxes.csv").read_text().splitlines()[0] == COLUMNS
    data = RSNAData(tmp_path)
    volume = read_study(images).volume
    found = [drawn.box for drawn in data.read_boxes("1.2.3.4", volume)]
    for name in ("C3", "C4"):
        box = FINDINGS.level(name).box
        own = [b for b in found if box.lower[2] <= b.center[2] <= box.upper[2]]
        # In its slices exactly (to a hundredth of a pixel); across them to half a slice.
        assert len(own) >= 2
        assert np.allclose(np.min([b.lower for b in own], axis=0)[:2], box.lower[:2], atol=0.01)
        assert np.allclose(np.max([b.upper for b in own], axis=0)[:2], box.upper[:2], atol=0.01)
        assert np.allclose(np.min([b.lower for b in own], axis=0)[2], box.lower[2], atol=2.5)


@pytest.mark.parametrize("numbered_from_above", [False, True])
def test_a_slice_is_named_by_its_own_number(tmp_path, numbered_from_above):
    def number(dataset, n):
        dataset.InstanceNumber = 100 - n if numbered_from_above else 1 + n

    source = read_source(write_case(tmp_path, change=number), FINDINGS.study)
    numbers = [row[4] for row in on_slices(source, Box((0.0, 0.0, 39.0), (6.0, 6.0, 44.0)))]  # z 30 + 2.5 n
    assert numbers == ([96, 95] if numbered_from_above else [5, 6])


def test_a_turned_series_is_cut_where_the_box_is_and_a_thin_box_is_on_the_nearest_slice(tmp_path):
    # Sagittal slices: columns run to the back, rows downwards, slices from left to right (x from -5 on, falling).
    source = read_source(write_case(tmp_path, orientation=(0, 1, 0, 0, 0, -1)), FINDINGS.study)
    box = Box((-16.0, -4.0, 20.0), (-9.0, 2.0, 26.0))
    rows = on_slices(source, box)
    assert [row[4] for row in rows] == [3, 4, 5]
    # y from -7 in pixels of 0.6 mm, z from 30 downwards in pixels of 0.8 mm, both from the first pixel's corner.
    assert np.allclose(rows[0][:4], [3 / 0.6 + 0.5, 4 / 0.8 + 0.5, 6 / 0.6, 6 / 0.8], atol=1e-6)
    thin = on_slices(source, Box((-11.9, -4.0, 20.0), (-10.2, 2.0, 26.0)))
    assert [row[4] for row in thin] == [3] and np.allclose(thin[0][:4], rows[0][:4])
    assert on_slices(source, Box((100.0, -4.0, 20.0), (101.0, 2.0, 26.0))) == []


def test_without_a_finding_the_table_has_its_header_only_and_slices_without_number_are_left_out(tmp_path):
    files = write_case(tmp_path / "series")
    write_boxes(tmp_path / "boxes.csv", files, findings_of(NEGATIVE))
    assert (tmp_path / "boxes.csv").read_text() == COLUMNS + "\n"

    def unnumbered(dataset, number):
        if number == 5:
            dataset.InstanceNumber = None

    files = write_case(tmp_path / "unnumbered", change=unnumbered)
    levels = (replace(FINDINGS.level("C3"), box=Box((0.0, 0.0, 39.0), (6.0, 6.0, 44.0))),)
    write_boxes(tmp_path / "boxes.csv", files, replace(FINDINGS, levels=levels))
    rows = list(csv.DictReader((tmp_path / "boxes.csv").open()))
    assert [row["slice_number"] for row in rows] == ["5"]

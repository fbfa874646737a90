import json

import numpy as np
import pytest
from neckfrac.anatomy import LEVEL_NAMES
from neckfrac.cli import main
from neckfrac.errors import InputError
from neckfrac.volume import CTVolume
from neckfrac_lab.evaluation.data_summary import DataSummary, StudySummary, summarise_data
from neckfrac_lab.simulate.export import export_nrrd
from neckfrac_lab.simulate.study import SimulatedStudy

UID = "1.2.826.0.1.3680043.{}"


def rsna_set(folder, studies=3, slices=4):
    """Slices without pixels, 1.5 mm apart, numbered from above; the first study is fractured at C2 and C7."""
    import pydicom
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

    rows = []
    for number in range(studies):
        uid = UID.format(number)
        (folder / "train_images" / uid).mkdir(parents=True)
        for n in range(1, slices + 1):
            meta = FileMetaDataset()
            meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, f"{uid}.{n}"
            meta.TransferSyntaxUID = ExplicitVRLittleEndian
            image = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
            image.SOPClassUID, image.SOPInstanceUID, image.InstanceNumber = CTImageStorage, f"{uid}.{n}", n
            image.ImagePositionPatient, image.Rows, image.Columns = [0, 0, -1.5 * n], 8, 6
            image.SliceThickness = 3.0
            if number:
                image.ConvolutionKernel = "BONE"
            pydicom.dcmwrite(folder / "train_images" / uid / f"{n}.dcm", image, enforce_file_format=True)
        broken = {"C2", "C7"} if number == 0 else set()
        rows.append(",".join([uid, str(int(bool(broken))), *(str(int(name in broken)) for name in LEVEL_NAMES)]))
    header = ",".join(["StudyInstanceUID", "patient_overall", *LEVEL_NAMES])
    (folder / "train.csv").write_text("\n".join([header, *rows, rows[0].replace(UID.format(0), "9.9")]) + "\n")
    boxes = [f"{UID.format(0)},1,1,2,2,{n}" for n in (2, 3)]
    (folder / "train_bounding_boxes.csv").write_text(
        "\n".join(["StudyInstanceUID,x,y,width,height,slice_number", *boxes]) + "\n"
    )
    return folder


def test_a_set_in_the_layout_of_rsna_is_counted_from_its_tables_and_headers(tmp_path):
    told = summarise_data(rsna_set(tmp_path)).to_dict()
    assert (told["studies"], told["absent"], told["fractured"], told["simulated"]) == (3, 1, 1, False)
    assert told["counts"]["fractured levels"] == {**dict.fromkeys(LEVEL_NAMES, 0), "C2": 1, "C7": 1}
    assert told["counts"]["fractured levels of a study"] == {"0": 2, "2": 1}
    assert told["counts"]["slice distance"] == {"1.25 to 2 mm": 3}, "by the positions, not by the stated 3 mm"
    assert told["counts"]["kernel"] == {"BONE": 2, "not stated": 1}
    assert told["counts"]["rows x columns"] == {"8x6": 3} and (told["boxes"], told["with boxes"]) == (2, 1)


def test_a_slice_that_is_no_image_is_told_and_the_others_are_counted(tmp_path):
    folder = rsna_set(tmp_path)
    for path in (folder / "train_images" / UID.format(1)).iterdir():
        path.write_bytes(b"no image")
    told = summarise_data(folder).to_dict()
    assert list(told["unreadable"]) == [UID.format(1)] and told["counts"]["rows x columns"]["8x6"] == 2


def test_simulated_studies_are_counted_with_the_kinds_of_their_fractures(tmp_path):
    for n, kind in enumerate(("burst", "burst", "lamina")):
        voxels, fracture = np.zeros((6, 8, 10), np.int16), np.zeros((6, 8, 10), np.uint8)
        fracture[2:4, 2:4, 2:4] = 5
        truth = {
            "seed": n, "mirrored": False, "mimics": [],
            "fractures": [{"level": "C5", "kind": kind, "parameters": {"severity": 0.5}, "box": None}],
        }
        study = SimulatedStudy(CTVolume(voxels, np.eye(4)), fracture.copy(), fracture, {"C5": 1.0}, {}, truth)
        export_nrrd(study, tmp_path / f"case{n}")
    told = summarise_data(tmp_path).to_dict()
    assert told["simulated"] and told["counts"]["kind of simulated fracture"] == {"burst": 2, "lamina": 1}
    assert told["counts"]["fractured levels"]["C5"] == 3 and told["counts"]["rows x columns"] == {"8x10": 3}


def test_a_folder_without_any_set_is_refused(tmp_path):
    with pytest.raises(InputError, match="no set of studies"):
        summarise_data(tmp_path)


@pytest.mark.parametrize(
    "thickness, group",
    [(0.5, "less than 0.75 mm"), (0.75, "0.75 to 1.25 mm"), (3.0, "3 mm and more"), (None, "not stated")],
)
def test_slice_distances_fall_into_groups_that_keep_their_order(thickness, group):
    studies = [StudySummary("a", (), thickness=value) for value in (thickness, 1.0)]
    groups = list(DataSummary(tuple(studies), True).counts["slice distance"])
    assert group in groups
    assert groups == sorted(groups, key=lambda name: (name == "not stated", not name.startswith("less"), name))


def test_the_command_fits_80_columns_and_writes_table_and_picture(tmp_path, capsys, monkeypatch):
    pytest.importorskip("matplotlib", reason="the picture is drawn by matplotlib, an optional extra")
    monkeypatch.setenv("COLUMNS", "80")
    folder = rsna_set(tmp_path / "set")
    with pytest.raises(SystemExit) as ended:
        main(["data", "summary", str(folder), "--out", str(tmp_path / "out")])
    shown = capsys.readouterr().out
    assert ended.value.code == 0 and max(map(len, shown.splitlines())) <= 80 and "fractured levels" in shown
    assert json.loads((tmp_path / "out" / "data-summary.json").read_text())["studies"] == 3
    assert (tmp_path / "out" / "data-summary.png").stat().st_size > 5000

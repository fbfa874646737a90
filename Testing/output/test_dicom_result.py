import shutil
import zipfile
from dataclasses import replace

import numpy as np
import pydicom
import pytest
from neckfrac.cli import main
from neckfrac.findings import Analysis
from neckfrac.intake.study import read_study, series_files
from neckfrac.output.dicom_source import source_of
from neckfrac.output.folder import _write_dicom, write_result
from neckfrac.study_warning import GIVEN
from output.made_series import SHAPE, findings_of, labels_of, write_case

pytest.importorskip("highdicom")
pytestmark = pytest.mark.usefixtures("one_thread")
DICOM = {"segmentation.dcm", "report.dcm", "boxes.csv"}


@pytest.fixture
def study(tmp_path):
    write_case(tmp_path / "study")
    return tmp_path / "study"


def analysis_of(study):
    loaded = read_study(study)
    labels = labels_of(loaded.volume.affine).voxels
    findings = replace(findings_of(), study=loaded.identity)
    return Analysis(loaded.volume, labels, np.zeros(SHAPE, np.uint8), findings)


def test_dicom_results_lie_in_the_folder_when_asked_for(tmp_path, study):
    analysis = analysis_of(study)  # that they do not otherwise: test_folder_and_report.py
    write_result(analysis, tmp_path / "out", dicom=source_of(study, analysis.findings.study))
    assert {path.name for path in (tmp_path / "out").iterdir()} >= DICOM | {"findings.json", "scene.mrb"}
    written = [pydicom.dcmread(tmp_path / "out" / name) for name in ("segmentation.dcm", "report.dcm")]
    assert [dataset.Modality for dataset in written] == ["SEG", "SR"]
    assert {dataset.StudyInstanceUID for dataset in written} == {analysis.findings.study.study_uid}
    assert len({dataset.SeriesInstanceUID for dataset in written} | {analysis.findings.study.series_uid}) == 3


def test_given_outlines_are_not_called_automatic(tmp_path, study):
    analysis = analysis_of(study)
    given = replace(analysis, findings=replace(analysis.findings, warnings=(GIVEN,)))
    source = source_of(study, analysis.findings.study)
    for name, case in (("AUTOMATIC", analysis), ("SEMIAUTOMATIC", given)):
        folder = tmp_path / name
        folder.mkdir()
        _write_dicom(case, folder, source)
        segments = pydicom.dcmread(folder / "segmentation.dcm").SegmentSequence
        assert {segment.SegmentAlgorithmType for segment in segments} == {name}


def test_of_a_zip_with_several_series_the_one_that_was_read_is_referred_to(tmp_path, study):
    write_case(study, SeriesInstanceUID="1.2.3.4.2", SeriesNumber=2, name="other")
    with zipfile.ZipFile(tmp_path / "study.zip", "w") as archive:
        for path in sorted(study.iterdir()):
            archive.write(path, path.name)
    identity = read_study(tmp_path / "study.zip", series="2").identity
    source = source_of(tmp_path / "study.zip", identity)
    assert source.series_uid == "1.2.3.4.2" and len(source.headers) == SHAPE[0]
    places = [float(header.ImagePositionPatient[2]) for header in source.headers]
    assert places == sorted(places)
    with series_files(study, "1.2.3.4.2") as files:
        assert {path.name[:5] for path in files} == {"other"} and len(files) == SHAPE[0]


def test_the_command_writes_a_report_of_a_study_without_a_neck_and_no_segmentation(tmp_path, study, models):
    out = tmp_path / "result"
    options = ["-o", str(out), "--device", "cpu", "--models", str(models), "--quiet", "--dicom"]
    with pytest.raises(SystemExit) as ended:
        main(["analyze", str(study), *options])
    assert ended.value.code == 0
    assert {path.name for path in out.iterdir()} & DICOM == {"report.dcm", "boxes.csv"}


def test_a_study_that_is_no_dicom_is_refused_before_the_networks_are_loaded(tmp_path, study, capsys):
    import SimpleITK as sitk
    from neckfrac.volume import to_image

    sitk.WriteImage(to_image(read_study(study).volume), str(tmp_path / "ct.nrrd"))
    shutil.rmtree(study)
    options = ["-o", str(tmp_path / "result"), "--models", str(tmp_path / "nowhere"), "--quiet", "--dicom"]
    with pytest.raises(SystemExit) as ended:
        main(["analyze", str(tmp_path / "ct.nrrd"), *options])
    assert ended.value.code == 2 and "leave out --dicom" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "result").exists()

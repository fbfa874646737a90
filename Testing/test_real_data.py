"""Fetching the public CT: only what was measured on is kept, nothing is fetched twice, and tables become images."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
from neckfrac.errors import InputError
from neckfrac.intake.study import read_study
from neckfrac_lab.real_data import GRID, SOURCES, STRUCTURES, fetch

TABLES = {
    "train-pats/pt_1/voxel_dimensions.csv": "4.0e+00\n3.0e+00\n2.5e+00\n",
    # Row y 1, column x 2, slices z 3 and 4; what is not listed is air.
    "train-pats/pt_1/ct.csv": f",data\n{(1 * GRID + 2) * GRID + 3},2024.0\n{(1 * GRID + 2) * GRID + 4},1064.0\n",
    "train-pats/pt_1/SpinalCord.csv": f",data\n{(1 * GRID + 2) * GRID + 4},\n",
}


@pytest.fixture
def published(tmp_path):
    """A source of three tables, at an address that needs no network: `source, base, sources`."""
    source = replace(SOURCES[1], hashes=tmp_path)
    root = tmp_path / "public" / source.repository / source.commit / source.folder
    lines = []
    for name, text in TABLES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(text.encode())
        lines.append(f"{hashlib.sha256(text.encode()).hexdigest()}  {name}")
    (tmp_path / f"{source.name}.sha256").write_text("\n".join(lines) + "\n", encoding="ascii")
    return root, (tmp_path / "public").as_uri(), (source,)


def test_tables_become_images_with_each_voxel_at_its_place(published, tmp_path):
    _, base, sources = published
    told = []
    fetch(tmp_path / "data", sources=sources, base=base, tell=told.append)
    folder = tmp_path / "data" / "openkbp"
    ct, organs = (sitk.ReadImage(str(folder / f"pt_1_{ending}.nii.gz")) for ending in ("ct", "oar"))
    voxels, labels = sitk.GetArrayFromImage(ct), sitk.GetArrayFromImage(organs)
    assert voxels.shape == (GRID,) * 3 and voxels.dtype == np.int16
    assert voxels[3, 1, 2] == 1000 and voxels[4, 1, 2] == 40 and (voxels == -1024).sum() == GRID**3 - 2
    assert labels[4, 1, 2] == 1 + STRUCTURES.index("SpinalCord") and (labels > 0).sum() == 1
    assert ct.GetSpacing() == pytest.approx((4.0, 3.0, 2.5))
    above, below = (ct.TransformIndexToPhysicalPoint((2, 1, z)) for z in (3, 4))
    assert below[2] == pytest.approx(above[2] - 2.5), "the last axis runs downwards"
    assert read_study(folder / "pt_1_ct.nii.gz").volume.voxels.max() == 1000
    assert "MIT" in told[0] and len(told) == 1 + len(TABLES)


def test_what_is_whole_is_not_fetched_again_and_what_is_damaged_is(published, tmp_path):
    root, base, sources = published
    fetch(tmp_path / "data", sources=sources, base=base, tell=lambda _: None)
    cord = tmp_path / "data" / "openkbp" / "as-published" / "train-pats" / "pt_1" / "SpinalCord.csv"
    cord.write_text("damaged")
    for name in TABLES:
        if "SpinalCord" not in name:
            (root / name).unlink()  # asking for it again would fail
    told = []
    fetch(tmp_path / "data", sources=sources, base=base, tell=told.append)
    assert len(told) == 2 and "SpinalCord" in told[1] and cord.read_text() == TABLES["train-pats/pt_1/SpinalCord.csv"]


def test_another_file_than_was_measured_on_is_refused_and_not_kept(published, tmp_path):
    root, base, sources = published
    (root / "train-pats/pt_1/ct.csv").write_text("something else")
    with pytest.raises(InputError, match="SHA-256 differs"):
        fetch(tmp_path / "data", sources=sources, base=base, tell=lambda _: None)
    assert not list((tmp_path / "data").rglob("ct.csv*")) and not list((tmp_path / "data").rglob("*.nii.gz"))


def test_an_address_without_answer_is_an_input_error_that_names_it(published, tmp_path):
    root, base, sources = published
    (root / "train-pats/pt_1/ct.csv").unlink()
    with pytest.raises(InputError, match=r"can't be fetched.*pt_1/ct.csv"):
        fetch(tmp_path / "data", sources=sources, base=base, tell=lambda _: None)


def test_every_source_is_a_fixed_commit_with_a_hash_for_every_file():
    for source in SOURCES:
        assert re.fullmatch("[0-9a-f]{40}", source.commit) and source.credit
        files = source.files()
        assert files and all(re.fullmatch("[0-9a-f]{64}", sha256) for sha256 in files.values())
        assert not any(name.startswith(("/", "..")) or ".." in name for name in files)
    patients = {name.split("/")[1] for name in SOURCES[1].files() if name.endswith("/ct.csv")}
    assert len(patients) == 12 and len(SOURCES[0].files()) == 234

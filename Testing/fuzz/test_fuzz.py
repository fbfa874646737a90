"""A short run of the fuzz, and that its judge can see what it is there to see."""

from __future__ import annotations

import base64
from dataclasses import replace

import numpy as np
import pytest
from neckfrac_lab.fuzz.judge import DIFFERENT, HANG, MEMORY, REFUSED, SAME, TRACEBACK, WARNED, Child, judge
from neckfrac_lab.fuzz.neck import truth
from neckfrac_lab.fuzz.run import bugs, cases, write_case
from neckfrac_lab.fuzz.volumes import FORMATS, base_volume

WHOLE = truth(0)


def reply(voxels=WHOLE.voxels, affine=WHOLE.affine, warnings=(), **more) -> dict:
    """What a reader says of a volume."""
    coded = base64.b64encode(np.ascontiguousarray(voxels).tobytes()).decode()
    return {"kind": "read", "warnings": warnings, "shape": voxels.shape, "affine": affine.ravel().tolist(),
            "voxels": coded, **more}  # fmt: skip


def test_files_of_every_mutation_show_no_bug():
    assert [
        (case.number, case.name, case.mutations, case.told) for case in bugs(list(cases("files", range(110), 0)))
    ] == []


def test_series_of_every_mutation_show_no_bug():
    assert [(case.number, case.mutations, case.told) for case in bugs(list(cases("series", range(40), 1)))] == []


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_read_as_it_is_before_it_is_mutated(tmp_path, name):
    made = base_volume(WHOLE, np.random.default_rng(0), name)
    made.write(tmp_path)
    child = Child()
    try:
        assert judge(child.read(tmp_path / name, 120.0), made.truth) == (SAME, "")
    finally:
        child.close()


def test_the_same_seed_gives_the_same_bytes(tmp_path):
    written = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_case("series", 17, 5, tmp_path / name)
        written.append({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()})
    assert written[0] == written[1]


def test_geometry_and_values_that_differ_in_silence_are_seen():
    moved, flipped = WHOLE.affine.copy(), WHOLE.affine.copy()
    moved[0, 3] += 1.0
    flipped[:, 0] *= -1
    values = WHOLE.voxels.copy()
    values[3, 4, 5] += 2
    for answer in (reply(affine=moved), reply(affine=flipped), reply(WHOLE.voxels[1:]), reply(values)):
        assert judge(answer, WHOLE)[0] == DIFFERENT
    assert judge(reply(values), replace(WHOLE, may_differ=1))[0] == SAME
    assert judge(reply(values, warnings=[("air-absent", "Something is odd.")]), WHOLE)[0] == WARNED
    # What is said of every study of this size is no warning of the mutation.
    assert judge(reply(values, warnings=[("scan-short", "It is only 48 mm high.")]), WHOLE)[0] == DIFFERENT


def test_other_ends_of_a_read_are_told_apart():
    assert judge({"kind": "refused", "told": "x"}, WHOLE)[0] == REFUSED
    assert judge({"kind": TRACEBACK, "told": "x"}, WHOLE)[0] == TRACEBACK
    assert judge(reply(grown=2**30), WHOLE)[0] == MEMORY


def test_a_reader_that_does_not_answer_is_ended_and_replaced(tmp_path):
    child = Child()
    made = base_volume(WHOLE, np.random.default_rng(0), "v.nii")
    made.write(tmp_path)
    try:
        assert child.read(tmp_path / "v.nii", 1e-4)["kind"] == HANG
        assert child.read(tmp_path / "v.nii", 120.0)["kind"] == "read"
    finally:
        child.close()

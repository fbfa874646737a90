"""Uploads that are too large, too many, broken, or made to do harm: each has a clear answer and leaves nothing."""

from __future__ import annotations

import struct
import threading
import time
import zipfile
from dataclasses import replace

import httpx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from neckfrac.server.problems import Problem
from neckfrac.server.settings import Limits
from neckfrac.server.store import Store
from neckfrac.server.uploads import Receiver, check_zip
from server.fixtures import LIMITS
from server.service_case import Service, wait_for, write_dicom
from server.test_api import problem

BOUNDARY = "x" * 20
FORM = f"multipart/form-data; boundary={BOUNDARY}"


def form(*files):
    """The body of a form by hand: names as they are."""
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'.encode()
        + data
        + b"\r\n"
        for name, data in files
    ]
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def post(client, body, content_type=FORM, **headers):
    return client("POST", "/api/studies", content=body, headers={"Content-Type": content_type, **headers})


@pytest.fixture
def small(new_client):
    """A service with narrow limits; afterwards nothing of what was refused may be left."""
    client = new_client(replace(LIMITS, upload_bytes=200_000, upload_files=5, unpacked_bytes=10**6, queue_length=3))
    before = set(client.service.store.study_ids())
    yield client
    refused = set(client.service.store.study_ids()) - before
    assert {client.service.table.get(one)["state"] for one in refused} <= {"queued", "running", "done", "failed"}


def test_too_large_is_told_before_and_while_it_comes(small):
    problem(post(small, form(("a.dcm", bytes(300_000)))), 413)

    def endless():
        yield form(("a.dcm", b"")).removesuffix(f"\r\n--{BOUNDARY}--\r\n".encode())
        for _ in range(40):
            yield bytes(10_000)

    problem(post(small, endless()), 413)


def test_too_many_files(small):
    said = problem(post(small, form(*[(f"{n}.dcm", b"x") for n in range(6)])), 413)
    assert "more than 5 files" in said["what"]


def test_a_full_disk_is_507(new_client, study_file):
    client = new_client(replace(LIMITS, disk_floor=10**18))
    problem(client.upload(study_file), 507)
    assert client.http.get("/readyz").status_code == 503
    assert not list(client.service.store.study_ids())


def test_a_full_queue_is_503(new_client, study_file):
    client = new_client(replace(LIMITS, queue_length=0))
    answer = client.upload(study_file)
    assert problem(answer, 503) and answer.headers["retry-after"]


def test_names_that_climb_stay_inside(small, study_file, tmp_path):
    data = study_file.read_bytes()[:1000]
    for name in (
        "../../../../tmp/climbed.nrrd",
        "..\\..\\climbed.nrrd",
        "/etc/climbed.nrrd",
        "a\0b.nrrd",
        "x" * 3000 + ".nrrd",
    ):
        answer = post(small, form((name, data)))
        assert answer.status_code == 202
        identifier = answer.json()["id"]
        assert [path.name for path in small.service.store.upload(identifier).iterdir()] == ["00001.nrrd"]
        small.finished(identifier)


@pytest.mark.parametrize(
    ("files", "status", "word"),
    [
        ([("notes.txt", b"Hello")], 415, "read as a CT"),
        ([("picture.jpg", b"\xff\xd8\xff\xe0")], 415, "read as a CT"),
        ([("DICOMDIR", bytes(128) + b"DICM")], 415, "read as a CT"),
        ([], 415, "read as a CT"),
        ([("ct.mhd", b"ObjectType = Image")], 415, "without its data"),
        ([("a.zip", b"PK\x03\x04 and then nothing")], 422, "corrupt"),
    ],
)
def test_what_is_no_image_is_refused(small, files, status, word):
    assert word in problem(post(small, form(*files)), status)["what"]


def test_bodies_that_are_no_form(small):
    problem(post(small, b"{}", "application/json"), 415)
    problem(post(small, b"nonsense"), 400)
    problem(post(small, form(("a.dcm", b"x"))[:-30]), 400)
    problem(post(small, b"", "multipart/form-data"), 415)
    long_header = f"--{BOUNDARY}\r\nX-Long: {'x' * 20_000}\r\n\r\n".encode()
    problem(post(small, long_header), 400)
    field = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="f"\r\n\r\n'.encode() + bytes(70_000)
    problem(post(small, field), 413)


def test_options_are_checked_and_not_repeated(small, study_file):
    for fields in ({"operating_point": "Doe^Jane"}, {"Doe": "1"}, {"series": "../x"}, {"explain": "x"}):
        said = problem(small.upload(study_file, **fields), 422)
        assert "Jane" not in str(said)


def test_a_folder_of_a_cd_is_taken_without_what_is_no_image(new_client, tmp_path):
    client = new_client()
    files = write_dicom(tmp_path / "cd")
    extra = [
        ("files", ("autorun.inf", b"[autorun]")),
        ("files", (".DS_Store", b"x")),
        ("files", ("DICOMDIR", bytes(132))),
    ]
    answer = client("POST", "/api/studies", files=[("files", (f.name, f.read_bytes())) for f in files] + extra)
    assert answer.json()["uploaded_files"] == len(files)
    assert client.finished(answer.json()["id"])["state"] == "done"


def zip_of(path, members, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return path


def test_zip_bombs_are_refused_before_they_are_unpacked(small, tmp_path):
    bomb = zip_of(tmp_path / "bomb.zip", [("a.dcm", bytes(50 * 10**6))])
    assert bomb.stat().st_size < 10**5
    problem(small.upload(bomb), 413)
    problem(small.upload(zip_of(tmp_path / "many.zip", [(f"{n}.dcm", b"") for n in range(6)])), 413)


def test_a_zip_whose_table_would_fill_the_memory_is_refused(tmp_path):
    """The table of contents is counted before it is read: two million entries would take a gigabyte."""
    path = tmp_path / "00001.zip"
    entry = b"PK\x01\x02" + bytes(24) + struct.pack("<HHH", 0, 0, 0) + bytes(12)
    with path.open("wb") as stream:
        for _ in range(200):
            stream.write(entry * 10_000)
        size = stream.tell()
        stream.write(b"PK\x05\x06" + struct.pack("<HHHHLLH", 0, 0, 1, 1, size, 0, 0))
    with pytest.raises(Problem, match="more than a study"):
        check_zip(path, Limits(disk_floor=0), Store(tmp_path / "data"))


@pytest.mark.parametrize("name", ["../../climbed.dcm", "/tmp/climbed.dcm", "C:\\climbed.dcm"])
def test_a_zip_that_climbs_fails_with_its_reason(client, tmp_path, name):
    study = client.finished(client.upload(zip_of(tmp_path / "a.zip", [(name, b"x")])).json()["id"])
    assert study["state"] == "failed" and "leads out" in study["error"]["what"]
    assert study["error"]["where"] == "file 1 of 1"


def test_a_link_in_a_zip_fails_with_its_reason(client, tmp_path):
    link = zipfile.ZipInfo("passwd.dcm")
    link.external_attr = 0o120777 << 16
    study = client.finished(client.upload(zip_of(tmp_path / "a.zip", [(link, b"/etc/passwd")])).json()["id"])
    assert study["state"] == "failed" and "link" in study["error"]["what"]


def test_a_client_that_goes_away_leaves_nothing(tmp_path):
    with Service(tmp_path / "data") as service:
        service.wait()
        headers = {"Authorization": f"Bearer {service.token()}", "Content-Type": FORM}

        def broken_off():
            yield form(("a.dcm", bytes(10**6)))[:-100]
            raise RuntimeError("the client went away")

        with pytest.raises(RuntimeError):
            httpx.post(f"{service.address}/api/studies", content=broken_off(), headers=headers)
        studies = tmp_path / "data" / "studies"
        wait_for(lambda: not list(studies.iterdir()))
        assert httpx.get(f"{service.address}/api/studies", headers=headers).json()["studies"] == []


def resident(pid):
    """MiB of memory that a process uses."""
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS")) / 1024


def test_memory_stays_small_however_large_the_upload(tmp_path):
    """400 MB in a zip of one member and 3,000 files, while memory is looked at all the time."""
    with Service(tmp_path / "data") as service:
        service.wait()
        headers = {"Authorization": f"Bearer {service.token()}", "Content-Type": FORM}
        seen, stop = [], threading.Event()

        def look():
            while not stop.wait(0.02):
                seen.append(resident(service.process.pid))

        watching = threading.Thread(target=look)
        watching.start()

        def body():
            head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="files"; filename="%s"\r\n\r\n'
            yield (head % "large.nrrd").encode()
            piece = np.random.default_rng(0).bytes(10**6)
            for _ in range(400):
                yield piece
            yield b"\r\n"
            for number in range(3_000):
                yield (head % f"{number}.dcm").encode() + bytes(128) + b"DICM\r\n"
            yield f"--{BOUNDARY}--\r\n".encode()

        began = time.perf_counter()
        answer = httpx.post(f"{service.address}/api/studies", content=body(), headers=headers, timeout=300)
        seconds = time.perf_counter() - began
        stop.set()
        watching.join()
        assert answer.status_code == 202 and answer.json()["uploaded_files"] == 3_001
        print(f"{400 / seconds:.0f} MB/s with 3,001 files, at most {max(seen):.0f} MiB")
        assert max(seen) < 300


@given(st.lists(st.binary(max_size=3000), min_size=1, max_size=5), st.integers(1, 500))
def test_files_arrive_whole_however_the_body_is_cut(tmp_path_factory, contents, step):
    folder = tmp_path_factory.mktemp("cut")
    store = _store(tmp_path_factory)
    receiver = Receiver(FORM, folder, Limits(disk_floor=0), store, any_type=False)
    body = form(*[(f"{n}.dcm", data) for n, data in enumerate(contents)])
    for start in range(0, len(body), step):
        receiver.feed(body[start : start + step])
    assert [path.read_bytes() for path in receiver.finish().files] == contents


_kept = []


def _store(factory):
    if not _kept:
        _kept.append(Store(factory.mktemp("store")))
    return _kept[0]

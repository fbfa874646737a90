"""Series from a PACS: slices come by STOW-RS, a quiet series is closed, a late slice makes a new revision."""

from __future__ import annotations

import pydicom
import pytest
from neckfrac.server.database import jobs
from server.service_case import wait_for, write_dicom
from server.test_api import problem
from sqlalchemy import select

BOUNDARY = "neckfracneckfrac"


def store(client, files, path="/dicomweb/studies", role="write", kind="application/dicom"):
    parts = [
        f"--{BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode() + f.read_bytes() + b"\r\n" for f in files
    ]
    body = b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()
    headers = {"Content-Type": f'multipart/related; type="{kind}"; boundary={BOUNDARY}'}
    return client("POST", path, role=role, content=body, headers=headers)


def revisions(client):
    with client.service.engine.connect() as connection:
        rows = connection.execute(select(jobs).where(jobs.c.series_key.is_not(None)).order_by(jobs.c.revision))
        return [dict(row) for row in rows.mappings()]


def count(answer, tag):
    return len(answer.json().get(tag, {}).get("Value", []))


@pytest.fixture
def files(tmp_path):
    return write_dicom(tmp_path / "series", FrameOfReferenceUID="1.2.3.9")


def test_a_quiet_series_is_analysed_once(new_client, files):
    client = new_client(quiet=2.0)
    for first in range(0, len(files), 25):
        answer = store(client, files[first : first + 25])
        assert answer.status_code == 200
        assert isinstance(answer.json(), dict)  # one object: Orthanc can't read a list
    again = store(client, files[:5])  # sent again; nothing new
    assert again.status_code == 200 and count(again, "00081199") == 5
    [row] = revisions(client)
    assert (row["state"], row["files"]) == ("receiving", len(files))
    study = client.finished(row["id"])
    assert (study["state"], study["patient_id"], study["revision"]) == ("done", "ID-4711-XYZ", 1)
    assert {"segmentation.dcm", "report.dcm"} <= set(study["files"])
    assert store(client, files[:3]).status_code == 200
    assert len(revisions(client)) == 1  # the PACS may repeat itself as often as it likes


def test_a_late_slice_makes_a_new_revision(new_client, files):
    client = new_client(quiet=1.0)
    store(client, files[:-1])
    first = wait_for(lambda: (r := revisions(client))[0]["state"] == "done" and r[0])
    assert store(client, files[-1:]).status_code == 200
    old, new = revisions(client)
    assert (old["id"], new["revision"]) == (first["id"], 2)
    assert client.finished(new["id"])["uploaded_files"] == len(files)
    assert client.study(old["id"])["state"] == "done"


def test_a_late_slice_takes_the_place_of_a_series_that_waits(new_client, files):
    client = new_client(quiet=1.0)
    store(client, files[:-1])
    client.service.table.enqueue(revisions(client)[0]["id"])  # closed early, as if the seconds were over
    assert store(client, files[-1:]).status_code == 200
    old, new = revisions(client)
    assert client.finished(new["id"])["state"] == "done"
    assert client.study(old["id"])["state"] in ("cancelled", "done")


def test_other_objects_and_broken_ones_are_refused_one_by_one(new_client, files, tmp_path):
    client = new_client(quiet=60.0)
    other = pydicom.dcmread(files[0])
    other.SOPClassUID = other.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.66.4"
    other.save_as(tmp_path / "seg.dcm")
    (tmp_path / "broken.dcm").write_bytes(b"broken")
    answer = store(client, [files[0], tmp_path / "seg.dcm", tmp_path / "broken.dcm"])
    assert (answer.status_code, count(answer, "00081199"), count(answer, "00081198")) == (202, 1, 2)
    reasons = [item["00081197"]["Value"][0] for item in answer.json()["00081198"]["Value"]]
    assert reasons == [0x0122, 0xC000]
    assert store(client, [tmp_path / "seg.dcm"]).status_code == 409
    assert store(client, [files[1]], path="/dicomweb/studies/1.2.3.999").status_code == 409
    assert store(client, [files[1]], path="/dicomweb/studies/1.2.3.4").status_code == 200
    assert not list(client.service.store.scratch.iterdir())


def test_who_may_store(new_client, files):
    client = new_client()
    problem(store(client, files[:1], role="read"), 403)
    problem(store(client, []), 400)
    problem(client("POST", "/dicomweb/studies", content=b"{}", headers={"Content-Type": "application/json"}), 415)


def test_a_restart_keeps_what_was_acknowledged(tmp_path, files):
    from server.service_case import Service

    data = tmp_path / "data"
    with Service(data, environment={"QUIET": "3"}) as service:
        client = Remote(service.wait())
        assert store(client, files[:40]).status_code == 200
        service.kill()
    with Service(data, environment={"QUIET": "3"}) as service:
        client = Remote(service.wait())
        assert store(client, files[40:]).status_code == 200
        study = wait_for(lambda: (s := client("GET", "/api/studies").json()["studies"])[0]["state"] == "done" and s[0])
        assert study["uploaded_files"] == len(files)


class Remote:
    """Requests to a service in another process."""

    def __init__(self, service):
        self.address, self.token = service.address, service.token()

    def __call__(self, method, path, role=None, headers=None, **how):
        import httpx

        headers = {"Authorization": f"Bearer {self.token}", **(headers or {})}
        return httpx.request(method, self.address + path, headers=headers, timeout=60, **how)

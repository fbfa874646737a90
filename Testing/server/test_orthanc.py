"""A real Orthanc: a scanner sends through it, SEG and SR go back to it, also when it was down meanwhile."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest
from server.service_case import FAKE_WORKER, Service, free_port, need, wait_for, write_dicom
from server.test_stow import Remote, store

DEPLOY = Path(__file__).parents[2] / "Resources" / "Deploy" / "orthanc"
PASSWORD = "for-this-test"


class Orthanc:
    """Debian's Orthanc with the project's configuration, on ports of its own."""

    def __init__(self, folder, service=None, stable=2):
        program = shutil.which("Orthanc")
        need(
            program and list(Path("/usr/share/orthanc/plugins").glob("libOrthancDicomWeb.so*")), "Orthanc with DICOMweb"
        )
        self.http, self.dicom, self.program = free_port(), free_port(), program
        folder.mkdir(parents=True, exist_ok=True)
        text = re.sub(r"^\s*//.*$", "", (DEPLOY / "orthanc.json").read_text(), flags=re.MULTILINE)
        # "Host": Orthanc has no such option; a network namespace or a firewall keeps it off other interfaces.
        changed = {**json.loads(text), "HttpPort": self.http, "DicomPort": self.dicom, "StableAge": stable}
        changed["DicomWeb"]["Servers"] = changed["DicomWeb"]["Servers"] if service else {}
        changed["LuaScripts"] = changed["LuaScripts"] if service else []
        self.configuration = folder / "orthanc.json"
        self.configuration.write_text(json.dumps(changed))
        self.environment = {
            **os.environ,
            "ORTHANC_STORAGE": str(folder / "storage"),
            "ORTHANC_PASSWORD": PASSWORD,
            "NECKFRAC_LUA": str(DEPLOY / "neckfrac.lua"),
            "NECKFRAC_URL": service.address if service else "",
            "NECKFRAC_TOKEN": service.token("write") if service else "",
        }
        self.folder, self.process = folder, None

    @property
    def stow(self):
        return f"http://127.0.0.1:{self.http}/dicom-web/studies"

    def start(self):
        log = (self.folder / "log").open("ab")
        command = [self.program, str(self.configuration)]
        self.process = subprocess.Popen(command, env=self.environment, stdout=log, stderr=log)

        def up():
            assert self.process.poll() is None, (self.folder / "log").read_text()
            try:
                return self.get("/system").status_code == 200
            except httpx.TransportError:
                return False

        wait_for(up)
        return self

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(30)

    def get(self, path):
        return httpx.get(f"http://127.0.0.1:{self.http}{path}", auth=("neckfrac", PASSWORD), timeout=30)

    def modalities(self):
        """How many instances of each modality it holds, by QIDO."""
        found = self.get("/dicom-web/instances?includefield=00080060").json()
        kinds = [one["00080060"]["Value"][0] for one in found]
        return {kind: kinds.count(kind) for kind in set(kinds)}


@pytest.fixture
def orthancs():
    made = []

    def make(*arguments, **how):
        made.append(Orthanc(*arguments, **how))
        return made[-1]

    yield make
    for one in made:
        one.stop()


def pacs(orthanc, *more):
    options = ("--pacs", orthanc.stow, "--pacs-user", "neckfrac", "--quiet", "1", *more)
    return options, {"NECKFRAC_PACS_PASSWORD": PASSWORD, "FIRST_PAUSE": "1"}


def test_a_series_that_a_scanner_sends_comes_back_as_seg_and_sr(tmp_path, orthancs):
    need(shutil.which("storescu"), "storescu (dcmtk)")
    files = write_dicom(tmp_path / "series", FrameOfReferenceUID="1.2.3.9")
    archive = orthancs(tmp_path / "archive")
    options, environment = pacs(archive, "--capture")
    with Service(tmp_path / "data", *options, environment=environment) as service:
        service.wait()
        front = orthancs(tmp_path / "front", service=service).start()
        archive.start()
        send = ["storescu", "-aet", "SCANNER", "-aec", "NECKFRAC", "127.0.0.1", str(front.dicom), *map(str, files)]
        subprocess.run(send, check=True, timeout=120)
        stranger = [*send[:2], "STRANGER", *send[3:7]]
        assert subprocess.run([*stranger, str(files[0])], timeout=60, capture_output=True).returncode != 0
        wait_for(lambda: archive.modalities() == {"SEG": 1, "SR": 1, "OT": 1})
        client = Remote(service)
        [study] = client("GET", "/api/studies").json()["studies"]
        study = wait_for(
            lambda: (s := client("GET", f"/api/studies/{study['id']}").json())["delivery"]["delivered"] and s
        )
        assert (study["delivery"]["state"], study["uploaded_files"]) == ("delivered", len(files))
        found = archive.get("/dicom-web/studies").json()
        assert [one["0020000D"]["Value"][0] for one in found] == ["1.2.3.4"]  # the study that it belongs to
        # Once more by hand: the PACS keeps one of each.
        assert client("POST", f"/api/studies/{study['id']}/delivery").status_code == 202
        wait_for(lambda: client("GET", f"/api/studies/{study['id']}").json()["delivery"]["state"] == "delivered")
        assert archive.modalities() == {"SEG": 1, "SR": 1, "OT": 1}


def test_a_pacs_that_was_down_gets_the_results_once(tmp_path, orthancs):
    files = write_dicom(tmp_path / "series", FrameOfReferenceUID="1.2.3.9")
    archive = orthancs(tmp_path / "archive")
    options, environment = pacs(archive)
    with Service(tmp_path / "data", *options, worker=FAKE_WORKER, environment=environment) as service:
        client = Remote(service.wait())
        assert store(client, files).status_code == 200

        def state():
            studies = client("GET", "/api/studies").json()["studies"]
            return client("GET", f"/api/studies/{studies[0]['id']}").json()

        study = wait_for(lambda: (s := state())["delivery"] and s["delivery"]["tries"] >= 2 and s)
        assert study["state"] == "done" and study["delivery"]["state"] in ("waiting", "sending")
        assert "can't be reached" in study["delivery"]["error"]
        archive.start()
        wait_for(lambda: state()["delivery"]["state"] == "delivered")
        assert archive.modalities() == {"SEG": 1, "SR": 1}


def test_nobody_without_a_password_sees_the_archive(tmp_path, orthancs):
    archive = orthancs(tmp_path / "archive").start()
    assert httpx.get(archive.stow).status_code == 401

"""The worker as a real process; its engine is a small fake that is named so."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

ENGINE = Path(__file__).parents[1] / "NeckFracExtension"
FAKE = '''
import sys, time
import numpy as np
from neckfrac.anatomy import LEVEL_NAMES
from neckfrac.findings import Analysis, Findings, VertebraFinding
from neckfrac.worker import Worker, main

class FakeEngine:
    """Stands in for the networks: labels one voxel and takes as long as it is told."""
    def analyze(self, study, *, operating_point, progress):
        with progress.stage("Pretending", until=1.0):
            if study.identity.study_description == "slow":
                for n in range(2000):
                    time.sleep(0.01)
                    progress.step(n / 2000)
            if study.identity.study_description == "broken":
                raise ValueError("no luck")
        labels = np.zeros(study.volume.shape, np.uint8)
        labels[1, 2, 3] = 4
        levels = tuple(VertebraFinding(name, "not seen") for name in LEVEL_NAMES)
        findings = Findings(study.identity, levels, "not seen", None, {}, 0.5, operating_point)
        return Analysis(study.volume, labels, labels, findings)

main(engine_factory=lambda **options: FakeEngine())
'''


class Client:
    def __init__(self, folder):
        environment = os.environ | {"PYTHONPATH": str(ENGINE), "PYTHONUTF8": "1"}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        self.process = subprocess.Popen([sys.executable, "-c", FAKE], env=environment, text=True, cwd=folder, **pipes)
        assert self.next()["event"] == "ready"

    def send(self, request):
        self.process.stdin.write(request if isinstance(request, str) else json.dumps(request) + "\n")
        self.process.stdin.flush()

    def next(self):
        return json.loads(self.process.stdout.readline())

    def until(self, *events):
        while True:
            event = self.next()
            if event["event"] in events:
                return event


@pytest.fixture
def client(tmp_path):
    client = Client(tmp_path)
    yield client
    client.process.kill()
    client.process.communicate()


def request(folder, identifier=1, kind=""):
    generator = np.random.default_rng(0)
    voxels = generator.normal(40, 300, (40, 40, 40)).clip(-1000, 2000).astype(np.int16)
    voxels[:, :10] = -1000
    voxels[15:25, 15:25, 15:25] = 900
    np.save(folder / "ct.npy", voxels)
    return {
        "id": identifier,
        "command": "analyze",
        "volume": str(folder / "ct.npy"),
        "affine": np.eye(4).tolist(),
        "identity": {"study_description": kind},
        "options": {"operating_point": "sensitive"},
        "result": str(folder / f"result-{identifier}"),
    }


def done(client):
    event = client.until("done", "error")
    assert event["event"] == "done", event
    return True


def test_an_analysis_leaves_a_whole_result(client, tmp_path):
    client.send(request(tmp_path))
    assert done(client)
    assert np.load(tmp_path / "result-1" / "labels.npy")[1, 2, 3] == 4
    findings = json.loads((tmp_path / "result-1" / "findings.json").read_text())
    assert findings["operating_point"] == "sensitive"


def test_cancelling_ends_the_analysis_within_a_second_and_leaves_nothing(client, tmp_path):
    client.send(request(tmp_path, kind="slow"))
    client.until("progress")
    began = time.monotonic()
    client.send({"command": "cancel", "id": 1})
    event = client.until("done", "error")
    assert event["event"] == "error" and event["kind"] == "cancelled"
    assert time.monotonic() - began < 1
    assert [path.name for path in tmp_path.iterdir()] == ["ct.npy"]
    client.send(request(tmp_path, identifier=2))
    assert done(client)


def test_an_error_is_told_and_the_next_analysis_works(client, tmp_path):
    client.send(request(tmp_path, kind="broken"))
    event = client.until("done", "error")
    assert event["kind"] == "internal" and "no luck" in event["message"]
    client.send(request(tmp_path, identifier=2))
    assert done(client)


def test_nonsense_is_answered_and_does_not_end_the_worker(client):
    client.send("this is no JSON\n")
    assert client.until("error")["kind"] == "protocol"
    client.send({"id": 9, "command": "ping"})
    assert client.until("pong")["id"] == 9


def test_the_worker_ends_when_nobody_listens_any_more(client, tmp_path):
    client.send(request(tmp_path, kind="slow"))
    client.until("progress")
    client.process.stdin.close()
    client.process.stdin = None
    client.process.wait(timeout=6)
    assert not (tmp_path / "result-1").exists()

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
import os, sys, time
import numpy as np
from neckfrac.anatomy import LEVEL_NAMES
from neckfrac.findings import Analysis, Findings, VertebraFinding
from neckfrac.worker import main

FAILURES = {"internal": ValueError, "memory": MemoryError, "missing": ImportError}

class FakeEngine:
    """Stands in for the networks: labels one voxel and behaves as the study's description says."""
    def analyze(self, study, options, *, progress):
        kind = study.identity.study_description
        with progress.stage("Pretending", until=1.0):
            if kind == "slow":
                for n in range(2000):
                    time.sleep(0.01)
                    progress.step(n / 2000)
            if kind == "deaf":
                time.sleep(60)
            if kind == "loud":
                print("a library's chatter")
                os.write(1, b"chatter from C\\n")
            if kind in FAILURES:
                raise FAILURES[kind]("no luck")
        labels = np.zeros(study.volume.shape, np.uint8)
        labels[1, 2, 3] = 4
        levels = tuple(VertebraFinding(name, "not seen") for name in LEVEL_NAMES)
        findings = Findings(study.identity, levels, "not seen", None, {}, 0.5, options.operating_point)
        return Analysis(study.volume, labels, labels * 60, findings, labels * 2 if options.anchors else None)

main(engine_factory=lambda options: FakeEngine())
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


def until_the_engine_works(client):
    """The first event is told before the engine has the study: cancelling then would not reach it."""
    while client.until("progress")["stage"] != "Pretending":
        pass


def done(client):
    event = client.until("done", "error")
    assert event["event"] == "done", event
    return True


def test_an_analysis_leaves_a_whole_result(client, tmp_path):
    client.send(request(tmp_path))
    assert done(client)
    assert np.load(tmp_path / "result-1" / "labels.npy")[1, 2, 3] == 4
    assert np.load(tmp_path / "result-1" / "heat.npy")[1, 2, 3] == 240
    findings = json.loads((tmp_path / "result-1" / "findings.json").read_text())
    assert findings["operating_point"] == "sensitive"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ct.npy", "result-1"]


def test_anchors_are_written_when_they_are_asked_for(client, tmp_path):
    wanted = request(tmp_path)
    client.send(wanted | {"options": {"anchors": True}})
    assert done(client)
    files = {path.name for path in (tmp_path / "result-1").iterdir()}
    assert files == {"labels.npy", "heat.npy", "anchors.npy", "findings.json"}
    assert np.load(tmp_path / "result-1" / "anchors.npy")[1, 2, 3] == 8
    client.send(wanted | {"id": 2, "result": str(tmp_path / "result-2")})
    assert done(client)
    assert not (tmp_path / "result-2" / "anchors.npy").exists()


def test_cancelling_ends_the_analysis_within_a_second_and_leaves_nothing(client, tmp_path):
    client.send(request(tmp_path, kind="slow"))
    until_the_engine_works(client)
    began = time.monotonic()
    client.send({"command": "cancel", "id": 1})
    event = client.until("done", "error")
    assert event["event"] == "error" and event["kind"] == "cancelled"
    assert time.monotonic() - began < 1
    assert [path.name for path in tmp_path.iterdir()] == ["ct.npy"]
    client.send(request(tmp_path, identifier=2))
    assert done(client)


@pytest.mark.parametrize("kind", ["internal", "memory", "missing"])
def test_an_error_is_told_by_its_kind_and_the_next_analysis_works(client, tmp_path, kind):
    client.send(request(tmp_path, kind=kind))
    event = client.until("done", "error")
    assert event["id"] == 1 and event["kind"] == kind and "no luck" in event["message"]
    assert [path.name for path in tmp_path.iterdir()] == ["ct.npy"]
    client.send(request(tmp_path, identifier=2))
    assert done(client)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"volume": "nowhere.npy"}, "can't be read"),
        ({"affine": [[1, 2], [3]]}, "can't be read"),
        ({"identity": {"shoe_size": 42}}, "identity"),
        ({"result": "nowhere/result"}, "can't be written"),
    ],
)
def test_a_request_that_can_not_be_used_is_an_input_error(client, tmp_path, change, words):
    client.send(request(tmp_path) | change)
    event = client.until("done", "error")
    assert event["kind"] == "input" and words in event["message"]
    assert [path.name for path in tmp_path.iterdir()] == ["ct.npy"]


def test_a_result_that_is_there_already_stays_as_it_is(client, tmp_path):
    wanted = request(tmp_path)
    (tmp_path / "result-1").mkdir()
    (tmp_path / "result-1" / "findings.json").write_text("earlier")
    client.send(wanted)
    assert client.until("done", "error")["kind"] == "input"
    assert [path.name for path in (tmp_path / "result-1").iterdir()] == ["findings.json"]
    assert (tmp_path / "result-1" / "findings.json").read_text() == "earlier"


def test_what_the_engine_prints_does_not_get_between_the_events(client, tmp_path):
    client.send(request(tmp_path, kind="loud"))
    assert done(client)  # every line on stdout up to here was an event
    client.process.stdin.close()
    client.process.stdin = None
    messages = client.process.stderr.read()
    assert "a library's chatter" in messages and "chatter from C" in messages


@pytest.mark.parametrize(
    "line",
    [
        "this is no JSON\n",
        "[1, 2]\n",
        '"analyze"\n',
        '{"id": 1}\n',
        '{"id": 1, "command": "dance"}\n',
        '{"id": 1, "command": "cancel"}\n',
        '{"id": 1, "command": "analyze"}\n',
    ],
)
def test_nonsense_is_answered_and_does_not_end_the_worker(client, line):
    client.send(line)
    assert client.next()["kind"] == "protocol"
    client.send({"id": 9, "command": "ping"})
    assert client.next() == {"id": 9, "event": "pong"}


def test_the_worker_ends_by_itself_after_the_idle_time_but_not_during_a_job(client, tmp_path):
    client.send({"command": "idle", "seconds": 0.2})
    client.send(request(tmp_path, kind="slow"))
    began = time.monotonic()
    while time.monotonic() - began < 2.0:
        assert client.next()["event"] == "progress"
    client.send({"command": "cancel", "id": 1})
    assert client.until("error", "done")["kind"] == "cancelled"
    assert client.process.wait(timeout=10) == 0


@pytest.mark.parametrize("seconds", [-1, "soon", [3]])
def test_an_idle_time_that_is_none_is_refused_and_the_worker_stays(client, seconds):
    client.send({"command": "idle", "seconds": seconds})
    assert client.until("error")["kind"] == "protocol"
    client.send({"id": 5, "command": "ping"})
    assert client.until("pong")["id"] == 5


def test_an_id_that_is_running_is_not_taken_twice(client, tmp_path):
    client.send(request(tmp_path, kind="slow"))
    until_the_engine_works(client)
    client.send(request(tmp_path, kind="slow"))
    event = client.until("done", "error")
    assert event["kind"] == "protocol" and "running" in event["message"]


@pytest.mark.parametrize("kind", ["slow", "deaf"])
def test_the_worker_ends_when_nobody_listens_any_more_and_leaves_nothing(client, tmp_path, kind):
    client.send(request(tmp_path, kind=kind))
    until_the_engine_works(client)
    client.process.stdin.close()
    client.process.stdin = None
    client.process.wait(timeout=6)
    assert [path.name for path in tmp_path.iterdir()] == ["ct.npy"]

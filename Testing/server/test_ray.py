"""Workers as replicas on a real Ray, started for the test on this machine: the same answers as with local workers."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from server.fake_service_worker import DIES, SLOW
from server.service_case import ENGINE, HERE, Service, free_port, wait_for, write_study


@pytest.fixture(scope="module")
def cluster():
    """The address of a head node without a dashboard; everything it started is ended."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install -e '.[ray]'")
    port = free_port()
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ENGINE), str(HERE.parent), os.environ.get("PYTHONPATH", "")]),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_DISABLE_IMPORT_WARNING": "1",
    }
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", f"--port={port}"]
    command += ["--node-ip-address=127.0.0.1", "--num-cpus=4", "--include-dashboard=false", "--disable-usage-stats"]
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        wait_for(lambda: _answers(port), 300, pause=0.5)
        yield f"127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(60)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _answers(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


@pytest.fixture(scope="module")
def service(cluster, tmp_path_factory):
    environment = {"RAY_USAGE_STATS_ENABLED": "0"}
    data = tmp_path_factory.mktemp("ray") / "data"
    with Service(data, "--ray", cluster, "--workers", 2, environment=environment) as running:
        yield running.wait(300)


@pytest.fixture(scope="module")
def ask(service):
    headers = {"Authorization": f"Bearer {service.token()}"}

    def request(method, path, **how):
        return httpx.request(method, service.address + path, headers=headers, timeout=180, **how)

    return request


def upload(ask, path):
    answer = ask("POST", "/api/studies", files=[("files", (path.name, path.read_bytes()))])
    assert answer.status_code == 202, answer.text
    return answer.json()["id"]


def state(ask, identifier):
    return ask("GET", f"/api/studies/{identifier}").json()


def replicas():
    """Worker processes that the replicas of this machine run."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and b"fake_service_worker.py" in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def test_a_study_is_analysed_on_a_replica(ask, tmp_path):
    identifier = upload(ask, write_study(tmp_path / "a.nrrd"))
    study = wait_for(lambda: (s := state(ask, identifier))["state"] in ("done", "failed") and s, 300)
    assert (study["state"], study["probability"]) == ("done", 0.91)


def test_a_dying_worker_and_a_bad_study_end_as_they_do_locally(ask, tmp_path):
    dies = upload(ask, write_study(tmp_path / "dies.nrrd", DIES))
    (tmp_path / "bad.nrrd").write_bytes(b"NRRD0004\nnonsense\n")
    bad = upload(ask, tmp_path / "bad.nrrd")
    study = wait_for(lambda: (s := state(ask, dies))["state"] == "failed" and s, 300)
    assert study["attempt"] == 3 and "3 times" in study["error"]["what"]
    study = wait_for(lambda: (s := state(ask, bad))["state"] == "failed" and s, 300)
    assert study["attempt"] == 1 and study["error"]["where"] == "file 1 of 1"


def test_replicas_come_with_the_queue_and_cancelled_studies_stop(ask, service, tmp_path):
    slow = [upload(ask, write_study(tmp_path / f"{n}.nrrd", SLOW)) for n in range(2)]
    wait_for(lambda: all(state(ask, one)["stage"] == "Pretending" for one in slow), 300)
    assert len(replicas()) == 2
    for one in slow:
        assert ask("DELETE", f"/api/studies/{one}").status_code == 204
    wait_for(lambda: not [p for p in (service.data / "scratch").rglob("*") if p.is_file()], 120)
    assert not (service.data / "studies" / slow[0]).exists()


def test_replicas_go_when_nothing_waits(ask):
    wait_for(lambda: len(replicas()) <= 1, 300, pause=1.0)

"""Workers and servers are killed at many moments: each study is done once, and nothing of it is left in scratch.

The real server and worker processes; the job itself is a sleep that leaves a file in scratch when it is killed.
"""

from __future__ import annotations

import json
import os
import random
import signal
import threading
import time
from pathlib import Path

import httpx
from neckfrac.server.database import jobs, open_database
from server.service_case import FAKE_WORKER, Service, free_port, wait_for
from sqlalchemy import select

LIGHT = (*FAKE_WORKER, "--light", "0.3")
MOMENTS = int(os.environ.get("NECKFRAC_KILLS", "6"))  # the figures of docs/deployment.md: 20
STUDIES = int(os.environ.get("NECKFRAC_SOAK", "20"))


class Client:
    """Sends small studies; a request that breaks off is sent again with the same key."""

    def __init__(self, service):
        self.service, self.token = service, service.token()

    def send(self, number, seconds=120):
        headers = {"Authorization": f"Bearer {self.token}", "Idempotency-Key": f"study {number}"}
        files = [("files", (f"{number}.dcm", bytes(128) + b"DICM" + f"{number:06d}".encode() * 200))]
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            try:
                answer = httpx.post(f"{self.service.address}/api/studies", files=files, headers=headers, timeout=10)
            except httpx.TransportError:
                time.sleep(0.2)
                continue
            if answer.status_code == 202:
                return answer.json()["id"]
            assert answer.status_code in (409, 503), answer.text
            time.sleep(0.2)
        raise AssertionError("the study could not be sent")


def worker_pids(server):
    """Worker processes of a server, by /proc."""
    children = Path(f"/proc/{server}/task").glob("*/children")
    return [int(pid) for path in children for pid in path.read_text().split()]


def rows(data):
    engine = open_database(f"sqlite:///{data / 'neckfrac.db'}")
    try:
        with engine.connect() as connection:
            return {row["id"]: dict(row) for row in connection.execute(select(jobs)).mappings()}
    finally:
        engine.dispose()


def check_all_done_once(data, sent, seconds=180):
    """Every study that was acknowledged is done, with one whole result; nothing else is there."""

    def finished():
        found = rows(data)
        return all(row["state"] in ("done", "failed") for row in found.values()) and found

    found = wait_for(finished, seconds)
    assert set(found) == set(sent.values())  # none lost, none doubled
    assert {row["state"] for row in found.values()} == {"done"}, [row["error"] for row in found.values()]
    for number, identifier in sent.items():
        folder = data / "studies" / identifier
        assert sorted(path.name for path in folder.iterdir()) == [found[identifier]["result"], "upload"]
        content = json.loads((folder / found[identifier]["result"] / "findings.json").read_text())
        expected = (bytes(128) + b"DICM" + f"{number:06d}".encode() * 200).hex()[:64]
        assert content["files"] == [expected]
    assert [path for path in (data / "scratch").rglob("*") if path.is_file()] == []
    return found


def test_workers_are_killed_and_each_study_is_done_once(tmp_path):
    moments = random.Random(0)
    with Service(tmp_path / "data", "--workers", 2, worker=LIGHT) as service:
        client = Client(service.wait())
        sent = {}
        for number in range(MOMENTS):
            sent[number] = client.send(number)
            time.sleep(moments.uniform(0, 0.6))
            for pid in worker_pids(service.process.pid)[:1]:
                os.kill(pid, signal.SIGKILL)
            # One kill a study: three would be the study's fault, and it would be given up.
            wait_for(lambda: rows(tmp_path / "data")[sent[number]]["state"] == "done", 120)  # noqa: B023
        found = check_all_done_once(tmp_path / "data", sent)
        print(f"{MOMENTS} kills of workers: {sum(row['faults'] for row in found.values())} attempts broke off")


def test_the_server_is_killed_and_each_study_is_done_once(tmp_path):
    data, port, moments = tmp_path / "data", free_port(), random.Random(1)
    service = Service(data, worker=LIGHT, port=port).wait()
    sent = {}
    try:
        for number in range(MOMENTS):
            sent[number] = Client(service).send(number)
            time.sleep(moments.uniform(0, 0.8))
            workers = worker_pids(service.process.pid)
            service.kill()
            service = Service(data, worker=LIGHT, port=port).wait()
            # A worker whose server is gone ends by itself, at the latest when it should have answered.
            wait_for(lambda: not any(_alive(pid) for pid in workers), 60)  # noqa: B023
        found = check_all_done_once(data, sent)
    finally:
        service.stop()
    print(f"{MOMENTS} kills of servers: attempts {sorted(row['attempt'] for row in found.values())}")


def test_many_studies_from_two_clients_outlive_random_kills(tmp_path):
    """The soak: none lost, none doubled. docs/deployment.md has the figures of 200 studies."""
    data, port, moments = tmp_path / "data", free_port(), random.Random(2)
    options = {"worker": (*FAKE_WORKER, "--light", "0.1"), "port": port}
    running = [Service(data, "--workers", 2, **options).wait()]
    clients, sent, kills = Client(running[0]), {}, {"server": 0, "worker": 0}
    began = time.monotonic()

    def send(first):
        for number in range(first, STUDIES, 2):
            sent[number] = clients.send(number, seconds=300)

    def kill():
        while len(sent) < STUDIES:
            time.sleep(moments.uniform(2, 8))
            if moments.random() < 0.3:
                kills["server"] += 1
                running[0].kill()
                running[0] = Service(data, "--workers", 2, **options).wait()
            elif pids := worker_pids(running[0].process.pid):
                kills["worker"] += 1
                os.kill(moments.choice(pids), signal.SIGKILL)

    threads = [threading.Thread(target=send, args=(first,)) for first in (0, 1)]
    try:
        for thread in threads:
            thread.start()
        killing = threading.Thread(target=kill, daemon=True)
        killing.start()
        for thread in (*threads, killing):
            thread.join(1200)
        found = check_all_done_once(data, sent, 600)
    finally:
        running[0].stop()
    attempts = sum(row["attempt"] for row in found.values())
    seconds = time.monotonic() - began
    print(f"{STUDIES} studies, kills {kills}, {attempts} attempts, {seconds:.0f} s: 0 lost, 0 doubled")


def test_a_stopped_server_gives_its_study_back(tmp_path):
    data = tmp_path / "data"
    with Service(data, worker=(*FAKE_WORKER, "--light", "60")) as service:
        identifier = Client(service.wait()).send(1)
        wait_for(lambda: rows(data)[identifier]["state"] == "running")
    assert rows(data)[identifier]["state"] == "queued" and rows(data)[identifier]["faults"] == 0
    assert [path for path in (data / "scratch").rglob("*") if path.is_file()] == []


def _alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False

"""A service in this process, with its real worker and a fake engine."""

from __future__ import annotations

import os

import pytest
from neckfrac.server.access import create_token
from neckfrac.server.app import create_app
from neckfrac.server.service import Service
from neckfrac.server.settings import Limits, ServerSettings
from server.service_case import FAKE_WORKER, wait_for, write_study
from starlette.testclient import TestClient


@pytest.fixture(scope="session", autouse=True)
def drawn(tmp_path_factory):
    """Where the fake worker keeps what it drew."""
    os.environ.setdefault("FAKE_DRAWN", str(tmp_path_factory.mktemp("drawn")))


LIMITS = Limits(disk_floor=0, uploads_a_minute=100_000, requests_a_minute=1_000_000, failed_logins_a_minute=100_000)


class Client:
    """A client with a token; studies by their files."""

    def __init__(self, http, service):
        self.http, self.service = http, service
        self.tokens = {role: create_token(service.engine, role, role) for role in ("read", "write", "admin")}

    def __call__(self, method, path, role="admin", headers=None, **how):
        headers = {"Authorization": f"Bearer {self.tokens[role]}", **(headers or {})}
        return self.http.request(method, path, headers=headers, **how)

    def upload(self, *paths, where="/api/studies", headers=None, **fields):
        files = [("files", (path.name, path.read_bytes())) for path in paths]
        return self("POST", where, files=files, data=fields, headers=headers)

    def study(self, identifier):
        return self("GET", f"/api/studies/{identifier}").json()

    def finished(self, identifier, seconds=180):
        return wait_for(
            lambda: (s := self.study(identifier))["state"] in ("done", "failed", "cancelled") and s, seconds
        )

    def done(self, *paths, **fields):
        answer = self.upload(*paths, **fields)
        assert answer.status_code == 202, answer.text
        study = self.finished(answer.json()["id"])
        assert study["state"] == "done", study
        return study


@pytest.fixture(scope="session")
def study_file(tmp_path_factory):
    """The study of `output_case` as an NRRD file."""
    return write_study(tmp_path_factory.mktemp("study") / "Xylophon_Quendolin.nrrd")


@pytest.fixture
def new_client(tmp_path):
    """Clients of services with settings of their own."""
    opened = []

    def open_service(limits=LIMITS, worker=FAKE_WORKER, base="http://127.0.0.1", **settings):
        data = tmp_path / f"data{len(opened)}"
        service = Service(ServerSettings(data=data, limits=limits, worker_command=tuple(worker), **settings))
        http = TestClient(create_app(service), base_url=base, raise_server_exceptions=False)
        http.__enter__()
        opened.append(http)
        return Client(http, service)

    yield open_service
    for http in opened:
        http.__exit__(None, None, None)


@pytest.fixture(scope="session")
def client(tmp_path_factory):
    """A client of a service that many tests share."""
    settings = ServerSettings(
        data=tmp_path_factory.mktemp("service") / "data", limits=LIMITS, worker_command=FAKE_WORKER
    )
    service = Service(settings)
    with TestClient(create_app(service), base_url="http://127.0.0.1", raise_server_exceptions=False) as http:
        yield Client(http, service)


@pytest.fixture(scope="session")
def done(client, study_file):
    """A study that is done."""
    return client.done(study_file)

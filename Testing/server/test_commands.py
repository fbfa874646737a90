"""`neckfrac serve` and `neckfrac token` as a user runs them."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time

import httpx
import pytest
from server.service_case import ENGINE, FAKE_WORKER, Service, free_port


def neckfrac(*arguments, **environment):
    path = os.pathsep.join([str(ENGINE), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, "-m", "neckfrac.cli", *map(str, arguments)],
        capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path, **environment}, timeout=300,
    )  # fmt: skip


def test_help_imports_no_server_and_no_ray():
    code = (
        "import sys\nfrom neckfrac.cli import app, main\n"
        "try: main(['serve', '--help'])\nexcept SystemExit: pass\n"
        "heavy = {'fastapi', 'uvicorn', 'sqlalchemy', 'ray', 'httpx', 'torch', 'neckfrac.server'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    environment = {**os.environ, "PYTHONPATH": str(ENGINE)}
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert ran.returncode == 0, ran.stderr
    assert "--behind-proxy" in ran.stdout


def test_an_analysis_needs_no_server():
    code = (
        "import sys, neckfrac.worker, neckfrac.pipeline.analyze, neckfrac.study_job\n"
        "assert not {'fastapi', 'sqlalchemy', 'ray', 'neckfrac.server'} & set(sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ENGINE)}
    assert subprocess.run([sys.executable, "-c", code], env=environment).returncode == 0


def test_tokens_are_made_listed_and_revoked(tmp_path):
    made = neckfrac("token", "create", "--data", tmp_path / "data", "--role", "write", "--name", "Doe")
    assert made.returncode == 0 and re.fullmatch(r"nf_[\w-]{43}\n", made.stdout)
    listed = neckfrac("token", "list", "--data", tmp_path / "data").stdout
    assert "Doe" in listed and made.stdout.strip() not in listed
    (token,) = json.loads(neckfrac("token", "list", "--data", tmp_path / "data", "--json").stdout)["tokens"]
    assert (token["name"], token["role"], token["revoked"]) == ("Doe", "write", False)
    assert neckfrac("token", "revoke", "Doe", "--data", tmp_path / "data").returncode == 0
    again = neckfrac("token", "revoke", "Doe", "--data", tmp_path / "data")
    assert again.returncode == 2 and "no such token" in again.stderr
    assert neckfrac("token", "create", "--data", tmp_path / "data", "--role", "root").returncode == 2
    assert (tmp_path / "data").stat().st_mode & 0o077 == 0  # nobody else on the machine reads it


@pytest.mark.parametrize(
    ("options", "words"),
    [(["--host", "0.0.0.0"], "unencrypted"), (["--certificate", "/nowhere.pem"], "key"), (["--ray", "x:1"], "Ray|ray")],
)
def test_what_can_not_be_served_so_is_one_clear_line(tmp_path, options, words):
    ran = neckfrac("serve", "--data", tmp_path / "data", "--port", 0, *options)
    assert ran.returncode == 2 and re.search(words, ran.stderr) and "Traceback" not in ran.stderr


def test_a_taken_port_and_a_folder_that_is_a_file(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ran = neckfrac("serve", "--data", tmp_path / "data", "--port", taken.getsockname()[1])
    assert ran.returncode == 2 and "--port" in ran.stderr
    (tmp_path / "file").write_text("")
    ran = neckfrac("serve", "--data", tmp_path / "file", "--port", 0)
    assert ran.returncode == 2 and "--data" in ran.stderr


def test_it_is_ready_soon_listens_on_loopback_only_and_prints_a_link(tmp_path):
    began = time.monotonic()
    with Service(tmp_path / "data", worker=FAKE_WORKER) as service:
        service.wait()
        print(f"ready after {time.monotonic() - began:.1f} s")
        assert re.search(rf"{service.address}/#code=nf_\S+", service.log())
        assert _listening(service.process.pid) == {"0100007F"}
        assert httpx.get(service.address).status_code == 200


def test_it_speaks_tls(tmp_path):
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    port = free_port()
    options = ("--certificate", certificate, "--private-key", key)
    with Service(tmp_path / "data", *options, port=port):
        ends = time.monotonic() + 120
        while time.monotonic() < ends:
            try:
                answer = httpx.get(f"https://localhost:{port}/", verify=str(certificate))
                break
            except httpx.TransportError:
                time.sleep(0.2)
        assert answer.headers["strict-transport-security"]


def _listening(pid):
    """Local addresses, as /proc has them, of sockets that a process listens on."""
    own = set()
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            own.add(os.readlink(f"/proc/{pid}/fd/{name}"))
        except OSError:
            continue
    found = set()
    for table in ("tcp", "tcp6"):
        with open(f"/proc/{pid}/net/{table}") as lines:
            for line in list(lines)[1:]:
                parts = line.split()
                if parts[3] == "0A" and f"socket:[{parts[9]}]" in own:
                    found.add(parts[1].partition(":")[0])
    return found

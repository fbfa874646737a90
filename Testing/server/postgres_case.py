"""A real Postgres for the length of a test."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path

from server.service_case import free_port, need


@contextmanager
def running_postgres():
    """The address of a server on 127.0.0.1 whose data are gone afterwards."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not programs and shutil.which("initdb"):
        programs = [Path(shutil.which("initdb"))]
    need(programs, "Postgres")
    # Postgres refuses to run as root, and another user may not enter pytest's folders.
    user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    folder, port = Path(tempfile.mkdtemp(prefix="neckfrac-postgres-")), free_port()
    if user:
        shutil.chown(folder, "postgres")

    def run(program, *arguments):
        command = [*user, str(programs[-1].with_name(program)), *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/")

    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"
    data = str(folder / "data")
    try:
        run("initdb", "-D", data, "-U", "neckfrac", "-A", "trust", "--no-sync")
        run("pg_ctl", "-D", data, "-w", "-o", options, "-l", str(folder / "log"), "start")
        try:
            yield f"postgresql+psycopg://neckfrac@127.0.0.1:{port}/postgres"
        finally:
            run("pg_ctl", "-D", data, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)

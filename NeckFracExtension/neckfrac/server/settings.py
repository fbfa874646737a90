"""What a service is started with."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path

GIB = 2**30


def default_data() -> Path:
    """``$NECKFRAC_DATA``, else ``neckfrac/service`` in the user's data folder (XDG, or the system's own)."""
    if given := os.environ.get("NECKFRAC_DATA"):
        return Path(given)
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return base / "neckfrac" / "service"


@dataclass(frozen=True)
class Limits:
    """What an upload, and the service as a whole, may take. Bytes, files, seconds."""

    upload_bytes: int = 2 * GIB
    upload_files: int = 20_000
    unpacked_bytes: int = 8 * GIB
    queue_length: int = 500
    disk_floor: int = 2 * GIB
    uploads_a_minute: int = 60
    requests_a_minute: int = 1_200
    failed_logins_a_minute: int = 10
    study_seconds: float = 1_800.0


@dataclass(frozen=True)
class Pacs:
    """Where results go: the STOW-RS address (".../studies"), and how the requests are authorised.

    tries: of one delivery, with pauses of first_pause seconds, doubled each time up to an hour.
    """

    url: str
    token: str = field(default="", repr=False)
    user: str = ""
    password: str = field(default="", repr=False)
    capture: bool = False
    tries: int = 24
    first_pause: float = 10.0
    timeout: float = 60.0


@dataclass(frozen=True)
class ServerSettings:
    """All of a service's settings.

    data: folder of uploads, results and, by default, the database. database: SQLAlchemy URL; "" is SQLite in `data`.
    worker_command: what starts a worker process that speaks the protocol of `neckfrac.worker`. lease: seconds for which
    a running study belongs to one server before another may take it. quiet: seconds without a slice after which a
    series that came by STOW is complete. hosts: names by which the service may be addressed. sign_on_header: the
    header in which a proxy at one of `proxies` names the user, who then has the role `sign_on_role`.
    """

    data: Path = field(default_factory=default_data)
    host: str = "127.0.0.1"
    port: int = 8250
    database: str = ""
    workers: int = 1
    threads: int | None = None
    device: str = "auto"
    models: Path | None = None
    worker_command: tuple[str, ...] = (sys.executable, "-m", "neckfrac.worker")
    ray: str = ""
    lease: float = 60.0
    quiet: float = 60.0
    limits: Limits = Limits()
    pacs: Pacs | None = None
    certificate: Path | None = None
    private_key: Path | None = None
    behind_proxy: bool = False
    hosts: tuple[str, ...] = ()
    proxies: tuple[str, ...] = ("127.0.0.1",)
    sign_on_header: str = ""
    sign_on_role: str = "write"

    @property
    def database_url(self) -> str:
        return self.database or f"sqlite:///{self.data / 'neckfrac.db'}"

    @property
    def secure(self) -> bool:
        """Whether browsers reach the service by https."""
        return self.behind_proxy or self.certificate is not None

"""`neckfrac serve`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import InputError
from .options import Device, Models, Threads

if TYPE_CHECKING:
    from ..server.settings import ServerSettings

Data = Annotated[Path | None, typer.Option("--data", help="Folder of uploads and results; default: yours.")]
Database = Annotated[str, typer.Option(envvar="NECKFRAC_DATABASE", help="SQLAlchemy address; default: SQLite.")]


def adjust(settings: ServerSettings) -> ServerSettings:
    """A place for tests to change the settings."""
    return settings


def need_service() -> None:
    """Raises InputError, with how to install them, when the service's packages are missing."""
    try:
        import fastapi  # noqa: F401
        import httpx  # noqa: F401
        import prometheus_client  # noqa: F401
        import python_multipart  # noqa: F401
        import sqlalchemy  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise InputError(
            f"The service needs {error.name}, which is not installed.",
            advice="Install it: pip install 'neckfrac[service]'",
        ) from error


def serve(
    data: Data = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8250,
    host: Annotated[
        str, typer.Option(help="Address to listen on; others than loopback need TLS or a proxy.")
    ] = "127.0.0.1",
    workers: Annotated[int, typer.Option(min=1, help="Studies at a time; each worker holds the networks.")] = 1,
    threads: Threads = None,
    device: Device = "auto",
    models: Models = None,
    database: Database = "",
    certificate: Annotated[Path | None, typer.Option(help="For TLS: PEM file.")] = None,
    private_key: Annotated[Path | None, typer.Option(help="For TLS: PEM file.")] = None,
    behind_proxy: Annotated[bool, typer.Option("--behind-proxy", help="A proxy in front does TLS.")] = False,
    proxy: Annotated[list[str] | None, typer.Option(help="The proxy's address or network; may be repeated.")] = None,
    name: Annotated[list[str] | None, typer.Option(help="A host name of the service; may be repeated.")] = None,
    sign_on_header: Annotated[str, typer.Option(help="Header in which the proxy names the user.")] = "",
    sign_on_role: Annotated[str, typer.Option(help="Role of such users: read, write or admin.")] = "write",
    quiet: Annotated[float, typer.Option(min=1, help="Seconds after which a series from a PACS is complete.")] = 60.0,
    pacs: Annotated[str, typer.Option(help="STOW-RS address of the PACS that gets SEG and SR.")] = "",
    pacs_user: Annotated[str, typer.Option(help="Its user; password or token: $NECKFRAC_PACS_PASSWORD, _TOKEN.")] = "",
    capture: Annotated[bool, typer.Option("--capture", help="Send the overview as an image as well.")] = False,
    study_seconds: Annotated[float, typer.Option(min=10, help="Longest time for a study.")] = 1800.0,
    disk_floor: Annotated[float, typer.Option(min=0, help="GiB that stay free on the disk.")] = 2.0,
    ray: Annotated[str, typer.Option(help="Address of a Ray cluster whose replicas do the work.")] = "",
) -> None:
    """Run the web service: page, API and DICOMweb, for this machine alone unless told otherwise."""
    need_service()
    from ..server.serve import run
    from ..server.settings import GIB, Limits, Pacs, ServerSettings, default_data

    given: dict[str, Any] = {}
    if pacs:
        environment = {key: os.environ.get(f"NECKFRAC_PACS_{key.upper()}", "") for key in ("password", "token")}
        given["pacs"] = Pacs(pacs, user=pacs_user, capture=capture, **environment)
    if proxy:
        given["proxies"] = tuple(proxy)
    settings = ServerSettings(
        data=(data or default_data()).absolute(), host=host, port=port, database=database, workers=workers,
        threads=threads, device=device, models=models, ray=ray, quiet=quiet, certificate=certificate,
        private_key=private_key, behind_proxy=behind_proxy, hosts=tuple(name or ()), sign_on_header=sign_on_header,
        sign_on_role=sign_on_role,
        limits=Limits(study_seconds=study_seconds, disk_floor=int(disk_floor * GIB)), **given,
    )  # fmt: skip
    run(adjust(settings))

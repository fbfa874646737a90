"""Starts the service: checks its settings, prints how to reach it, runs until it is stopped."""

from __future__ import annotations

import ipaddress
import logging
import socket
import sys

from ..errors import InputError
from .access import LINK_SECONDS, create_token
from .app import create_app
from .service import Service
from .settings import ServerSettings


def run(settings: ServerSettings) -> None:
    """Serve until SIGINT or SIGTERM. Raises InputError when it can't start so."""
    import uvicorn

    check(settings)
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("neckfrac").setLevel(logging.INFO)
    listening = _listen(settings)
    service = Service(settings, _runners(settings))
    link = create_token(service.engine, "one-time link", "admin", kind="link", seconds=LINK_SECONDS)
    scheme = "https" if settings.certificate else "http"
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    address = f"{scheme}://{host}:{listening.getsockname()[1]}"
    print(f"NeckFrac is at {address}. Open this link once, within {LINK_SECONDS / 60:.0f} minutes:", flush=True)
    print(f"  {address}/#code={link}", flush=True)
    config = uvicorn.Config(
        create_app(service),
        log_level="warning",
        access_log=False,  # addresses of studies; who saw which is in the audit
        proxy_headers=False,  # see `guard`
        server_header=False,
        ssl_certfile=settings.certificate,
        ssl_keyfile=settings.private_key,
        timeout_graceful_shutdown=10,
        h11_max_incomplete_event_size=64 * 1024,
    )
    uvicorn.Server(config).run(sockets=[listening])


def check(settings: ServerSettings) -> None:
    """Raises InputError for settings that would show patients' data to anyone on the network."""
    if not is_loopback(settings.host) and not settings.secure:
        raise InputError(
            "Patients' data would cross the network unencrypted.",
            where=settings.host,
            advice="Give --certificate and --private-key, or --behind-proxy when a proxy in front does TLS.",
        )
    if bool(settings.certificate) != bool(settings.private_key):
        raise InputError("A certificate needs its key.", advice="Give both --certificate and --private-key.")
    for path in filter(None, (settings.certificate, settings.private_key)):
        if not path.is_file():
            raise InputError("There is no such file.", where=path)
    if settings.sign_on_header and not settings.behind_proxy:
        raise InputError(
            "Single sign-on comes from a proxy.", advice="Add --behind-proxy, and --proxy with its address."
        )
    if settings.workers < 1:
        raise InputError("At least one worker is needed.", advice="Give --workers 1 or more.")


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _listen(settings: ServerSettings) -> socket.socket:
    """Before all else, so that a port that is taken is one clear error."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listening = socket.socket(family)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((settings.host, settings.port))
        listening.listen(128)  # a connection may come before uvicorn looks; it waits
    except OSError as error:
        listening.close()
        raise InputError(
            f"The service can't listen there: {error.strerror}.",
            where=f"{settings.host}:{settings.port}",
            advice="Choose another --port.",
        ) from error
    return listening


def _runners(settings: ServerSettings):
    if not settings.ray:
        return None
    from .ray_runner import RayRunners

    return RayRunners(settings)

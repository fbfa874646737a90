"""Signing in, health, metrics, audit, and the page itself."""

from __future__ import annotations

import mimetypes
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse, JSONResponse

from ..resources import resources_dir
from .access import SESSION_SECONDS
from .models import SessionIn, SessionView
from .problems import Problem
from .routes_studies import ERRORS, admitted
from .service import Service

router = APIRouter(tags=["Service"])


@router.post("/api/session", responses=ERRORS)
def sign_in(request: Request, response: Response, said: SessionIn) -> SessionView:
    """Open a browser's session with a token or with the code of the one-time link."""
    service: Service = request.app.state.service
    principal, secret = service.access.open_session(request, said.secret)
    response.set_cookie(
        service.access.cookie, secret, max_age=int(SESSION_SECONDS), path="/", httponly=True, samesite="strict",
        secure=service.settings.secure,
    )  # fmt: skip
    service.note(principal, "sign in")
    return SessionView(name=principal.name, role=principal.role)


@router.get("/api/session", responses=ERRORS)
def session(request: Request) -> SessionView:
    """Who is signed in."""
    _, principal = admitted(request, "read")
    return SessionView(name=principal.name, role=principal.role)


@router.delete("/api/session", status_code=204, responses=ERRORS)
def sign_out(request: Request, response: Response) -> None:
    """Close the browser's session."""
    service, principal = admitted(request, "read")
    service.access.close_session(request)
    kind = {"httponly": True, "samesite": "strict", "secure": service.settings.secure}
    response.delete_cookie(service.access.cookie, path="/", **kind)
    service.note(principal, "sign out")


@router.get("/api/audit", responses=ERRORS)
def audit(request: Request, limit: int = 200) -> list[dict[str, Any]]:
    """Who did what with which study, the newest first (role admin)."""
    service, _ = admitted(request, "admin")
    return service.table.accesses(min(max(limit, 1), 10_000))


@router.get("/healthz")
def healthy() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@router.get("/readyz")
def ready(request: Request) -> JSONResponse:
    """Database, disk and dispatcher are well: requests may come."""
    checks = request.app.state.service.ready()
    return JSONResponse({"ready": all(checks.values()), **checks}, 200 if all(checks.values()) else 503)


@router.get("/metrics", response_class=Response, responses=ERRORS)
def metrics(request: Request) -> Response:
    """For Prometheus (role read)."""
    service, _ = admitted(request, "read")
    text = service.metrics.text(service.table.counts(), service.store.free())
    return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")


@router.get("/docs", include_in_schema=False)
def docs() -> FileResponse:
    return _static("swagger/index.html")


@router.get("/", include_in_schema=False)
def page() -> FileResponse:
    return _static("index.html")


@router.get("/web/{path:path}", include_in_schema=False)
def static(path: str) -> FileResponse:
    return _static(path)


def _static(path: str) -> FileResponse:
    folder = (resources_dir() / "Web").resolve()
    file = (folder / path).resolve()
    if not file.is_relative_to(folder) or not file.is_file():
        raise Problem(404, "There is no such address.", "See /docs for what there is.")
    kind = {".js": "text/javascript"}.get(file.suffix) or mimetypes.guess_type(file.name)[0]
    return FileResponse(file, media_type=kind or "application/octet-stream", headers={"Cache-Control": "no-cache"})

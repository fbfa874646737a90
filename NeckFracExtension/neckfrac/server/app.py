"""The application: routes, errors, and what is around every request."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI

from .. import DISCLAIMER, __version__
from . import dicomweb, problems, routes_reviews, routes_service, routes_studies
from .guard import Guard
from .service import Service

DESCRIPTION = f"""Finds cervical spine fractures on CT. **{DISCLAIMER}**

Send a token as `Authorization: Bearer ...`; `neckfrac token create` makes one. Errors are
`application/problem+json` with `what` is wrong, `where` in the upload, and `advice`."""


def create_app(service: Service) -> Any:
    """The ASGI application of a service; starts and stops it."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        service.start()
        yield
        service.stop()

    app = FastAPI(
        title="NeckFrac",
        version=__version__,
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
    )
    app.state.service = service
    problems.install(app)
    for part in (routes_studies, routes_reviews, dicomweb, routes_service):
        app.include_router(part.router)
    _describe_access(app)
    return Guard(app, service.settings, service.metrics)


def _describe_access(app: FastAPI) -> None:
    """Say in OpenAPI that requests need a token."""
    made = app.openapi

    def described() -> dict[str, Any]:
        schema = made()
        components = schema.setdefault("components", {})
        components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        for path, methods in schema["paths"].items():
            for operation in methods.values():
                if path not in ("/healthz", "/readyz") and operation.get("operationId") != "sign_in_api_session_post":
                    operation["security"] = [{"token": []}]
        return schema

    app.openapi = described  # type: ignore[method-assign]

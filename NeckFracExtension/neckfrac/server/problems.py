"""Errors as clients get them: RFC 9457 problem+json with what is wrong, where in the upload, and what to do."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

log = logging.getLogger("neckfrac.server")


class Problem(Exception):
    """What a request is answered with when it can't be served. Nothing in it may name a patient or a path."""

    def __init__(
        self, status: int, what: str, advice: str = "", *, where: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(what)
        self.status, self.what, self.advice, self.where = status, what, advice, where
        self.headers = dict(headers or {})

    def response(self) -> JSONResponse:
        content: dict[str, Any] = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": f"{self.what} {self.advice}".strip(),
            "what": self.what,
            "where": self.where,
            "advice": self.advice,
        }
        return JSONResponse(content, self.status, self.headers, media_type="application/problem+json")


UNEXPECTED = "Something unexpected went wrong in the service."


def unexpected(error: BaseException) -> Problem:
    """The answer to an error that nobody foresaw: its class is logged, nothing of it is sent."""
    log.error("A request failed unexpectedly (%s).", type(error).__name__)
    return Problem(500, UNEXPECTED, "Try again; if it stays so, tell whoever runs the service when it happened.")


def install(app: FastAPI) -> None:
    """Answer every error of the application with problem+json."""

    @app.exception_handler(Problem)
    async def problem(request: Request, error: Problem) -> JSONResponse:
        return error.response()

    @app.exception_handler(Exception)
    async def not_foreseen(request: Request, error: Exception) -> JSONResponse:
        return unexpected(error).response()

    @app.exception_handler(ClientDisconnect)
    async def went_away(request: Request, error: ClientDisconnect) -> JSONResponse:
        return Problem(400, "The request broke off.", "Send it again.").response()

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> JSONResponse:
        said = {404: "There is no such address.", 405: "This address does not take that method."}
        what = said.get(error.status_code, HTTPStatus(error.status_code).phrase)
        advice = "See /docs for what there is."
        return Problem(error.status_code, what, advice, headers=error.headers or {}).response()

    @app.exception_handler(RequestValidationError)
    async def not_understood(request: Request, error: RequestValidationError) -> JSONResponse:
        # The values that were sent are not repeated: they may hold a patient's name.
        places = [".".join(map(str, one["loc"])) for one in error.errors()]
        said = "; ".join(dict.fromkeys(one["msg"] for one in error.errors()))
        where = ", ".join(dict.fromkeys(places))
        return Problem(422, "The request is not understood.", f"{said}."[:500], where=where[:200]).response()

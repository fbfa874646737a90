"""What readers say of a level, and sending results to the PACS once more."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Request, Response

from .models import Level, ReviewIn, ReviewView
from .problems import Problem
from .routes_studies import ERRORS, Identifier, admitted, row_of, signed_in

router = APIRouter(
    prefix="/api/studies/{identifier}", tags=["Reviews"], responses=ERRORS, dependencies=[Depends(signed_in)]
)
Match = Annotated[str | None, Header(alias="If-Match", description="ETag of the review that is replaced, or *.")]


def _view(review: dict[str, Any], response: Response) -> ReviewView:
    response.headers["ETag"] = f'"{review["version"]}"'
    return ReviewView(**{key: review[key] for key in ("level", "verdict", "note", "who", "at")})


def _version(match: str | None) -> str | None:
    return None if match is None else match.strip().removeprefix("W/").strip('"')


@router.get("/reviews/{level}")
def review(request: Request, response: Response, identifier: Identifier, level: Level) -> ReviewView:
    """The review of a level, with its ETag."""
    service, principal = admitted(request, "read")
    found = service.results.review(row_of(service, identifier)["id"], level)
    service.note(principal, "see review", identifier)
    if found is None:
        raise Problem(404, "Nobody has reviewed this level.")
    return _view(found, response)


@router.put("/reviews/{level}")
def write_review(
    request: Request, response: Response, identifier: Identifier, level: Level, said: ReviewIn, match: Match = None
) -> ReviewView:
    """Confirm, reject or add a fracture, with a note. A review that is there is replaced only with its ETag."""
    service, principal = admitted(request, "write")
    row = row_of(service, identifier)
    service.results.folder(row)
    values = {"match": _version(match), "who": principal.name, **said.model_dump()}
    written = service.results.put_review(identifier, level, **values)
    service.note(principal, f"review {level}", identifier)
    return _view(written, response)


@router.delete("/reviews/{level}", status_code=204)
def delete_review(request: Request, identifier: Identifier, level: Level, match: Match = None) -> None:
    """Take a review back; needs its ETag."""
    service, principal = admitted(request, "write")
    row_of(service, identifier)
    if service.results.review(identifier, level) is None:
        raise Problem(404, "Nobody has reviewed this level.")
    service.results.delete_review(identifier, level, _version(match))
    service.note(principal, f"take back {level}", identifier)


@router.post("/delivery", status_code=202, tags=["PACS"])
def deliver(request: Request, identifier: Identifier) -> dict[str, str]:
    """Send the results to the PACS once more."""
    service, principal = admitted(request, "write")
    row_of(service, identifier)
    if service.delivery is None:
        raise Problem(409, "The service has no PACS to send to.", "Start it with --pacs.")
    if not service.delivery.again(identifier):
        raise Problem(
            409, "There is nothing to send, or it is being sent.", "Only studies that came as DICOM are sent."
        )
    service.note(principal, "deliver again", identifier)
    return {"state": "waiting"}

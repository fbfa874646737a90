"""Studies come in, are listed, followed and removed."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from .access import Principal
from .database import DONE, UNFINISHED
from .models import ExplanationIn, OperatingPoint, Prediction, ProblemView, StudyList, StudyOptions, StudyView
from .problems import Problem
from .service import Service
from .views import prediction, study_view

ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ProblemView, "content": {"application/problem+json": {}}}
    for status in (400, 401, 403, 404, 409, 413, 415, 422, 429, 503, 507)
}


def signed_in(request: Request) -> None:
    """Before a request is looked at: a stranger does not learn what is wrong with theirs. Raises Problem."""
    request.app.state.service.access.identify(request, "read", counted=False)


router = APIRouter(prefix="/api", tags=["Studies"], responses=ERRORS, dependencies=[Depends(signed_in)])
Identifier = Annotated[str, Path(pattern="^[0-9a-f]{32}$")]
PREDICT_SECONDS = 120.0

_FORM = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["files"],
                    "properties": {
                        "files": {
                            "type": "array",
                            "items": {"type": "string", "format": "binary"},
                            "description": "A DICOM series, zips of it, or one NIfTI, NRRD or MHA file.",
                        },
                        **StudyOptions.model_json_schema()["properties"],
                    },
                }
            }
        },
    },
    "parameters": [
        {
            "name": "Idempotency-Key",
            "in": "header",
            "schema": {"type": "string"},
            "description": "An upload that is sent again with the same key is the same study.",
        }
    ],
}


def admitted(request: Request, role: str) -> tuple[Service, Principal]:
    """The service, and who asks it. Raises Problem."""
    service: Service = request.app.state.service
    return service, service.access.identify(request, role)


def row_of(service: Service, identifier: str) -> dict[str, Any]:
    """A study's row. Raises Problem 404."""
    row = service.table.get(identifier)
    if row is None:
        raise Problem(404, "There is no such study.", "It may have been deleted.")
    return row


@router.post("/studies", status_code=202, openapi_extra=_FORM)
async def upload(request: Request, response: Response) -> StudyView:
    """Send a study; it is kept and queued when this answers."""
    service, principal = await run_in_threadpool(admitted, request, "write")
    identifier = await service.take_upload(request, principal)

    def answer() -> StudyView:
        service.note(principal, "upload", identifier)
        return study_view(service, row_of(service, identifier))

    response.headers["Location"] = f"/api/studies/{identifier}"
    return await run_in_threadpool(answer)


@router.post(
    "/predict",
    openapi_extra=_FORM,
    responses={202: {"model": StudyView, "description": "It takes longer; follow the study at Location."}},
)
async def predict(request: Request, response: Response) -> Prediction | StudyView:
    """Send a study and wait for its result, at most 120 s: probability, picture, explanation."""
    service, principal = await run_in_threadpool(admitted, request, "write")
    identifier = await service.take_upload(request, principal)
    await run_in_threadpool(service.note, principal, "predict", identifier)
    response.headers["Location"] = f"/api/studies/{identifier}"
    ends = asyncio.get_running_loop().time() + PREDICT_SECONDS
    while True:
        row = await run_in_threadpool(row_of, service, identifier)
        if row["state"] == DONE:
            return await run_in_threadpool(prediction, service, row)
        if row["state"] not in UNFINISHED:
            said = row["error"] or {"what": f"The study was {row['state']}.", "advice": "", "where": "", "kind": ""}
            status = 422 if said["kind"] == "input" else 500
            raise Problem(status, said["what"], said["advice"], where=said["where"])
        if asyncio.get_running_loop().time() > ends:
            response.status_code = 202
            return await run_in_threadpool(study_view, service, row)
        await asyncio.sleep(0.25)


@router.get("/studies")
def worklist(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    offset: Annotated[int, Query(ge=0)] = 0,
    state: Literal["receiving", "queued", "running", "done", "failed", "cancelled"] | None = None,
) -> StudyList:
    """The worklist: studies called positive first, by probability; the others in order of arrival."""
    service, principal = admitted(request, "read")
    rows = service.table.studies(limit=limit, offset=offset, state=state)
    service.note(principal, "list")
    studies = [study_view(service, row, whole=False) for row in rows]
    return StudyList(studies=studies, counts=service.table.counts())


@router.get("/studies/{identifier}")
def study(request: Request, identifier: Identifier) -> StudyView:
    """State, place in the queue and progress; when it is done, the result in short and the names of its files."""
    service, principal = admitted(request, "read")
    row = row_of(service, identifier)
    service.note(principal, "see study", identifier)
    return study_view(service, row)


@router.delete("/studies/{identifier}", status_code=204)
def remove(request: Request, identifier: Identifier) -> None:
    """Cancel a study that is not finished; delete one that is, with all its files (role admin)."""
    service, principal = admitted(request, "write")
    action = service.remove(row_of(service, identifier), principal)
    service.note(principal, action, identifier)


@router.post("/studies/{identifier}/explanations", status_code=202)
def explain(request: Request, identifier: Identifier, wanted: ExplanationIn) -> StudyView:
    """Have another heat map drawn. It is in the files of the study that this answers with."""
    service, principal = admitted(request, "write")
    options = wanted.model_dump()
    other = service.explain(row_of(service, identifier), options)
    service.note(principal, "explain", identifier)
    return study_view(service, row_of(service, other))


@router.get("/studies/{identifier}/findings")
def findings(request: Request, identifier: Identifier, operating_point: OperatingPoint | None = None) -> dict[str, Any]:
    """What the networks and the readers say, level by level; called at another operating point when one is asked."""
    service, principal = admitted(request, "read")
    found = service.results.findings(row_of(service, identifier), operating_point)
    service.note(principal, "see findings", identifier)
    return {**found.to_dict(), "training": found.training_in_words(), "prevalence_text": found.prevalence_in_words()}


@router.get("/studies/{identifier}/files/{name}", response_class=Response)
def download(request: Request, identifier: Identifier, name: str) -> Response:
    """A file of the result: report, scene, DICOM SEG and SR, tables, volumes. Takes Range."""
    service, principal = admitted(request, "read")
    row = row_of(service, identifier)
    answer = service.results.response(row, name, request.headers.get("range"))
    service.note(principal, f"see {name}"[:40], identifier)
    return answer

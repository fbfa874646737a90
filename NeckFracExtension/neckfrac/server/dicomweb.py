"""STOW-RS (PS3.18 10.5): a PACS, or Orthanc in front of it, stores the slices of a series here."""

from __future__ import annotations

import uuid
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from .access import Principal
from .database import QUEUED, RECEIVING
from .problems import Problem
from .series import Instance, read_instance
from .service import Service
from .uploads import receive

router = APIRouter(tags=["DICOMweb"])

REFERENCED, FAILED = "00081199", "00081198"  # ReferencedSOPSequence, FailedSOPSequence


@router.post(
    "/dicomweb/studies",
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                'multipart/related; type="application/dicom"': {"schema": {"type": "string", "format": "binary"}}
            },
        }
    },
)
@router.post("/dicomweb/studies/{study_uid}", include_in_schema=False)
async def store_instances(request: Request, study_uid: str = "") -> JSONResponse:
    """Store instances. CT is analysed once its series has been quiet for a while; other classes are refused.

    Answers with ReferencedSOPSequence and FailedSOPSequence: 200 when all were taken, 202 some, 409 none.
    """
    service: Service = request.app.state.service
    principal = await run_in_threadpool(_admitted, service, request)
    counts = await run_in_threadpool(service.table.counts)
    if counts.get(QUEUED, 0) + counts.get(RECEIVING, 0) >= service.settings.limits.queue_length:
        raise Problem(503, "The queue is full.", "Try again in a minute.", headers={"Retry-After": "60"})
    folder = service.store.new_scratch(f"stow-{uuid.uuid4().hex}")
    try:
        received = await receive(request, folder, service.settings.limits, service.store, any_type=True)
        if not received.files:
            raise Problem(400, "The request holds no instance.", 'Send parts of type "application/dicom".')
        instances = await run_in_threadpool(_take, service, received.files, study_uid)
    finally:
        await run_in_threadpool(service.store.remove_scratch, folder)
    await run_in_threadpool(service.note, principal, "store instances")
    failed = [one for one in instances if one.failure is not None]
    status = 200 if not failed else 409 if len(failed) == len(instances) else 202
    return JSONResponse(_answer(instances), status, media_type="application/dicom+json")


def _admitted(service: Service, request: Request) -> Principal:
    return service.access.identify(request, "write", counted=False)


def _take(service: Service, files: list[Any], study_uid: str) -> list[Instance]:
    instances = [read_instance(path) for path in files]
    wrong = [one for one in instances if study_uid and one.failure is None and one.study != study_uid]
    good = [one for one in instances if one.failure is None and one not in wrong]
    if good:
        service.series.add(good)
    refused = {id(one) for one in wrong}
    return [
        Instance(one.path, one.sop_class, one.sop_instance, failure=0xA900) if id(one) in refused else one
        for one in instances
    ]


def _answer(instances: list[Instance]) -> dict[str, Any]:
    taken = [_item(one) for one in instances if one.failure is None]
    failed = [
        {**_item(one), "00081197": {"vr": "US", "Value": [one.failure]}} for one in instances if one.failure is not None
    ]
    said = {REFERENCED: taken, FAILED: failed}
    return {tag: {"vr": "SQ", "Value": items} for tag, items in said.items() if items}


def _item(instance: Instance) -> dict[str, Any]:
    return {
        "00081150": {"vr": "UI", "Value": [instance.sop_class]},
        "00081155": {"vr": "UI", "Value": [instance.sop_instance]},
    }

"""STOW-RS (PS3.18 10.5): instances take the way of C-STORE and of POST /api/v1/studies; what is answered as stored is durable."""

import json
from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from service.access import Principal
from service.api import uploads
from service.api.dependencies import Parts, Radiologist, Services, Uid
from service.api.negotiation import choose
from service.api.problems import Problem
from service.api.schemas import problem_responses
from service.core.store_status import status_of
from service.core.stow import StoreOutcome, write_store_response
from service.dicomweb.objects import DICOM, DICOM_JSON, PREFIX, STUDY, WantedMedia, url_of

_KINDS = frozenset({DICOM, "multipart/related"})
_MOST_TOLD = 8
_OK, _ACCEPTED, _CONFLICT, _UNSUPPORTED, _UNPROCESSABLE = 200, 202, 409, 415, 422
_DESCRIBED: dict[str, Any] = {
    "openapi_extra": {
        "requestBody": {
            "required": True,
            "content": {
                'multipart/related; type="application/dicom"': {"schema": {"type": "string", "format": "binary"}},
                DICOM: {"schema": {"type": "string", "format": "binary"}},
            },
        }
    },
    "responses": {
        200: {"content": {DICOM_JSON: {"schema": {"type": "object"}}}, "description": "All are stored"},
        202: {
            "content": {DICOM_JSON: {"schema": {"type": "object"}}},
            "description": "Some are stored; FailedSOPSequence has others",
        },
        **problem_responses(400, 401, 403, 406, 408, 413, 415, 422, 429, 503, 507),
        409: {
            "content": {DICOM_JSON: {"schema": {"type": "object"}}},
            "description": "None is stored; FailedSOPSequence says why",
        },
    },
    "response_class": Response,
}
router = APIRouter(prefix=PREFIX, tags=["dicomweb"])


@router.post("/studies", **_DESCRIBED)
async def store_instances(request: Request, parts: Parts, principal: Radiologist, accept: WantedMedia) -> Response:
    """Store instances of any studies."""
    return await _store(request, parts, principal, accept, None)


@router.post(STUDY, **_DESCRIBED)
async def store_instances_of_study(
    request: Request, parts: Parts, principal: Radiologist, accept: WantedMedia, study_instance_uid: Uid
) -> Response:
    """Store instances of one study; those of another are refused."""
    return await _store(request, parts, principal, accept, study_instance_uid)


async def _store(request: Request, parts: Services, principal: Principal, accept: str | None, study: str | None) -> Response:
    media_type = choose(accept, (DICOM_JSON, "application/json"))
    taken = uploads.Taken(kinds=_KINDS, part_kinds=frozenset({DICOM}), study_instance_uid=study)
    try:
        outcomes = await uploads.receive(request, parts.intake, taken)
    except Problem as problem:
        if problem.status_code == _UNPROCESSABLE:
            raise Problem(400, problem.detail, reason=problem.reason) from problem
        raise
    return await run_in_threadpool(_answer, request, parts, principal, outcomes, media_type)


def _answer(
    request: Request, parts: Services, principal: Principal, outcomes: Sequence[uploads.Outcome], media_type: str
) -> Response:
    studies = [outcome.stored.attributes.study_instance_uid for outcome in outcomes if outcome.stored is not None]
    for uid in sorted(set(studies)):
        detail = {"instances": studies.count(uid)}
        parts.audit.append(actor=principal.name, action="instances_received", subject=uid, detail=detail)
    study_url = url_of(request, studies[0]) if len(set(studies)) == 1 else None
    told = write_store_response([_tell(request, outcome) for outcome in outcomes], study_url=study_url)
    return Response(
        json.dumps(told, separators=(",", ":")),
        status_code=_status(outcomes),
        media_type=media_type,
        headers=_warnings(outcomes),
    )


def _status(outcomes: Sequence[uploads.Outcome]) -> int:
    """415 when no part was what is taken here at all."""
    stored = sum(outcome.stored is not None for outcome in outcomes)
    if stored:
        return _OK if stored == len(outcomes) else _ACCEPTED
    reasons = {outcome.refused.reason for outcome in outcomes if outcome.refused is not None}
    return _UNSUPPORTED if reasons == {"part_media_type"} else _CONFLICT


def _tell(request: Request, outcome: uploads.Outcome) -> StoreOutcome:
    attributes = outcome.attributes if outcome.stored is None else outcome.stored.attributes
    names = (None, None) if attributes is None else (attributes.sop_class_uid, attributes.sop_instance_uid)
    if outcome.refused is not None or attributes is None:
        reason = status_of(outcome.refused or RuntimeError())
        return StoreOutcome(sop_class_uid=names[0], sop_instance_uid=names[1], failure_reason=int(reason))
    url = url_of(request, attributes.study_instance_uid, attributes.series_instance_uid, attributes.sop_instance_uid)
    return StoreOutcome(sop_class_uid=names[0], sop_instance_uid=names[1], retrieve_url=url)


def _warnings(outcomes: Sequence[uploads.Outcome]) -> dict[str, str]:
    """The first refusals in words: a FailureReason says little to people."""
    said = [
        f'299 Sonomyo "Part {number}: {outcome.refused}"'.encode("ascii", "replace").decode()
        for number, outcome in enumerate(outcomes, start=1)
        if outcome.refused is not None
    ]
    return {"Warning": ", ".join(said[:_MOST_TOLD])} if said else {}

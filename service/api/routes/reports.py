"""One version of a report, all of them, and what a person does to the current one."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from service.api.dependencies import Accept, ByPerson, IfMatch, Parts, ReportId, Services, Uid, Viewer
from service.api.negotiation import choose
from service.api.outcomes import MEDIA_TYPE as FHIR
from service.api.problems import Problem
from service.api.routes.studies import REPORT_TYPES, present_report, version_headers
from service.api.schemas import Cancellation, Preview, ReportVersions, problem_responses
from service.core.overlays import Overlays
from service.core.report import Report
from service.core.report_life import Changes

_MOST_FRAMES = 128
FrameRange = Annotated[str, Query(pattern=r"^[1-9][0-9]{0,6}-[1-9][0-9]{0,6}$", description="First and last frame, from 1.")]

router = APIRouter(prefix="/api/v1/reports", tags=["reports"], responses=problem_responses(401, 403, 404, 422, 429, 503))


@router.get(
    "/{report_id}",
    response_model=Report,
    responses={
        200: {
            "content": {"text/html": {}, "application/pdf": {}, "application/dicom": {}, FHIR: {}},
            "description": "This version of the report",
        },
        **problem_responses(406),
    },
)
def get_report(request: Request, parts: Parts, principal: Viewer, report_id: ReportId, accept: Accept) -> Response:
    """One immutable version, with its deliveries as they stand now.

    Page and PDF come in English (`en`) or German (`de`), as `Accept-Language` prefers.
    """
    media_type = choose(accept, REPORT_TYPES)
    return present_report(request, principal, parts.studies.report(report_id.lower()), media_type)


@router.get("/{report_id}/versions")
def list_versions(parts: Parts, principal: Viewer, report_id: ReportId) -> ReportVersions:
    """All versions of the report that this one is a version of, oldest first."""
    versions = parts.studies.versions(report_id.lower())
    parts.audit.append(actor=principal.name, action="report_read", subject=report_id.lower(), detail={"versions": len(versions)})
    return ReportVersions(versions=tuple(versions))


@router.get("/{report_id}/overlays/{sop_instance_uid}")
def get_overlays(parts: Parts, principal: Viewer, report_id: ReportId, sop_instance_uid: Uid, frames: FrameRange) -> Overlays:
    """What this version's analyses drew in some frames of a cine: maps, lines, and what each frame of a wrist shows.

    A frame in which nothing was drawn is left out. At most 128 frames a request, so that an answer never grows with the cine.
    """
    wanted = frame_range(frames)
    drawn = parts.studies.overlays(report_id.lower(), sop_instance_uid, wanted)
    detail = {"overlays": sop_instance_uid, "frames": frames}
    parts.audit.append(actor=principal.name, action="report_read", subject=report_id.lower(), detail=detail)
    return drawn


#: Of a step that makes a new version; `If-Match` is read by hand, so that its lack is a 428 and no 422.
_MAKES_A_VERSION: dict[str, Any] = {
    "response_model": Report,
    "responses": {200: {"description": "The version that was made; ETag names it"}, **problem_responses(409, 412, 428)},
    "openapi_extra": {
        "parameters": [
            {
                "name": "If-Match",
                "in": "header",
                "required": True,
                "schema": {"type": "string"},
                "description": "The ETag of the version that you have read.",
            }
        ]
    },
}


@router.patch("/{report_id}", **_MAKES_A_VERSION)
def amend_report(parts: Parts, by: ByPerson, report_id: ReportId, if_match: IfMatch, changes: Changes) -> Response:
    """Set values, draw lines, accept or reject findings, restore the software's, write impression or comment: a draft with that.

    What follows by geometry from a value or from lines is computed anew, or flagged `rests_on_amended` where it cannot be.
    Of a signed version it is a draft beside it, which takes its place once it is signed. The same request again makes nothing.
    """
    made = parts.review.amend(_unchanged(parts, report_id, if_match), changes, by=by.person)
    return _made(made)


@router.post("/{report_id}/preview", responses=problem_responses(409))
def preview_amendment(parts: Parts, by: ByPerson, report_id: ReportId, changes: Changes) -> Preview:
    """What this version would say with changes, typed or drawn, and what follows from them by geometry. Nothing is stored."""
    before = parts.studies.report(report_id.lower())
    draft = parts.review.preview(before.report_id, changes, by=by.person)
    return Preview(
        findings=tuple(finding for finding in draft.findings if finding not in before.findings),
        impression=draft.impression,
        limitations=draft.limitations,
        comparisons=draft.comparisons,
    )


@router.post("/{report_id}/sign", **_MAKES_A_VERSION)
def sign_report(parts: Parts, by: ByPerson, report_id: ReportId, if_match: IfMatch) -> Response:
    """Stand for the draft: it becomes final, or amended where a signed version came before."""
    return _made(parts.review.sign(_unchanged(parts, report_id, if_match), by=by.person))


@router.post("/{report_id}/cancel", **_MAKES_A_VERSION)
def cancel_report(parts: Parts, by: ByPerson, report_id: ReportId, if_match: IfMatch, wanted: Cancellation) -> Response:
    """Withdraw the report, so that its receivers hear of it; a draft beside a signed version is given up, and that one stays."""
    return _made(parts.review.cancel(_unchanged(parts, report_id, if_match), why=wanted.why, by=by.person))


def frame_range(text: str) -> range:
    """`1-64` as the numbers that it means. Raises Problem (422)."""
    first, last = map(int, text.split("-"))
    if not first <= last < first + _MOST_FRAMES:
        raise Problem(422, f"frames is FIRST-LAST of at most {_MOST_FRAMES} frames, for example 1-64.", reason="frames")
    return range(first, last + 1)


def _unchanged(parts: Services, report_id: str, if_match: str) -> str:
    """The version of the path, when it is the one that was read. Raises Problem (412), NotFound."""
    named = report_id.lower()
    if if_match != named:
        parts.studies.report(named)
        raise Problem(412, "If-Match names another version than the address: read that one, and send its ETag with it.")
    return named


def _made(made: Report) -> Response:
    headers = {**version_headers(made), "Content-Location": f"/api/v1/reports/{made.report_id}"}
    return Response(made.model_dump_json(), media_type="application/json", headers=headers)

"""One version of a report, and all of them."""

from fastapi import APIRouter, Request, Response

from service.api.dependencies import Accept, Parts, ReportId, Viewer
from service.api.negotiation import choose
from service.api.outcomes import MEDIA_TYPE as FHIR
from service.api.routes.studies import REPORT_TYPES, present_report
from service.api.schemas import ReportVersions, problem_responses
from service.core.report import Report

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

"""Studies: the worklist, upload, one study, and what can be asked of it."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from service.access import Principal
from service.api import fhir_answers, uploads
from service.api.dependencies import Accept, Cursor, Limit, Parts, Radiologist, Services, Uid, Viewer, services_of
from service.api.headers import policy_of_document
from service.api.negotiation import choose
from service.api.outcomes import MEDIA_TYPE as FHIR
from service.api.preferences import choose_language
from service.api.problems import Problem
from service.api.schemas import Accepted, Reanalysis, Upload, UploadedInstance, UploadStatus, problem_responses
from service.core.report import Report
from service.explanation import StudyExplanation
from service.operation_views import JobView
from service.records import StoredInstance
from service.views import StudyDetail, StudyFilter, StudyFlag, StudyPage, StudyStatus

router = APIRouter(prefix="/api/v1/studies", tags=["studies"], responses=problem_responses(401, 403, 422, 429, 503))

Text64 = Annotated[str | None, Query(max_length=64, pattern=r"^[^\x00]*$")]
Which = Annotated[Literal["official", "draft"], Query(description="`draft`: the version that waits for a signature.")]
REPORT_TYPES = ("application/json", "text/html", "application/pdf", "application/dicom", FHIR)
#: The others are in English whatever the reader prefers.
_IN_A_LANGUAGE = frozenset({"text/html", "application/pdf"})
_STATUS: Mapping[str, UploadStatus] = {
    "current": "stored",
    "corrected": "corrected",
    "conflict": "conflict",
    "returned": "returned",
}
_DICOM_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {"schema": {"type": "object", "additionalProperties": {"type": "string", "format": "binary"}}},
            "multipart/related": {"schema": {"type": "string", "format": "binary"}},
            "application/dicom": {"schema": {"type": "string", "format": "binary"}},
        },
    }
}


def read_filter(
    patient_id: Text64 = None,
    accession_number: Text64 = None,
    status: StudyStatus | None = None,
    modality: Annotated[str | None, Query(max_length=16, pattern=r"^[^\x00]*$")] = None,
    from_: Annotated[date | None, Query(alias="from", description="First study date, or day of arrival.")] = None,
    to: Annotated[date | None, Query(description="Last study date, or day of arrival.")] = None,
    analysis: Annotated[str | None, Query(pattern=r"^[a-z_]{1,64}$", description="Selected for a current instance.")] = None,
    flag: Annotated[StudyFlag | None, Query(description="What waits for a person.")] = None,
) -> StudyFilter:
    """The filters of a query."""
    return StudyFilter(
        patient_id=patient_id,
        accession_number=accession_number,
        status=status,
        modality=modality,
        from_date=from_,
        to_date=to,
        analysis=analysis,
        flag=flag,
    )


@router.get("")
def list_studies(
    parts: Parts,
    principal: Viewer,
    wanted: Annotated[StudyFilter, Depends(read_filter)],
    limit: Limit = 50,
    cursor: Cursor = None,
) -> StudyPage:
    """The worklist, newest arrival first."""
    del principal
    return parts.studies.worklist(wanted, limit=limit, cursor=cursor)


@router.post("", status_code=202, openapi_extra=_DICOM_BODY, responses=problem_responses(408, 413, 415, 507))
async def upload_studies(request: Request, parts: Parts, principal: Radiologist) -> Upload:
    """Store instances for analysis, as C-STORE does: what is answered here is durable."""
    outcomes = await uploads.receive(request, parts.intake, uploads.Taken())
    return await run_in_threadpool(_tell_outcomes, parts, principal, outcomes)


@router.get("/{study_instance_uid}", responses=problem_responses(404))
def get_study(parts: Parts, principal: Viewer, study_instance_uid: Uid) -> StudyDetail:
    """Instances, analyses, jobs, reports and deliveries of one study."""
    del principal
    return parts.studies.study(study_instance_uid)


@router.get("/{study_instance_uid}/explain", responses=problem_responses(404))
def explain_study(parts: Parts, principal: Viewer, study_instance_uid: Uid) -> StudyExplanation:
    """Which rule chose each analysis of each instance, and each destination of the newest report, and why."""
    del principal
    return parts.explain(study_instance_uid)


@router.post("/{study_instance_uid}/complete", status_code=202, responses=problem_responses(404))
def complete_study(parts: Parts, principal: Radiologist, study_instance_uid: Uid) -> Accepted:
    """Do not wait for the study to be stable: report as soon as its analyses are done."""
    parts.steps.request_report(study_instance_uid, actor=principal.name)
    return _accepted(study_instance_uid)


@router.post("/{study_instance_uid}/reanalyse", status_code=202, responses=problem_responses(404))
def reanalyse_study(parts: Parts, principal: Radiologist, study_instance_uid: Uid, wanted: Reanalysis | None = None) -> Accepted:
    """Run every analysis again, optionally with pinned model versions; a new report version follows."""
    models = dict(wanted.models) if wanted is not None else {}
    parts.steps.reanalyse(study_instance_uid, models, actor=principal.name)
    return _accepted(study_instance_uid)


@router.post("/{study_instance_uid}/acknowledge-identity", status_code=202, responses=problem_responses(404))
def acknowledge_identity(parts: Parts, principal: Radiologist, study_instance_uid: Uid) -> Accepted:
    """A person confirms that a changed patient or order is right: deliveries that waited for this go."""
    parts.steps.acknowledge_identity(study_instance_uid, actor=principal.name)
    return _accepted(study_instance_uid)


@router.get(
    "/{study_instance_uid}/report",
    response_model=Report,
    responses={
        200: {
            "content": {"text/html": {}, "application/pdf": {}, "application/dicom": {}, FHIR: {}},
            "description": "The official version of the report; `draft` and a Link header name a draft that waits beside it",
        },
        **problem_responses(404, 406),
    },
)
def get_study_report(
    request: Request, parts: Parts, principal: Viewer, study_instance_uid: Uid, accept: Accept, version: Which = "official"
) -> Response:
    """The newest signed version, or the newest where none is, as JSON, a page, a PDF, the DICOM SR, or a FHIR R4 transaction.

    Page and PDF come in English (`en`) or German (`de`), as `Accept-Language` prefers.
    """
    media_type = choose(accept, REPORT_TYPES)
    return present_report(request, principal, which_report(parts, study_instance_uid, version), media_type)


def which_report(parts: Services, study_instance_uid: str, version: Which) -> Report:
    """The official version, or the draft that waits. Raises NotFound."""
    read = parts.studies.draft_report if version == "draft" else parts.studies.official_report
    return read(study_instance_uid)


def present_report(request: Request, principal: Principal, report: Report, media_type: str) -> Response:
    """One version as one media type; who read it is on record."""
    parts = services_of(request)
    headers = {**version_headers(report), "Vary": "Accept"}
    language = choose_language(", ".join(request.headers.getlist("accept-language")), parts.language)
    if media_type in _IN_A_LANGUAGE:
        headers |= {"Content-Language": language, "Vary": "Accept, Accept-Language"}
    if media_type == "text/html":
        content: str | bytes = (page := parts.render_page(report, parts.studies.pictures(report.report_id), language))
        headers["Content-Security-Policy"] = policy_of_document(page)
    elif media_type == "application/pdf":
        content = parts.render_pdf(report, parts.studies.pictures(report.report_id), language)
        headers["Content-Disposition"] = 'inline; filename="report.pdf"'  # no name or number of the patient
    elif media_type == "application/dicom":
        content = parts.studies.rendered(report.report_id, "sr").content
    elif media_type == FHIR:
        content = fhir_answers.bundle(parts, report, request)
    else:
        content = report.model_dump_json()
    parts.audit.append(actor=principal.name, action="report_read", subject=report.report_id, detail={"media_type": media_type})
    return Response(content, media_type=media_type, headers=headers)


def version_headers(report: Report) -> dict[str, str]:
    """ETag, and links to the versions beside this one (RFC 5829)."""
    links = {"predecessor-version": report.predecessor, "working-copy": report.draft}
    told = [f'</api/v1/reports/{other}>; rel="{relation}"' for relation, other in links.items() if other is not None]
    return {"ETag": f'"{report.report_id}"', **({"Link": ", ".join(told)} if told else {})}


def _accepted(study_instance_uid: str) -> Accepted:
    return Accepted(study_instance_uid=study_instance_uid, links=_links(study_instance_uid))


def _links(study_instance_uid: str) -> dict[str, str]:
    study = f"/api/v1/studies/{study_instance_uid}"
    return {"study": study, "report": f"{study}/report", "page": f"/studies/{study_instance_uid}"}


def _tell_outcomes(parts: Services, principal: Principal, outcomes: list[uploads.Outcome]) -> Upload:
    """Each instance with its jobs; when all were refused, a problem."""
    stored = [outcome.stored for outcome in outcomes if outcome.stored is not None]
    jobs = parts.jobs.of_instances([instance.instance_id for instance in stored])
    told = tuple(_tell(outcome, jobs) for outcome in outcomes)
    if not stored:
        first = told[0]
        detail = first.detail if len(told) == 1 else f"All {len(told)} instances were refused."
        instances = [instance.model_dump(mode="json", exclude_none=True) for instance in told]
        raise Problem(422, detail or "", reason=first.reason, extensions={"instances": instances})
    studies = sorted({instance.attributes.study_instance_uid for instance in stored})
    for uid in studies:
        count = sum(instance.attributes.study_instance_uid == uid for instance in stored)
        parts.audit.append(actor=principal.name, action="instances_received", subject=uid, detail={"instances": count})
    return Upload(instances=told, studies=tuple(Accepted(study_instance_uid=uid, links=_links(uid)) for uid in studies))


def _tell(outcome: uploads.Outcome, jobs: Sequence[JobView]) -> UploadedInstance:
    if outcome.refused is not None:
        return UploadedInstance(status="refused", reason=outcome.refused.reason, detail=str(outcome.refused))
    stored = outcome.stored
    assert stored is not None  # noqa: S101 - an outcome is one or the other
    return UploadedInstance(
        status=_status(stored),
        sop_instance_uid=stored.attributes.sop_instance_uid,
        study_instance_uid=stored.attributes.study_instance_uid,
        jobs=tuple(_job_link(job) for job in jobs if job.instance_id == stored.instance_id),
    )


def _status(stored: StoredInstance) -> UploadStatus:
    return _STATUS.get(stored.disposition, "stored") if stored.is_new else "duplicate"


def _job_link(job: JobView) -> str:
    return f"/api/v1/jobs/{job.job_id}"

"""FHIR R4, read only: official reports by search or id, their versions as history, their observations and studies."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from service.access import Principal
from service.api import fhir_answers as answers
from service.api.dependencies import Parts, ReportId, Services, Uid, Viewer
from service.api.fhir_capability import OBSERVATION_SEARCH, REPORT_SEARCH, STUDY_SEARCH, capability_statement
from service.api.fhir_search import Kind, Page, check_known, read_reports, read_studies
from service.api.outcomes import MEDIA_TYPE
from service.api.schemas import outcome_responses
from service.core.report import Report
from service.errors import NotFound
from service.views import ReportFilter

_RESOURCE: dict[int | str, dict[str, Any]] = {200: {"content": {MEDIA_TYPE: {}}, "description": "A FHIR R4 resource"}}
router = APIRouter(prefix="/fhir", tags=["fhir"], responses={**_RESOURCE, **outcome_responses(401, 403, 404, 406, 422, 429, 503)})
ObservationId = Annotated[
    str, Path(pattern=r"^[0-9a-f-]{36}\.[0-9a-f]{20}$", description="Id of a report, and digits that name the finding.")
]
Version = Annotated[int, Path(ge=1, le=1_000_000, description="As `meta.versionId` says.")]
Include = Annotated[Literal["DiagnosticReport:result"] | None, Query(alias="_include", description="The observations too.")]
Study = Annotated[
    str,
    Query(alias="derived-from", pattern=r"^(ImagingStudy/)?[0-9.]{1,64}$", description="The study, by its Study Instance UID."),
]
Offset = Annotated[int, Query(alias="_offset", ge=0, le=1_000_000, description="From the `next` link of the page before.")]


@router.get("/metadata")
def read_capabilities(request: Request, parts: Parts, principal: Viewer, kind: Kind) -> Response:
    """What can be asked here."""
    del principal
    statement = capability_statement(version=request.app.version, address=f"{answers.root(request)}/fhir")
    return answers.answer(parts, statement, kind)


@router.get("/DiagnosticReport/{report_id}")
def read_report(request: Request, parts: Parts, principal: Viewer, report_id: ReportId, kind: Kind) -> Response:
    """A report as its official version has it, the page included; the id is that of its first version."""
    return _answer_report(request, parts, principal, _official_of(parts, report_id.lower()), kind)


@router.get("/DiagnosticReport/{report_id}/_history/{version}")
def read_report_version(
    request: Request, parts: Parts, principal: Viewer, report_id: ReportId, version: Version, kind: Kind
) -> Response:
    """One version of a report, its page included."""
    for report in _versions_of(parts, report_id.lower()):
        if report.version == version:
            return _answer_report(request, parts, principal, report, kind)
    raise NotFound("This report has no such version.")


def _answer_report(request: Request, parts: Services, principal: Principal, report: Report, kind: str) -> Response:
    resource = parts.fhir.report_resource(report, answers.whole(parts, report, request))
    answers.record(parts, principal, [report], kind)
    return answers.answer(parts, resource, kind)


@router.get("/Observation/{observation_id}")
def read_observation(parts: Parts, principal: Viewer, observation_id: ObservationId, kind: Kind) -> Response:
    """One finding as the official version of its report has it, also one that was taken back."""
    report = _official_of(parts, observation_id.partition(".")[0])
    resource = parts.fhir.observation_resource(report, observation_id)
    answers.record(parts, principal, [report], kind)
    return answers.answer(parts, resource, kind)


@router.get("/ImagingStudy/{study_instance_uid}")
def read_imaging_study(request: Request, parts: Parts, principal: Viewer, study_instance_uid: Uid, kind: Kind) -> Response:
    """The study, as far as its newest report rests on it."""
    report = parts.studies.official_report(study_instance_uid)
    resource = _study(request, parts, report)
    answers.record(parts, principal, [report], kind)
    return answers.answer(parts, resource, kind)


@router.get("/DiagnosticReport")
def search_reports(
    request: Request,
    parts: Parts,
    principal: Viewer,
    wanted: Annotated[ReportFilter, Depends(read_reports)],
    page: Page,
    include: Include = None,
) -> Response:
    """The newest version of each study that fits, the newest arrival first; or the version that `identifier` names."""
    check_known(request, (*REPORT_SEARCH, "_include"))
    found = parts.studies.reports(wanted, limit=page.count, cursor=page.cursor)
    matches = [parts.fhir.report_resource(report, answers.linked(report, request)) for report in found.reports]
    included = [one for report in found.reports for one in _observations(parts, report)] if include else []
    answers.record(parts, principal, found.reports, page.kind)
    following = _after(request, "_cursor", found.next_cursor)
    return answers.answer(parts, answers.search_set(request, matches, included=included, following=following), page.kind)


@router.get("/ImagingStudy")
def search_studies(
    request: Request, parts: Parts, principal: Viewer, wanted: Annotated[ReportFilter, Depends(read_studies)], page: Page
) -> Response:
    """Studies that have a report, the newest arrival first."""
    check_known(request, [*STUDY_SEARCH])
    found = parts.studies.reports(wanted, limit=page.count, cursor=page.cursor)
    matches = [_study(request, parts, report) for report in found.reports]
    answers.record(parts, principal, found.reports, page.kind)
    following = _after(request, "_cursor", found.next_cursor)
    return answers.answer(parts, answers.search_set(request, matches, following=following), page.kind)


@router.get("/Observation")
def search_observations(
    request: Request, parts: Parts, principal: Viewer, study: Study, page: Page, offset: Offset = 0
) -> Response:
    """The findings of a study's newest report, in its order."""
    check_known(request, (*OBSERVATION_SEARCH, "_offset"))
    wanted = ReportFilter(study_instance_uid=study.removeprefix("ImagingStudy/"))
    reports = parts.studies.reports(wanted, limit=1, cursor=None).reports
    several = [one for report in reports for one in _observations(parts, report)]
    end = offset + page.count
    answers.record(parts, principal, reports, page.kind)
    following = _after(request, "_offset", str(end) if end < len(several) else None)
    return answers.answer(parts, answers.search_set(request, several[offset:end], following=following), page.kind)


def _observations(parts: Services, report: Report) -> list[dict[str, Any]]:
    return parts.fhir.observation_resources(report)


def _official_of(parts: Services, name: str) -> Report:
    """The version in force of the report of this id, which may have been withdrawn and followed by another report since."""
    return max(_versions_of(parts, name), key=lambda version: (version.is_settled, version.version))


def _versions_of(parts: Services, name: str) -> list[Report]:
    """Raises NotFound."""
    several = [version for version in parts.studies.versions(name) if version.lineage == name]
    if not several:
        raise NotFound("There is no report with that id: it is a version's; look for identifier=urn:uuid:….")
    return several


def _study(request: Request, parts: Services, report: Report) -> dict[str, Any]:
    instances = parts.studies.attributes(report.study.study_instance_uid)
    return parts.fhir.imaging_study_resource(report, instances, answers.linked(report, request))


def _after(request: Request, name: str, value: str | None) -> str | None:
    """The address of the next page."""
    return None if value is None else str(request.url.include_query_params(**{name: value}))

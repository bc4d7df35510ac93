"""What the FHIR routes and the report's other forms share: where things are, and resources as answers."""

from collections.abc import Iterable, Sequence
from typing import Any

from fastapi import Request, Response

from service.access import Principal
from service.api.dependencies import Services
from service.api.negotiation import choose
from service.api.outcomes import MEDIA_TYPE
from service.core.render.published import Form, Published
from service.core.report import Report

MEDIA_TYPES = (MEDIA_TYPE, "application/json")
_JSON_FORMATS = frozenset({"json", "application/json", MEDIA_TYPE, "text/json"})


def root(request: Request) -> str:
    """The address that the client used, as DICOMweb's metadata use it too."""
    return str(request.base_url).rstrip("/")


def whole(parts: Services, report: Report, request: Request) -> Published:
    """With page and PDF, pictures included."""
    pictures = parts.studies.pictures(report.report_id)
    page = Form(
        media_type="text/html", content=parts.render_page(report, pictures, parts.language).encode(), language=parts.language
    )
    pdf = Form(media_type="application/pdf", content=parts.render_pdf(report, pictures, parts.language), language=parts.language)
    return Published(forms=(page, pdf), wado_root=wado_root(request))


def linked(report: Report, request: Request) -> Published:
    """With the page's address: a list of reports must not weigh as much as all their pictures."""
    page = Form(media_type="text/html", address=f"{root(request)}/api/v1/reports/{report.report_id}")
    return Published(forms=(page,), wado_root=wado_root(request))


def wado_root(request: Request) -> str:
    """Base address of WADO-RS."""
    return f"{root(request)}/dicom-web"


def bundle(parts: Services, report: Report, request: Request) -> bytes:
    """All that one version says. Raises InputRejected."""
    instances = parts.studies.attributes(report.study.study_instance_uid)
    return parts.fhir.bundle(report, instances, whole(parts, report, request))


def media_type(accept: str | None, wanted: str | None) -> str:
    """`_format` goes before Accept (R4 3.1.0.1.11). Raises Problem (406)."""
    if wanted is not None:
        return choose(MEDIA_TYPE if wanted in _JSON_FORMATS else wanted, MEDIA_TYPES)
    return choose(accept, MEDIA_TYPES)


def answer(parts: Services, resource: dict[str, Any], kind: str) -> Response:
    """One resource."""
    return Response(parts.fhir.encode(resource), media_type=kind)


def record(parts: Services, principal: Principal, reports: Iterable[Report], kind: str) -> None:
    """Who read which reports."""
    for report in reports:
        parts.audit.append(actor=principal.name, action="report_read", subject=report.report_id, detail={"media_type": kind})


def search_set(
    request: Request, matches: Sequence[dict[str, Any]], *, included: Sequence[dict[str, Any]] = (), following: str | None = None
) -> dict[str, Any]:
    """A page of matches; without `total`, for counting would read everything."""
    links = [{"relation": "self", "url": str(request.url)}]
    if following is not None:
        links.append({"relation": "next", "url": following})
    entries = [*(_entry(request, one, "match") for one in matches), *(_entry(request, one, "include") for one in included)]
    found = {"resourceType": "Bundle", "type": "searchset", "link": links}
    return {**found, "entry": entries} if entries else found


def _entry(request: Request, resource: dict[str, Any], mode: str) -> dict[str, Any]:
    address = f"{root(request)}/fhir/{resource['resourceType']}/{resource['id']}"
    return {"fullUrl": address, "resource": resource, "search": {"mode": mode}}

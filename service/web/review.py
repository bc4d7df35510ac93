"""The panel in which a person reads the findings, amends, accepts or rejects them, and signs."""

from fastapi import APIRouter
from fastapi.responses import Response

from service.api.dependencies import Parts, Uid, Viewer
from service.api.routes.studies import Which, version_headers, which_report
from service.web.pages import present
from service.web.review_panel import panel_of
from service.web.words import Wording

router = APIRouter(include_in_schema=False)


@router.get("/studies/{study_instance_uid}/review")
def review_page(
    parts: Parts, principal: Viewer, words: Wording, study_instance_uid: Uid, version: Which = "official"
) -> Response:
    """The panel as a page of its own, which works without pictures; beside the viewer a script fetches it from here."""
    report = which_report(parts, study_instance_uid, version)
    parts.audit.append(actor=principal.name, action="report_read", subject=report.report_id, detail={"media_type": "text/html"})
    # What persons typed is kept from the catalogue, and stands in its place again afterwards.
    unsaid, typed = words.unsaid(report)
    panel = panel_of(unsaid, parts.studies.versions(report.report_id), principal)
    page = present(
        "review.html",
        words=words,
        told=lambda english: typed.put_back(words.told(english)),
        put_back=typed.put_back,
        panel=panel,
        report=report,
        version=version,
        principal=principal,
    )
    page.headers.update(version_headers(report))
    return page

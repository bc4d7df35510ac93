"""Pages for people: a worklist, the report of a study, and the way in. Server-rendered, no script needed."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response
from fastapi.staticfiles import StaticFiles

from service.access import Role
from service.api.dependencies import Cursor, Parts, Radiologist, Uid, Viewer
from service.api.headers import CONTENT_SECURITY_POLICY
from service.api.routes.studies import Which, present_report, which_report
from service.errors import NotFound
from service.views import StudyFilter, StudyStatus
from service.web import review, sign_in
from service.web.pages import present

_PAGE_SIZE = 50
Wanted = Annotated[str | None, Query(pattern=r"^[0-9.]{1,64}$")]

router = APIRouter(include_in_schema=False)
router.include_router(sign_in.router)
router.include_router(review.router)


@router.get("/")
def worklist(parts: Parts, principal: Viewer, status: StudyStatus | None = None, cursor: Cursor = None) -> Response:
    """Newest first."""
    page = parts.studies.worklist(StudyFilter(status=status), limit=_PAGE_SIZE, cursor=cursor)
    return present("worklist.html", page=page, principal=principal, status=status, statuses=list(StudyStatus))


@router.get("/studies/{study_instance_uid}")
def study_page(
    request: Request, parts: Parts, principal: Viewer, study_instance_uid: Uid, version: Which = "official"
) -> Response:
    """The official report, or the draft that waits; where there is none yet, where the study stands."""
    try:
        report = which_report(parts, study_instance_uid, version)
    except NotFound as missing:
        if missing.reason != "no_report_yet":
            raise
        may_complete = principal.role.includes(Role.RADIOLOGIST)
        study = parts.studies.study(study_instance_uid)
        return present("waiting.html", study=study, may_complete=may_complete, principal=principal)
    return present_report(request, principal, report, "text/html")


@router.post("/studies/{study_instance_uid}/complete")
def complete_study(parts: Parts, principal: Radiologist, study_instance_uid: Uid) -> Response:
    """The button of the waiting page."""
    parts.steps.request_report(study_instance_uid)
    parts.audit.append(actor=principal.name, action="completion_requested", subject=study_instance_uid)
    return RedirectResponse(f"/studies/{study_instance_uid}", status_code=303)


@router.get("/live")
def live_page(principal: Viewer, study: Wanted = None, series: Wanted = None, instance: Wanted = None) -> Response:
    """Guidance while somebody examines; with the names of an instance, from that cine."""
    may_keep = principal.role.includes(Role.RADIOLOGIST)
    page = present("live.html", study=study, series=series, instance=instance, may_keep=may_keep, principal=principal)
    # The one page that may use a camera, and shows frames that lie in the browser's own memory.
    page.headers["content-security-policy"] = f"{CONTENT_SECURITY_POLICY}; media-src 'self' blob:"
    page.headers["permissions-policy"] = "camera=(self), display-capture=(self), microphone=(), geolocation=()"
    return page


@router.get("/docs")
def describe_interface(request: Request, principal: Viewer) -> Response:
    """The OpenAPI document as a page; the usual viewers of it load scripts from elsewhere."""
    return present("docs.html", document=request.app.openapi(), principal=principal)


def static_files() -> StaticFiles:
    """Styles and pictures of the pages; they tell nothing about a patient."""
    return StaticFiles(packages=[("service.web", "static")])

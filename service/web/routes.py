"""Pages for people: a worklist, the report of a study, and the way in. Server-rendered, no script needed."""

from datetime import UTC
from functools import cache
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from fastapi.staticfiles import StaticFiles
from jinja2 import Environment, PackageLoader

from service.access import OpenedSession, Role
from service.api.dependencies import Cursor, Parts, Radiologist, Services, Uid, Viewer
from service.api.gate import session_cookie_name
from service.api.headers import CONTENT_SECURITY_POLICY
from service.api.problems import Problem
from service.api.routes.studies import Which, present_report, which_report
from service.core.wording import person_name
from service.errors import NotFound
from service.views import StudyFilter, StudyStatus

_PAGE_SIZE = 50
_TOKEN = Path(pattern=r"^[A-Za-z0-9_-]{20,100}$")
_UID = Path(pattern=r"^[0-9.]{1,64}$")
Wanted = Annotated[str | None, Query(pattern=r"^[0-9.]{1,64}$")]

router = APIRouter(include_in_schema=False)


@router.get("/")
def worklist(parts: Parts, principal: Viewer, status: StudyStatus | None = None, cursor: Cursor = None) -> Response:
    """Newest first."""
    page = parts.studies.worklist(StudyFilter(status=status), limit=_PAGE_SIZE, cursor=cursor)
    return _page("worklist.html", page=page, principal=principal, status=status, statuses=list(StudyStatus))


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
        return _page("waiting.html", study=parts.studies.study(study_instance_uid), principal=principal)
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
    page = _page("live.html", study=study, series=series, instance=instance, may_keep=may_keep, principal=principal)
    # The one page that may use a camera, and shows frames that lie in the browser's own memory.
    page.headers["content-security-policy"] = f"{CONTENT_SECURITY_POLICY}; media-src 'self' blob:"
    page.headers["permissions-policy"] = "camera=(self), display-capture=(self), microphone=(), geolocation=()"
    return page


@router.get("/docs")
def describe_interface(request: Request, principal: Viewer) -> Response:
    """The OpenAPI document as a page; the usual viewers of it load scripts from elsewhere."""
    return _page("docs.html", document=request.app.openapi(), principal=principal)


@router.get("/sign-in/{token}")
def sign_in(request: Request, parts: Parts, token: str = _TOKEN) -> Response:
    """Use a one-time link up and go to the worklist."""
    return _sign_in(request, parts, token, "/")


@router.get("/sign-in/{token}/studies/{study_instance_uid}")
def sign_in_to_study(request: Request, parts: Parts, token: str = _TOKEN, study_instance_uid: str = _UID) -> Response:
    """Use a one-time link up and go to a report."""
    return _sign_in(request, parts, token, f"/studies/{study_instance_uid}")


@router.post("/sign-out")
def sign_out(request: Request, parts: Parts, principal: Viewer) -> Response:
    """End the session."""
    name = session_cookie_name(secure=parts.secure_cookies)
    token = request.cookies.get(name)
    if token is not None:
        parts.sign_ins.close_session(token)
        parts.audit.append(actor=principal.name, action="signed_out", subject=principal.name)
    response = _page("signed_out.html")
    response.delete_cookie(name, path="/", httponly=True, samesite="strict", secure=parts.secure_cookies)
    return response


def static_files() -> StaticFiles:
    """Styles and pictures of the pages; they tell nothing about a patient."""
    return StaticFiles(packages=[("service.web", "static")])


def _sign_in(request: Request, parts: Services, token: str, page: str) -> Response:
    if "prefetch" in request.headers.get("sec-purpose", request.headers.get("purpose", "")):
        raise Problem(403, "A link that opens once is not opened ahead of time.", reason="prefetch")
    session = parts.sign_ins.open_session(token)
    if session is None:
        return _page("link_used.html", status_code=401)
    response = RedirectResponse(page, status_code=303)
    _set_cookie(response, session, secure=parts.secure_cookies)
    return response


def _set_cookie(response: Response, session: OpenedSession, *, secure: bool) -> None:
    response.set_cookie(
        session_cookie_name(secure=secure),
        session.token,
        expires=session.expires_at.astimezone(UTC),
        path="/",
        httponly=True,
        samesite="strict",
        secure=secure,
    )


def _page(template: str, *, status_code: int = 200, **values: object) -> HTMLResponse:
    return HTMLResponse(_templates().get_template(template).render(**values), status_code=status_code)


@cache
def _templates() -> Environment:
    environment = Environment(loader=PackageLoader("service.web"), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["person_name"] = person_name
    environment.filters["dicom_date"] = shown_date
    return environment


def shown_date(value: str | None) -> str:
    """`20261120` becomes `2026-11-20`; anything else stays as it is."""
    text = value or ""
    return f"{text[:4]}-{text[4:6]}-{text[6:]}" if len(text) == 8 and text.isascii() and text.isdigit() else text  # noqa: PLR2004

"""Pages for people, made on the server; scripts only help. Here: the report of a study, live guidance, the interface."""

from importlib.resources import files
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response

from service.access import Role
from service.api.dependencies import Parts, Radiologist, Uid, Viewer
from service.api.headers import CONTENT_SECURITY_POLICY
from service.api.routes.studies import Which, version_headers, which_report
from service.core.measure.wrist_grading import FAULTS
from service.core.render.overlay import LINE_COLOURS, STRUCTURE_COLOURS, kind_of
from service.core.wording import title_of
from service.core.wrist_planes import PLANES, STRUCTURES
from service.errors import NotFound
from service.web import cines, operations, review, sign_in, users, worklist
from service.web.pages import present
from service.web.words import Wording

#: What may be drawn in a frame, and what a frame of a wrist may show.
_DRAWN = frozenset(
    {
        *map(kind_of, (*LINE_COLOURS, "middle_aponeurosis", *STRUCTURE_COLOURS, *STRUCTURES, "drives_the_score")),
        *(plane.title for plane in PLANES),
        *(reason.replace("_", " ") for reason in FAULTS),
    }
)
Wanted = Annotated[str | None, Query(pattern=r"^[0-9.]{1,64}$")]

router = APIRouter(include_in_schema=False)
for _pages in (sign_in, worklist, cines, review, operations, users):
    router.include_router(_pages.router)


@router.get("/studies/{study_instance_uid}")
def study_page(parts: Parts, principal: Viewer, words: Wording, study_instance_uid: Uid, version: Which = "official") -> Response:
    """The viewer with the official report, or the draft that waits; where there is none yet, where the study stands."""
    try:
        report = which_report(parts, study_instance_uid, version)
    except NotFound as missing:
        if missing.reason != "no_report_yet":
            raise
        may_complete = principal.role.includes(Role.RADIOLOGIST)
        study = parts.studies.study(study_instance_uid)
        return present("waiting.html", words=words, study=study, may_complete=may_complete, principal=principal)
    parts.audit.append(actor=principal.name, action="report_read", subject=report.report_id, detail={"media_type": "text/html"})
    unsaid, typed = words.unsaid(report)
    shown, starts = cines.shown_cines(parts, study_instance_uid, words), cines.start_frames(report)
    # The first one that something is said of.
    chosen = next((one for one in (*(one for one in shown if one.sop_instance_uid in starts), *shown)), None)
    page = present(
        "viewer.html",
        words=words,
        script_words=words.for_scripts({*(title_of(one) for one in report.findings), *_DRAWN, "left", "right"}),
        report=report,
        findings=[typed.put_back(words.told(finding.text)) for finding in unsaid.findings],
        version=version,
        cines=shown,
        starts=starts,
        chosen=chosen,
        start=min(starts.get(chosen.sop_instance_uid, 1), chosen.number_of_frames) if chosen else 1,
        batch=cines.BATCH,
        has_plots=_has("vendor/uplot/uPlot.esm.js"),
        has_review=_has("review.js"),
        principal=principal,
    )
    page.headers.update(version_headers(report))
    return page


@router.post("/studies/{study_instance_uid}/complete")
def complete_study(parts: Parts, principal: Radiologist, study_instance_uid: Uid) -> Response:
    """The button of the waiting page."""
    parts.steps.request_report(study_instance_uid, actor=principal.name)
    return RedirectResponse(f"/studies/{study_instance_uid}", status_code=303)


@router.get("/live")
def live_page(
    principal: Viewer, words: Wording, study: Wanted = None, series: Wanted = None, instance: Wanted = None
) -> Response:
    """Guidance while somebody examines; with the names of an instance, from that cine."""
    may_keep = principal.role.includes(Role.RADIOLOGIST)
    page = present(
        "live.html", words=words, study=study, series=series, instance=instance, may_keep=may_keep, principal=principal
    )
    # The one page that may use a camera, and shows frames that lie in the browser's own memory.
    page.headers["content-security-policy"] = f"{CONTENT_SECURITY_POLICY}; media-src 'self' blob:"
    page.headers["permissions-policy"] = "camera=(self), display-capture=(self), microphone=(), geolocation=()"
    return page


@router.get("/docs")
def describe_interface(request: Request, principal: Viewer, words: Wording) -> Response:
    """The OpenAPI document as a page; the usual viewers of it load scripts from elsewhere."""
    return present("docs.html", words=words, document=request.app.openapi(), principal=principal)


def _has(name: str) -> bool:
    """Whether a static file is there: what set-up installs may be missing, and a page says so."""
    return files("service.web").joinpath("static", name).is_file()

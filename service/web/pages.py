"""How pages are made of templates."""

from functools import cache

from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader
from pydicom.uid import UID
from starlette.requests import HTTPConnection

from service.access import Role
from service.core.render.page import finalize
from service.core.wording import person_name
from service.web.static_files import modules_of, static_prefix
from service.web.vendored import ohif_url
from service.web.words import Words, words_for

#: Of the header: what a page calls itself, where it is, how it is called, and the role that may see it.
AREAS = (
    ("worklist", "/", "Worklist", Role.VIEWER),
    ("live", "/live", "Live", Role.VIEWER),
    ("operations", "/operations", "Operations", Role.ADMINISTRATOR),
    ("users", "/users", "Users", Role.ADMINISTRATOR),
    ("audit", "/audit", "Audit", Role.ADMINISTRATOR),
)


def present(template: str, *, words: Words, status_code: int = 200, **values: object) -> HTMLResponse:
    """A template with its values, escaped, in the words of its reader."""
    said = {
        "lang": words.tag,
        "say": words.say,
        "told": words.told,
        "answered": words.answered,
        "counted": words.counted,
        "day": words.day,
        "moment": words.moment,
        "script_words": words.for_scripts(),
    }
    page = _templates().get_template(template).render(said | values)
    headers = {"Content-Language": words.tag, "Vary": "Accept-Language"}
    return HTMLResponse(page, status_code=status_code, headers=headers)


def problem_page(connection: HTTPConnection, *, title: str, detail: str, status: int, request_id: str | None) -> HTMLResponse:
    """Implements api.problems.ProblemPage."""
    words = words_for(connection)
    shown = {"title": words.say(title), "detail": words.answered(detail), "request_id": request_id}
    return present("problem.html", words=words, status_code=status, **shown)


def uid_name(uid: str) -> str:
    """What the standard calls a SOP class or transfer syntax (PS3.6 A); a private one stays as it is."""
    return UID(uid).name


@cache
def _templates() -> Environment:
    loader = PackageLoader("service.web")
    environment = Environment(
        loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True, auto_reload=False, finalize=finalize
    )
    environment.filters["person_name"] = person_name
    environment.filters["uid_name"] = uid_name
    environment.globals["areas"] = AREAS
    environment.globals["ohif_url"] = ohif_url
    environment.globals["static"] = static_prefix()
    environment.globals["modules_of"] = modules_of
    return environment

"""RFC 9457 problems: every error that leaves by HTTP is one, without a stack trace and without what was sent."""

import http
from collections.abc import Mapping
from typing import Any, Protocol

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import iter_route_contexts
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.types import Scope

from service.api.answers import answers_in
from service.api.head import answers_head
from service.api.outcomes import MEDIA_TYPE as FHIR_MEDIA_TYPE
from service.api.outcomes import is_fhir_path, outcome
from service.api.preferences import choose_language
from service.core.languages import LanguageTag
from service.errors import (
    Conflict,
    InputRejected,
    ModelContractError,
    NotFound,
    NotMeasurable,
    Outdated,
    Removed,
    SonomyoError,
    Unavailable,
)

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 5
#: Where programs ask; everywhere else a browser may be answered with a page.
PROGRAM_PREFIXES = ("/api/", "/dicom-web/", "/fhir/", "/metrics")

#: The statuses of our own errors, the narrower class first; any other is a fault of ours.
STATUS_OF_ERROR: Mapping[type[SonomyoError], int] = {
    InputRejected: 422,
    NotMeasurable: 422,
    Unavailable: 503,
    ModelContractError: 503,
    Removed: 410,
    NotFound: 404,
    Outdated: 412,
    Conflict: 409,
}
_REASON_OF_STATUS = {
    400: "bad_request",
    401: "unauthenticated",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    408: "request_timeout",
    412: "precondition_failed",
    413: "too_large",
    415: "unsupported_media_type",
    416: "range_not_satisfiable",
    422: "invalid",
    428: "precondition_required",
    429: "too_many_requests",
    507: "out_of_space",
}


class Problem(HTTPException):
    """An answer that is no answer; `reason` is a stable word for programs, `detail` a sentence for people."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        reason: str | None = None,
        headers: Mapping[str, str] | None = None,
        extensions: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(status, detail, headers)
        self.reason = reason or _REASON_OF_STATUS.get(status, "error")
        self.extensions = dict(extensions or {})


class ProblemPage(Protocol):
    """Tells a person of a problem, in the language that the request asks for."""

    def __call__(self, connection: HTTPConnection, *, title: str, detail: str, status: int, request_id: str | None) -> Response:
        """A page with this status."""


def wants_page(connection: HTTPConnection) -> bool:
    """True for a person's browser."""
    is_for_programs = connection.scope["path"].startswith(PROGRAM_PREFIXES)
    return not is_for_programs and "text/html" in connection.headers.get("accept", "")


def install(app: FastAPI) -> None:
    """Answer every kind of error with a problem."""
    app.add_exception_handler(HTTPException, _answer_http)
    app.add_exception_handler(RequestValidationError, _answer_validation)
    app.add_exception_handler(SonomyoError, _answer_ours)


def problem_of(error: Exception) -> Problem:
    """The problem that tells of an error; a surprise tells nothing but that it happened."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, HTTPException):
        return Problem(error.status_code, str(error.detail), headers=error.headers)
    if isinstance(error, SonomyoError):
        status = next((status for kind, status in STATUS_OF_ERROR.items() if isinstance(error, kind)), 500)
        headers = {"Retry-After": str(RETRY_AFTER_SECONDS)} if status == http.HTTPStatus.SERVICE_UNAVAILABLE else None
        return Problem(status, str(error), reason=error.reason, headers=headers, extensions=_extensions(error))
    return Problem(500, "Something went wrong here; the log tells more under this request_id.", reason="internal_error")


def _extensions(error: SonomyoError) -> dict[str, Any]:
    """Where to go on: whoever changed a version that others have changed meanwhile is shown theirs."""
    if not isinstance(error, Outdated):
        return {}
    link = f"/api/v1/reports/{error.report_id}"
    return {"current": {"report_id": error.report_id, "version": error.version, "etag": f'"{error.report_id}"', "link": link}}


def render(problem: Problem, scope: Scope) -> Response:
    """The problem as a response; where FHIR is spoken, as an OperationOutcome; a person's browser gets a page."""
    request_id = scope.get("state", {}).get("request_id")
    headers = dict(problem.headers or {})
    if is_fhir_path(scope.get("path", "")):
        told = outcome(
            problem.status_code, problem.detail, reason=problem.reason, extensions=problem.extensions, request_id=request_id
        )
        return JSONResponse(told, status_code=problem.status_code, headers=headers, media_type=FHIR_MEDIA_TYPE)
    page: ProblemPage | None = getattr(scope["app"].state, "problem_page", None) if "app" in scope else None
    connection = HTTPConnection(scope)
    if page is not None and wants_page(connection):
        status = problem.status_code
        told_page = page(connection, title=_title(status), detail=problem.detail, status=status, request_id=request_id)
        told_page.headers.update(headers)
        return told_page
    language = _asked_language(scope)
    body = {
        **problem.extensions,
        "type": f"urn:sonomyo:problem:{problem.reason}",
        "title": _title(problem.status_code),
        "status": problem.status_code,
        "detail": answers_in(language).text(problem.detail),
        "request_id": request_id,
    }
    headers["Content-Language"] = language
    return JSONResponse(body, status_code=problem.status_code, headers=headers, media_type=MEDIA_TYPE)


def _asked_language(scope: Scope) -> LanguageTag:
    """Of the sentence for people; English for a program that asks for none."""
    return choose_language(", ".join(Headers(raw=scope.get("headers", [])).getlist("accept-language")), "en")


def _answer_http(request: Request, error: Exception) -> Response:
    problem = problem_of(error)
    if problem.status_code == http.HTTPStatus.METHOD_NOT_ALLOWED:
        problem.headers = {**(problem.headers or {}), "Allow": ", ".join(_methods_of(request))}
    return render(problem, request.scope)


def _methods_of(request: Request) -> list[str]:
    """Every method that the path has (RFC 9110 15.5.6); a route by itself knows its own only."""
    routes = [route for route in iter_route_contexts(request.app.routes) if route.methods]
    path = request.url.path
    methods = {method for route in routes if route.path_regex.match(path) for method in route.methods or ()}
    return sorted(methods | {"HEAD"} if "GET" in methods and answers_head(path) else methods)


def _answer_ours(request: Request, error: Exception) -> Response:
    return render(problem_of(error), request.scope)


def _answer_validation(request: Request, error: Exception) -> Response:
    """Which fields are wrong and how, but not what they held."""
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this class
    wrong = [{"location": [str(part) for part in item["loc"]], "message": item["msg"]} for item in error.errors()]
    problem = Problem(422, "The request does not fit its schema.", extensions={"errors": wrong})
    return render(problem, request.scope)


def _title(status: int) -> str:
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return "Error"

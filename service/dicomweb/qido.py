"""QIDO-RS (PS3.18 10.6): studies, series and instances, from rows alone."""

import json
from functools import partial
from typing import Any

from fastapi import APIRouter, Request, Response

from service.api.dependencies import Parts, Services, Uid, Viewer
from service.api.negotiation import choose
from service.api.problems import Problem
from service.api.schemas import problem_responses
from service.core.qido_answer import answer
from service.core.qido_attributes import Level
from service.core.qido_query import MAXIMUM_RESULTS, Search, read_search
from service.dicomweb.objects import DICOM_JSON, PREFIX, SERIES, STUDY, WantedMedia, url_of
from service.errors import InputRejected

_SERVICE = "Sonomyo"
_PARAMETERS: list[dict[str, Any]] = [
    {
        "name": "limit",
        "in": "query",
        "schema": {"type": "integer", "minimum": 0, "maximum": MAXIMUM_RESULTS, "default": MAXIMUM_RESULTS},
    },
    {"name": "offset", "in": "query", "schema": {"type": "integer", "minimum": 0, "default": 0}},
    {
        "name": "includefield",
        "in": "query",
        "schema": {"type": "array", "items": {"type": "string"}},
        "style": "form",
        "explode": False,
        "description": "Keywords or tags of attributes to tell beside the usual ones, or `all`.",
    },
    {
        "name": "fuzzymatching",
        "in": "query",
        "schema": {"type": "boolean", "default": False},
        "description": "Is not done; the answer says so.",
    },
    {
        "name": "matching",
        "in": "query",
        "schema": {"type": "object", "additionalProperties": {"type": "string"}},
        "style": "form",
        "explode": True,
        "description": "Attributes by keyword or tag, such as PatientID=P1 or 00080020=20260101-20261231.",
    },
]
_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"content": {DICOM_JSON: {"schema": {"type": "array", "items": {"type": "object"}}}}, "description": "Matches"},
    204: {"description": "There is no match"},
}
router = APIRouter(
    prefix=PREFIX, tags=["dicomweb"], responses={**_ANSWERS, **problem_responses(400, 401, 403, 406, 422, 429, 503)}
)
_described = partial(router.get, openapi_extra={"parameters": _PARAMETERS}, response_class=Response)


@_described("/studies")
def search_for_studies(request: Request, parts: Parts, principal: Viewer, accept: WantedMedia) -> Response:
    """Studies of which something is held, the newest arrival first."""
    del principal
    return _answer(request, parts, accept, Level.STUDY)


@_described("/series")
def search_for_series(request: Request, parts: Parts, principal: Viewer, accept: WantedMedia) -> Response:
    """Series of any study."""
    del principal
    return _answer(request, parts, accept, Level.SERIES)


@_described("/instances")
def search_for_instances(request: Request, parts: Parts, principal: Viewer, accept: WantedMedia) -> Response:
    """Instances of any study."""
    del principal
    return _answer(request, parts, accept, Level.INSTANCE)


@_described(f"{STUDY}/series")
def search_for_series_of_study(
    request: Request, parts: Parts, principal: Viewer, accept: WantedMedia, study_instance_uid: Uid
) -> Response:
    """Series of one study."""
    del principal
    return _answer(request, parts, accept, Level.SERIES, study_instance_uid)


@_described(f"{STUDY}/instances")
def search_for_instances_of_study(
    request: Request, parts: Parts, principal: Viewer, accept: WantedMedia, study_instance_uid: Uid
) -> Response:
    """Instances of one study."""
    del principal
    return _answer(request, parts, accept, Level.INSTANCE, study_instance_uid)


@_described(f"{SERIES}/instances")
def search_for_instances_of_series(
    request: Request, parts: Parts, principal: Viewer, accept: WantedMedia, study_instance_uid: Uid, series_instance_uid: Uid
) -> Response:
    """Instances of one series."""
    del principal
    return _answer(request, parts, accept, Level.INSTANCE, study_instance_uid, series_instance_uid)


def _answer(
    request: Request, parts: Services, accept: str | None, level: Level, study: str | None = None, series: str | None = None
) -> Response:
    media_type = choose(accept, (DICOM_JSON, "application/json"))
    wanted = _read(request, level)
    page = parts.dicom.search(wanted, study=study, series=series)
    headers = _warnings(wanted, is_more=page.is_more)
    if not page.results:
        return Response(status_code=204, headers=headers)
    given = Level.SERIES if series is not None else Level.STUDY if study is not None else None
    url = partial(url_of, request)
    found = [answer(wanted, one.study, one.attributes, one.derived, given=given, url=url) for one in page.results]
    return Response(json.dumps(found, ensure_ascii=False, separators=(",", ":")), media_type=media_type, headers=headers)


def _read(request: Request, level: Level) -> Search:
    """Raises Problem (400)."""
    parameters = [(name, value) for name, value in request.query_params.multi_items() if name != "accept"]
    try:
        return read_search(level, parameters)
    except InputRejected as wrong:
        raise Problem(400, str(wrong), reason=wrong.reason) from wrong


def _warnings(wanted: Search, *, is_more: bool) -> dict[str, str]:
    """What the answer lacks (PS3.18 8.3.4.2, 8.3.4.4)."""
    said = []
    if wanted.is_fuzzy_wanted:
        said.append("The fuzzymatching parameter is not supported. Only literal matching has been performed.")
    if is_more:
        said.append("There are additional results that can be requested, by offset.")
    return {"Warning": ", ".join(f'299 {_SERVICE} "{one}"' for one in said)} if said else {}

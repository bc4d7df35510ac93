"""Problems, content negotiation and limits, without a socket."""

import asyncio
import json
from collections.abc import Sequence

import pytest
from starlette.datastructures import Headers
from starlette.types import Message

from service.access import Role
from service.api.limits import BodyLimit, Limits, TokenBuckets, refusal_by_headers
from service.api.negotiation import choose, read_accept
from service.api.preferences import choose_language
from service.api.problems import Problem, problem_of, render
from service.core.languages import LanguageTag
from service.errors import Conflict, InputRejected, ModelContractError, NotFound, NotMeasurable, SonomyoError, Unavailable

TYPES = ("application/json", "text/html", "application/dicom")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InputRejected("x"), 422),
        (NotMeasurable("x"), 422),
        (Unavailable("x"), 503),
        (ModelContractError("x"), 503),
        (NotFound("x"), 404),
        (Conflict("x"), 409),
        (SonomyoError("x"), 500),
        (RuntimeError("x"), 500),
    ],
)
def test_error_has_its_status(error: Exception, status: int) -> None:
    assert problem_of(error).status_code == status


def test_problem_of_a_surprise_does_not_say_what_it_said() -> None:
    assert "Canary" not in bytes(render(problem_of(RuntimeError("Canary")), {"type": "http"}).body).decode()


def test_problem_holds_type_title_status_detail_and_the_name_of_the_request() -> None:
    scope = {"type": "http", "state": {"request_id": "ab12"}}
    response = render(Problem(404, "There is none.", extensions={"type": "overwritten", "near": [1]}), scope)
    assert response.media_type == "application/problem+json"
    assert json.loads(bytes(response.body)) == {
        "type": "urn:sonomyo:problem:not_found",
        "title": "Not Found",
        "status": 404,
        "detail": "There is none.",
        "request_id": "ab12",
        "near": [1],
    }


@pytest.mark.parametrize(
    ("header", "default", "chosen"),
    [
        ("", "en", "en"),
        ("", "de", "de"),
        ("de", "en", "de"),
        ("de-AT", "en", "de"),
        ("DE-de,de;q=0.9,en-US;q=0.8,en;q=0.7", "en", "de"),
        ("en-GB,en;q=0.9,de;q=0.8", "de", "en"),
        ("fr, de;q=0.4, en;q=0.3", "en", "de"),
        ("de;q=0.3, en;q=0.4", "de", "en"),
        ("en, de", "de", "en"),
        ("fr", "de", "de"),
        ("den", "en", "en"),
        ("*", "de", "de"),
        ("de;q=0, *", "de", "en"),
        ("de;q=0", "en", "en"),
        ("de;q=nonsense", "en", "en"),
        ("de," + "x" * 5000, "en", "en"),
    ],
)
def test_language_is_the_one_that_is_wanted_most(header: str, default: LanguageTag, chosen: LanguageTag) -> None:
    assert choose_language(header, default) == chosen


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        (None, "application/json"),
        ("*/*", "application/json"),
        ("text/html,application/xhtml+xml,*/*;q=0.8", "text/html"),
        ("application/dicom;q=0.2, text/*;q=0.7", "text/html"),
        ("application/*;q=0.5, application/dicom", "application/dicom"),
        ("application/json;q=0, */*", "text/html"),
        ("APPLICATION/DICOM", "application/dicom"),
    ],
)
def test_accept_chooses_what_is_liked_best(accept: str | None, chosen: str) -> None:
    assert choose(accept, TYPES) == chosen


@pytest.mark.parametrize("accept", ["application/pdf", "*/*;q=0", "application/json;q=nonsense", ",;,", "x" * 5000])
def test_accept_of_what_does_not_exist_names_what_does(accept: str) -> None:
    with pytest.raises(Problem) as refused:
        choose(accept, TYPES)
    assert refused.value.status_code == 406


def test_accept_parameters_are_read_through_quotes() -> None:
    first, second = read_accept('text/html;q=0.5, multipart/related; type="application/dicom"; transfer-syntax=*')
    assert (first.kind, first.parameters) == ("multipart/related", {"type": "application/dicom", "transfer-syntax": "*"})
    assert second.quality == 0.5


def test_roles_include_the_ones_before() -> None:
    assert Role.ADMINISTRATOR.includes(Role.VIEWER)
    assert Role.RADIOLOGIST.includes(Role.RADIOLOGIST)
    assert not Role.VIEWER.includes(Role.RADIOLOGIST)


def test_bucket_refills_with_time_and_knows_clients_apart() -> None:
    now = [0.0]
    buckets = TokenBuckets(per_second=2.0, burst=2, clock=lambda: now[0])
    assert [buckets.take("a") for _ in range(3)] == [0.0, 0.0, 0.5]
    assert buckets.take("b") == 0.0
    now[0] = 0.5
    assert [buckets.take("a"), buckets.take("a")] == [0.0, 0.5]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"content-length": "100"}, None),
        ({"content-length": "101"}, 413),
        ({"content-length": "-1"}, 413),
        ({"content-length": "9" * 40}, 413),
        ({"content-encoding": "gzip", "content-length": "3"}, 413),
        ({"content-encoding": "identity"}, None),
    ],
)
def test_body_is_refused_by_its_headers(headers: dict[str, str], status: int | None) -> None:
    problem = refusal_by_headers(Headers(headers), 100)
    assert (None if problem is None else problem.status_code) == status


def test_body_longer_than_announced_is_cut_off() -> None:
    pieces = [{"type": "http.request", "body": b"x" * 60, "more_body": True}] * 2
    with pytest.raises(Problem) as refused:
        asyncio.run(_read_through(Limits(maximum_body_bytes=100), pieces))
    assert refused.value.status_code == 413


def test_body_that_stops_arriving_times_out() -> None:
    with pytest.raises(Problem) as refused:
        asyncio.run(_read_through(Limits(body_grace_seconds=0.05), [{"type": "http.request", "body": b"x", "more_body": True}]))
    assert (refused.value.status_code, refused.value.headers) == (408, {"Connection": "close"})


def test_body_that_trickles_times_out() -> None:
    trickle = [{"type": "http.request", "body": b"x", "more_body": True}] * 1000
    with pytest.raises(Problem) as refused:
        asyncio.run(_read_through(Limits(body_grace_seconds=0.05), trickle, pause=0.005))
    assert refused.value.status_code == 408


async def _read_through(limits: Limits, messages: Sequence[Message], *, pause: float = 0.0) -> None:
    """An app that reads its whole body, behind the limit."""
    waiting = list(messages)

    async def receive() -> Message:
        await asyncio.sleep(pause if waiting else 60)
        return waiting.pop(0)

    async def send(message: Message) -> None:
        del message

    async def app(scope: object, receive: object, send: object) -> None:
        del scope, send
        assert callable(receive)
        while (await receive()).get("more_body"):
            pass

    scope = {"type": "http", "method": "POST", "path": "/", "headers": []}
    await BodyLimit(app, limits=limits, sizes={})(scope, receive, send)

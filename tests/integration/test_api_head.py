"""HEAD tells what GET would answer, wherever there is GET, and no body is made for it."""

import http.client
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from sqlalchemy import Engine
from starlette.testclient import TestClient

from service.access import Role
from service.api.head import HeadAsGet
from service.api.streams import ClosedStream, MadeAhead
from service.ports import UnitOfWorkFactory
from tests.integration.account_parts import audit
from tests.integration.api_parts import ADMINISTRATOR_KEY, STUDY, House, reported
from tests.integration.viewer_parts import FRAMES, INSTANCE, analysed, cine_file, contraction, viewer_house

AUTHORIZATION = {"Authorization": f"Bearer {ADMINISTRATOR_KEY}"}
DICOM = f"/dicom-web/studies/{STUDY}/series/{STUDY}.1/instances/{INSTANCE}"
CINE = f"/studies/{STUDY}/cines/{INSTANCE}"
#: Of each answer by itself, or known only once the body is made.
OWN = {"date", "x-request-id", "content-length", "transfer-encoding"}


@pytest.fixture
def house(engine: Engine, units: UnitOfWorkFactory, tmp_path: Path) -> Iterator[House]:
    with House(engine, units, tmp_path) as made:
        yield made


def told(answer: httpx2.Response) -> dict[str, Any]:
    """The head without the boundary of its multipart, which is another one each time."""
    kept = {name: value.partition("boundary=")[0] for name, value in answer.headers.items() if name not in OWN}
    return {"status": answer.status_code, **kept}


def test_head_tells_what_get_answers(engine: Engine, units: UnitOfWorkFactory, tmp_path: Path) -> None:
    addresses = (
        *(f"{DICOM}{part}" for part in ("", "/metadata", "/frames/1,2", "/frames/3/rendered", "/rendered", "/frames/99")),
        *(f"{CINE}{part}" for part in ("", "/frames/1.jpg", f"/frames/1-{FRAMES}", "/frames/99.jpg")),
        "/dicom-web/studies",
        f"/api/v1/studies/{STUDY}/report",
        "/",
        "/healthz",
        "/static/sonomyo.css",
        "/nothing",
    )
    with viewer_house(engine, units, tmp_path) as house:
        analysed(house, cine_file(contraction()))
        client = house.client()
        for address in addresses:
            head, got = client.head(address), client.get(address)
            assert told(head) == told(got), address
            assert head.content == b""
            assert head.headers.get("content-length") == got.headers.get("content-length"), address


def test_head_needs_the_role_that_get_needs(house: House) -> None:
    assert house.client(None).head("/dicom-web/studies").status_code == 401
    assert house.client(house.key(Role.RADIOLOGIST)).head("/api/v1/audit").status_code == 403


def test_head_is_on_record_and_logged_by_its_route_as_what_it_is(house: House) -> None:
    client = reported(house)
    client.head(f"/api/v1/studies/{STUDY}/report")
    assert audit(house)[0]["action"] == "report_read"
    assert '"method": "HEAD", "route": "/api/v1/studies/{study_instance_uid}/report"' in house.log.getvalue()


def test_head_gives_back_what_a_body_would_have_held() -> None:
    closed: list[str] = []
    held = ExitStack()
    held.callback(closed.append, "file")

    def pieces() -> Iterator[bytes]:
        with held:
            yield b"frame"

    for stream in (ClosedStream, MadeAhead):
        client = TestClient(HeadAsGet(stream(pieces(), media_type="image/jpeg", headers={})))
        assert client.head("/").headers["content-type"] == "image/jpeg"
        assert closed == ["file"]
        closed.clear()
        held.callback(closed.append, "file")


def test_head_uses_no_one_time_link_up(house: House) -> None:
    path = f"/sign-in/{house.sign_ins.create_link(Role.VIEWER)}"
    looked = house.client(None).head(path)
    assert (looked.status_code, looked.headers["allow"]) == (405, "GET")
    assert house.client(None).get(path).status_code == 303


def test_head_of_an_endless_stream_ends_and_leaves_the_connection_for_the_next_request(house: House) -> None:
    with house.served() as address:
        connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=10)
        for path in ("/api/v1/events", "/api/v1/models", "/api/v1/events"):
            connection.request("HEAD", path, headers=AUTHORIZATION)
            answer = connection.getresponse()
            assert (answer.status, answer.read()) == (200, b"")
        connection.request("GET", "/api/v1/models", headers=AUTHORIZATION)
        assert connection.getresponse().read().startswith(b"{")
        connection.close()

"""Frames over the WebSocket, guidance back: the edge, real storage, and a network that knows the frames."""

import asyncio
import json
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import numpy as np
import pytest
import simplejpeg
from prometheus_client import CollectorRegistry
from sqlalchemy import Engine
from starlette.testclient import WebSocketTestSession
from starlette.types import Message
from starlette.websockets import WebSocketDisconnect

from service.access import Role
from service.api.app import LIVE_PATH
from service.core.analyses.analysis import Tensors
from service.core.cine import Pixels
from service.ports import UnitOfWorkFactory
from simulator.wrist import WristFrame, draw_volunteer
from tests.integration.api_parts import House
from tests.integration.listener_parts import wait_until
from tests.running import poll
from tests.wrist_parts import asked_live, pictures, well

SEEN_WELL = "S4"


@pytest.fixture
def house(engine: Engine, units: UnitOfWorkFactory, tmp_path: Path) -> Iterator[House]:
    with House(engine, units, tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def frames() -> list[WristFrame]:
    return pictures(draw_volunteer(11), *well(SEEN_WELL, 12))


@contextmanager
def live(house: House, start: dict[str, Any], role: Role = Role.RADIOLOGIST) -> Iterator[WebSocketTestSession]:
    with house.client(house.key(role)).websocket_connect(LIVE_PATH) as socket:
        socket.send_text(json.dumps(start))
        yield socket


def raw_start(one: WristFrame, **more: Any) -> dict[str, Any]:
    rows, columns = one.sector.shape
    return {"format": "raw", "rows": rows, "columns": columns, "mm_per_pixel": 0.1, **more}


def message(number: int, payload: bytes) -> bytes:
    return struct.pack(">I", number) + payload


def answers(socket: WebSocketTestSession, kind: str) -> Iterator[dict[str, Any]]:
    while True:
        told = socket.receive_json()
        if told["type"] == kind:
            yield told


def test_frames_are_answered_with_plane_grade_checklist_and_times(house: House, frames: list[WristFrame]) -> None:
    house.ask = asked_live(frames)
    with live(house, raw_start(frames[0]), Role.VIEWER) as socket:
        ready = socket.receive_json()
        assert (ready["type"], len(ready["planes"])) == ("ready", 15)
        for number, one in enumerate(frames[:4], start=1):
            socket.send_bytes(message(number, one.sector.tobytes()))
            told = socket.receive_json()
            assert (told["type"], told["number"], told["dropped"]) == ("guidance", number, 0)
            assert set(told["milliseconds"]) == {"waiting", "decoding", "network", "grading", "total"}
        assert told["shown"]["plane"] == SEEN_WELL
        assert told["shown"]["grade"] in {"A", "B", "C"}
        assert [tick["plane"] for tick in told["checklist"]][3] == SEEN_WELL


def test_plane_that_is_held_well_is_kept_as_dicom_and_its_study_is_analysed(house: House, frames: list[WristFrame]) -> None:
    house.ask = asked_live(frames)
    with live(house, raw_start(frames[0], keep=True, patient_id="P-1", laterality="L")) as socket:
        kept: dict[str, Any] = {}
        assert socket.receive_json()["type"] == "ready"
        for number, one in enumerate(frames, start=1):
            socket.send_bytes(message(number, one.sector.tobytes()))
            told = socket.receive_json()
            if told["type"] == "stored":
                kept, told = told, socket.receive_json()
            if told["frozen"] and not kept:
                kept = next(answers(socket, "stored"))
    assert kept["plane"] == SEEN_WELL
    study = house.client().get(f"/api/v1/studies/{kept['study_instance_uid']}").json()
    assert [instance["sop_instance_uid"] for instance in study["instances"]] == [kept["sop_instance_uid"]]
    assert study["patient_id"] == "P-1"
    house.client().post(f"/api/v1/studies/{kept['study_instance_uid']}/complete").raise_for_status()
    house.work()
    assert house.client().get(f"/api/v1/studies/{kept['study_instance_uid']}/report").status_code == 200
    assert house.destination.received == [], "no destination has the picture that the report refers to"
    trail = house.client().get("/api/v1/audit").json()
    assert "live_frame_kept" in json.dumps(trail)


def test_frame_that_comes_while_another_is_answered_takes_the_place_of_the_one_that_waits(
    house: House, frames: list[WristFrame]
) -> None:
    asked, go_on = threading.Event(), threading.Event()
    answer = asked_live(frames)

    def slow(image: Pixels) -> Tensors:
        asked.set()
        assert go_on.wait(10)
        return answer(image)

    house.ask = slow
    with live(house, raw_start(frames[0])) as socket:
        assert socket.receive_json()["type"] == "ready"
        socket.send_bytes(message(1, frames[0].sector.tobytes()))
        assert asked.wait(10)
        for number in (2, 3, 4):
            socket.send_bytes(message(number, frames[0].sector.tobytes()))
        wait_until(lambda: dropped(house) == 2)
        go_on.set()
        first, last = socket.receive_json(), socket.receive_json()
    assert (first["number"], last["number"], last["dropped"]) == (1, 4, 2)


def dropped(house: House) -> float | None:
    registry: CollectorRegistry = house.app.state.services.metrics.registry
    return registry.get_sample_value("sonomyo_live_frames_total", {"outcome": "dropped"})


def test_broken_frame_is_told_and_the_next_is_answered(house: House, frames: list[WristFrame]) -> None:
    house.ask = asked_live(frames)
    with live(house, {"format": "jpeg"}) as socket:
        assert socket.receive_json()["type"] == "ready"
        socket.send_bytes(message(7, b"no picture"))
        assert socket.receive_json() == {
            "type": "problem",
            "number": 7,
            "reason": "frame_corrupt",
            "detail": "The frame is no JPEG that can be read.",
        }


def as_jpeg(one: WristFrame, colour: tuple[int, int, int] | None = None) -> bytes:
    """A frame as a capture card sends it, with a patch of colour in the middle."""
    picture = np.stack([one.sector] * 3, axis=-1)
    if colour is not None:
        rows, columns = one.sector.shape
        picture[rows // 4 : rows // 2, columns // 4 : columns // 2] = colour
    return bytes(simplejpeg.encode_jpeg(picture, quality=90))


def test_frame_with_colour_over_it_is_refused_and_grey_ones_are_graded(house: House, frames: list[WristFrame]) -> None:
    house.ask = asked_live(frames)
    with live(house, {}) as socket:
        assert socket.receive_json()["type"] == "ready"
        told = []
        for number, colour in enumerate((None, (230, 40, 20), None), start=1):
            socket.send_bytes(message(number, as_jpeg(frames[0], colour)))
            told.append(socket.receive_json())
    assert [one["type"] for one in told] == ["guidance", "problem", "guidance"]
    assert told[1]["reason"] == "colour_overlay"


@pytest.mark.parametrize(("sent", "reason"), [("{}", "text"), (b"\0\0\0\1", "frame_size")])
def test_message_that_is_no_frame_ends_the_examination_by_name(house: House, sent: str | bytes, reason: str) -> None:
    with live(house, {}) as socket:
        assert socket.receive_json()["type"] == "ready"
        if isinstance(sent, str):
            socket.send_text(sent)
        else:
            socket.send_bytes(sent)
        assert socket.receive_json()["reason"] == reason
        with pytest.raises(WebSocketDisconnect):
            socket.receive_json()


def test_network_that_is_away_is_told_frame_by_frame(house: House, frames: list[WristFrame]) -> None:
    with live(house, raw_start(frames[0])) as socket:
        assert socket.receive_json()["type"] == "ready"
        socket.send_bytes(message(1, frames[0].sector.tobytes()))
        told = socket.receive_json()
        assert (told["type"], told["reason"]) == ("problem", "triton")


@pytest.mark.parametrize(
    ("start", "word"),
    [
        ({"format": "raw"}, "raw frames need rows and columns"),
        ({"format": "png"}, "format"),
        ({"colour": True}, "colour"),
        ({"mm_per_pixel": 0}, "mm_per_pixel"),
        ({"region": [5, 5, 5, 9]}, "region"),
        ({"patient_id": "A\\B"}, "patient_id"),
    ],
)
def test_start_that_is_wrong_is_refused_by_name(house: House, start: dict[str, Any], word: str) -> None:
    with live(house, start) as socket:
        told = socket.receive_json()
        assert (told["type"], told["reason"]) == ("problem", "start")
        assert word in told["detail"]
        with pytest.raises(WebSocketDisconnect):
            socket.receive_json()


def test_keeping_frames_needs_the_role_that_uploading_needs(house: House) -> None:
    with live(house, {"keep": True}, Role.VIEWER) as socket:
        assert socket.receive_json()["reason"] == "role"


def test_one_user_has_two_examinations_at_a_time(house: House) -> None:
    client = house.client(house.key(Role.VIEWER))
    with client.websocket_connect(LIVE_PATH) as one, client.websocket_connect(LIVE_PATH) as other:
        for socket in (one, other):
            socket.send_text("{}")
            assert socket.receive_json()["type"] == "ready"
        with client.websocket_connect(LIVE_PATH) as third:
            assert third.receive_json()["reason"] == "busy"
        for socket in (one, other):
            socket.close()
        # Before the client cancels what still runs.
        poll(lambda: house.log.getvalue().count("live_session") == 2, timeout_seconds=30, what="the end of both")


def test_examination_that_is_cancelled_while_it_ends_leaves_the_cancellation_as_it_is(house: House) -> None:
    key = house.key(Role.VIEWER)
    strange = [turns for turns in range(12) if not anyio.run(cancelled_after, house, key, turns)]
    assert not strange, "so many turns of the loop after the client has left, another cancellation came out than went in"


async def cancelled_after(house: House, key: str, turns: int) -> bool:
    """Whether a scope knows its cancellation again."""
    said, heard = anyio.create_memory_object_stream[Message](10)
    tell, told = anyio.create_memory_object_stream[Message](10)
    headers = [(name.lower().encode(), value.encode()) for name, value in house.client(key).headers.items()]
    scope = {"type": "websocket", "path": LIVE_PATH, "query_string": b"", "headers": headers, "client": ("127.0.0.1", 1)}
    cancellation = anyio.CancelScope()

    async def examine() -> None:
        with cancellation:
            await house.app(scope, told.receive, said.send)
            await anyio.sleep_forever()

    with said, heard, tell, told:
        examination = asyncio.create_task(examine())
        await tell.send({"type": "websocket.connect"})
        await tell.send({"type": "websocket.receive", "text": "{}"})
        while "ready" not in (await heard.receive()).get("text", ""):
            pass
        await anyio.wait_all_tasks_blocked()
        await tell.send({"type": "websocket.disconnect", "code": 1000})
        for _ in range(turns):
            await anyio.lowlevel.checkpoint()
        cancellation.cancel()
        await asyncio.wait([examination])
    return not examination.cancelled()


def test_socket_without_a_credential_is_refused(house: House) -> None:
    with pytest.raises(WebSocketDisconnect), house.client(None).websocket_connect(LIVE_PATH):
        pass


@pytest.mark.parametrize(("origin", "is_taken"), [("http://testserver", True), ("http://elsewhere.example", False)])
def test_session_is_taken_from_our_own_page_only(house: House, origin: str, *, is_taken: bool) -> None:
    takes_session_from(house, origin, is_taken=is_taken)


def takes_session_from(house: House, origin: str, *, is_taken: bool) -> None:
    client = house.session(Role.VIEWER)
    if not is_taken:
        with pytest.raises(WebSocketDisconnect), client.websocket_connect(LIVE_PATH, headers={"Origin": origin}):
            pass
        return
    with client.websocket_connect(LIVE_PATH, headers={"Origin": origin}) as socket:
        socket.send_text("{}")
        assert socket.receive_json()["type"] == "ready"


@pytest.mark.parametrize(
    ("origin", "is_taken"), [("https://sonomyo.example", True), ("https://sonomyo.example.elsewhere.example", False)]
)
def test_session_is_taken_from_the_public_address_whatever_host_the_proxy_asks_by(
    engine: Engine, units: UnitOfWorkFactory, tmp_path: Path, origin: str, *, is_taken: bool
) -> None:
    with House(engine, units, tmp_path, public_url="https://sonomyo.example") as house:
        takes_session_from(house, origin, is_taken=is_taken)


def test_log_of_an_examination_names_no_patient(house: House, frames: list[WristFrame]) -> None:
    house.ask = asked_live(frames)
    with live(house, raw_start(frames[0], patient_id="Canary-7")) as socket:
        assert socket.receive_json()["type"] == "ready"
        socket.send_bytes(message(1, frames[0].sector.tobytes()))
        assert socket.receive_json()["type"] == "guidance"
    assert "live_session" in house.log.getvalue()
    assert "Canary" not in house.log.getvalue()

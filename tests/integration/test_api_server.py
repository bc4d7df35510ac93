"""The real HTTP server on a real socket: slow, endless, malformed and very large requests, event streams, stopping."""

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest
from sqlalchemy import Engine
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from service.access import Role
from service.api.app import LIVE_PATH
from service.api.limits import Limits
from service.api.serve import ApiServer, make_server
from service.destination_settings import DestinationSettings
from service.errors import Conflict, InputRejected
from service.ports import UnitOfWorkFactory
from tests.integration.api_parts import ADMINISTRATOR_KEY, STUDY, House, dicom_file, reported, upload

AUTHORIZATION = f"Authorization: Bearer {ADMINISTRATOR_KEY}\r\n".encode()
LIMITS = Limits(maximum_upload_bytes=1 << 20, maximum_body_bytes=1000, body_grace_seconds=0.5)
HEAD_SECONDS = 0.5


@pytest.fixture
def house(engine: Engine, units: UnitOfWorkFactory, tmp_path: Path) -> Iterator[House]:
    with House(engine, units, tmp_path, limits=LIMITS) as made:
        yield made


@pytest.fixture
def server(house: House) -> Iterator[ApiServer]:
    with running(house) as made:
        yield made


@contextmanager
def running(house: House) -> Iterator[ApiServer]:
    ready = threading.Event()
    server = make_server(house.app, host="127.0.0.1", port=0, ready=lambda _: ready.set(), head_seconds=HEAD_SECONDS)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        assert ready.wait(30)
        yield server
    finally:
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive()


@contextmanager
def connected(server: ApiServer) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as peer:
        yield peer


@contextmanager
def client(server: ApiServer) -> Iterator[httpx2.Client]:
    headers = {"Authorization": f"Bearer {ADMINISTRATOR_KEY}"}
    with httpx2.Client(base_url=f"http://127.0.0.1:{server.port}", headers=headers, timeout=20) as made:
        yield made


def answer_of(peer: socket.socket) -> tuple[int, dict[str, object]]:
    response = http.client.HTTPResponse(peer)
    response.begin()
    body = response.read()
    assert response.headers["content-type"] == "application/problem+json"
    return response.status, json.loads(body)


def assert_closed_within(peer: socket.socket, seconds: float) -> None:
    started = time.monotonic()
    peer.settimeout(seconds + 5)
    assert peer.recv(1) == b""
    assert time.monotonic() - started < seconds


def test_silent_connection_is_closed(server: ApiServer) -> None:
    with connected(server) as peer:
        assert_closed_within(peer, HEAD_SECONDS + 2)


def test_head_that_trickles_is_closed_while_others_are_answered(server: ApiServer) -> None:
    with connected(server) as peer, client(server) as other:
        peer.settimeout(0.1)
        started = time.monotonic()
        closed = False
        for byte in b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: " + b"a" * 1000:
            try:
                peer.sendall(bytes([byte]))
                closed = peer.recv(1) == b""
            except TimeoutError:
                continue
            except OSError:
                closed = True
            if closed:
                break
        assert closed
        assert time.monotonic() - started < HEAD_SECONDS + 2
        assert other.get("/healthz").status_code == 200


def test_second_head_on_a_connection_is_timed_too(server: ApiServer) -> None:
    with connected(server) as peer:
        peer.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        response = http.client.HTTPResponse(peer)
        response.begin()
        assert (response.status, len(response.read()) > 0) == (200, True)
        peer.sendall(b"GET /healthz HTTP/1.1\r\nHost:")
        assert_closed_within(peer, HEAD_SECONDS + 2)


def test_chunked_body_without_an_end_times_out(server: ApiServer) -> None:
    with connected(server) as peer:
        head = b"POST /api/v1/studies HTTP/1.1\r\nHost: x\r\nContent-Type: application/dicom\r\nTransfer-Encoding: chunked\r\n"
        peer.sendall(head + AUTHORIZATION + b"\r\n4\r\nDICM\r\n")
        status, problem = answer_of(peer)
        assert (status, problem["type"]) == (408, "urn:sonomyo:problem:request_timeout")
        assert_closed_within(peer, 2)


def test_body_that_stalls_leaves_nothing_behind(server: ApiServer, house: House) -> None:
    with connected(server) as peer:
        head = b"POST /api/v1/studies HTTP/1.1\r\nHost: x\r\nContent-Type: application/dicom\r\nContent-Length: 5000\r\n"
        peer.sendall(head + AUTHORIZATION + b"\r\n" + bytes(100))
        assert answer_of(peer)[0] == 408
    assert not list(house.store.incoming.folder.iterdir())


def test_client_that_leaves_in_the_middle_leaves_nothing_behind(server: ApiServer, house: House) -> None:
    with connected(server) as peer:
        head = b"POST /api/v1/studies HTTP/1.1\r\nHost: x\r\nContent-Type: application/dicom\r\nContent-Length: 500000\r\n"
        peer.sendall(head + AUTHORIZATION + b"\r\n" + dicom_file()[:300])
    deadline = time.monotonic() + 10
    while "http_request" not in house.log.getvalue() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not list(house.store.incoming.folder.iterdir())
    assert not list(house.store.keys())
    assert '"status": 500' not in house.log.getvalue()


@pytest.mark.parametrize("length", [(1 << 20) + 1, 10**15, 10**30])
def test_body_announced_too_large_is_refused_at_once(server: ApiServer, length: int) -> None:
    with connected(server) as peer:
        head = f"POST /api/v1/studies HTTP/1.1\r\nHost: x\r\nContent-Type: application/dicom\r\nContent-Length: {length}\r\n"
        peer.sendall(head.encode() + AUTHORIZATION + b"\r\n")
        assert answer_of(peer)[0] in (400, 413)


def test_chunked_body_that_grows_too_large_is_cut_off(server: ApiServer, house: House) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(64):
            yield bytes(1 << 16)

    with client(server) as made:
        answer = made.post("/api/v1/studies", content=endless(), headers={"Content-Type": "application/dicom"})
    assert answer.status_code == 413
    assert not list(house.store.incoming.folder.iterdir())


def test_compressed_body_is_not_unpacked(server: ApiServer) -> None:
    with client(server) as made:
        headers = {"Content-Type": "application/dicom", "Content-Encoding": "gzip"}
        answer = made.post("/api/v1/studies", content=b"\x1f\x8b" + bytes(50), headers=headers)
    assert (answer.status_code, answer.headers["accept-encoding"]) == (413, "identity")


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64) + b"\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    ],
)
def test_what_is_no_http_is_a_problem(server: ApiServer, request_bytes: bytes) -> None:
    with connected(server) as peer:
        peer.sendall(request_bytes)
        status, problem = answer_of(peer)
        assert (status, problem["type"]) == (400, "urn:sonomyo:problem:not_http")
        assert_closed_within(peer, 2)


def test_head_without_end_is_cut_off(server: ApiServer) -> None:
    with connected(server) as peer:
        peer.sendall(b"GET /healthz HTTP/1.1\r\nX: ")
        assert _send_until_cut_off(peer, most=100 << 20) < 20 << 20


def _send_until_cut_off(peer: socket.socket, *, most: int) -> int:
    """How much the server let the peer send."""
    sent = 0
    while sent < most:
        try:
            sent += peer.send(b"a" * 65536)
        except (ConnectionResetError, BrokenPipeError):
            break
    return sent


def test_upload_over_the_socket_is_stored(server: ApiServer) -> None:
    with client(server) as made:
        assert upload(made, dicom_file()).json()["instances"][0]["status"] == "stored"


def test_events_tell_what_happens_and_can_be_resumed(server: ApiServer, house: House) -> None:
    told: list[str] = []
    with client(server) as made, made.stream("GET", "/api/v1/events") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        lines = stream.iter_lines()
        assert next(lines) == "retry: 2000"
        upload(house.client(), dicom_file())
        house.client().post(f"/api/v1/studies/{STUDY}/complete")
        house.work()
        for line in lines:
            told.append(line)
            if line == "event: delivered":
                break
    names = [line.removeprefix("event: ") for line in told if line.startswith("event: ")]
    assert names == ["instance_stored", "analysis_done", "report_ready", "delivered"]
    first = next(line for line in told if line.startswith("id: ")).removeprefix("id: ")
    assert "Canary" not in "".join(told)
    with client(server) as made, made.stream("GET", "/api/v1/events", headers={"Last-Event-ID": first}) as stream:
        again = next(line for line in stream.iter_lines() if line.startswith("event: "))
    assert again == "event: analysis_done"


def names_told(server: ApiServer, after: str, *, until: str) -> list[str]:
    with client(server) as made, made.stream("GET", "/api/v1/events", headers={"Last-Event-ID": after}) as stream:
        told: list[str] = []
        for line in stream.iter_lines():
            if line.startswith("event: "):
                told.append(line.removeprefix("event: "))
                if told[-1] == until:
                    break
    return told


def test_events_tell_of_a_refused_delivery_as_refused_and_of_one_sent_again_as_delivered(server: ApiServer, house: House) -> None:
    def refuse() -> None:
        raise InputRejected("The peer does not take it.")

    house.destination.before = refuse
    reported(house)
    told = names_told(server, "0-0", until="delivery_refused")
    assert told == ["instance_stored", "analysis_done", "report_ready", "delivery_refused"]
    house.destination.before = lambda: None
    house.client().post("/api/v1/deliveries/1/requeue").raise_for_status()
    house.work()
    assert names_told(server, "0-0", until="delivered")[-3:] == ["report_ready", "delivery_requeued", "delivered"]


def test_events_tell_of_each_stored_instance_once(server: ApiServer, house: House) -> None:
    made = reported(house)
    upload(made, dicom_file("1.2.3.4", SOPClassUID="1.2.840.10008.5.1.4.1.1.7"))
    upload(made, dicom_file("1.2.3.4", SOPClassUID="1.2.840.10008.5.1.4.1.1.7"))
    made.post(f"/api/v1/studies/{STUDY}/reanalyse").raise_for_status()
    house.work()
    upload(made, dicom_file("1.2.3.5", study="1.2.9"))
    house.work()
    analysed: list[str] = []
    with client(server) as stream_of, stream_of.stream("GET", "/api/v1/events", headers={"Last-Event-ID": "0-0"}) as stream:
        stored = []
        for line in stream.iter_lines():
            analysed += [line] if line == "event: analysis_done" else []
            if line.startswith("data: ") and "sop_instance_uid" in line:
                stored.append(json.loads(line.removeprefix("data: "))["sop_instance_uid"])
            if len(analysed) == 3:
                break
    assert stored == ["1.2.3", "1.2.3.4", "1.2.3.5"]


def test_open_event_stream_does_not_hold_up_the_stop(house: House) -> None:
    with running(house) as server, client(server) as made, made.stream("GET", "/api/v1/events") as stream:
        lines = stream.iter_lines()
        assert next(lines) == "retry: 2000"
        started = time.monotonic()
        server.should_exit = True
        assert list(lines) == [""]
        assert time.monotonic() - started < 5


def test_calls_that_wait_for_others_hold_no_quick_one_up(house: House) -> None:
    services, answer, asked = house.app.state.services, threading.Event(), threading.Semaphore(0)

    def reach(_: DestinationSettings) -> str:
        asked.release()
        assert answer.wait(60)
        return "It answers at last."

    house.app.state.services = replace(services, reach=reach)
    with running(house) as server, client(server) as made, ThreadPoolExecutor(8) as people:
        waiting = [people.submit(made.post, "/api/v1/destinations/pacs/check") for _ in range(8)]
        for _ in waiting:
            assert asked.acquire(timeout=30)
        assert made.get("/api/v1/studies").status_code == httpx2.codes.OK
        assert not any(one.done() for one in waiting)
        answer.set()
        assert {one.result().json()["said"] for one in waiting} == {"It answers at last."}


def test_port_that_is_taken_is_said_in_one_sentence(server: ApiServer, house: House) -> None:
    with pytest.raises(Conflict, match=r"cannot listen on 127\.0\.0\.1 port"):
        make_server(house.app, host="127.0.0.1", port=server.port, ready=lambda _: None)


def test_viewer_cannot_listen_for_more_than_the_roles_allow(server: ApiServer, house: House) -> None:
    headers = {"Authorization": f"Bearer {house.key(Role.VIEWER)}"}
    with httpx2.Client(base_url=f"http://127.0.0.1:{server.port}", headers=headers) as viewer:
        assert viewer.get("/api/v1/associations").status_code == 403


def test_live_socket_outlives_the_deadline_of_a_request_head_and_ends_with_the_server(house: House) -> None:
    with running(house) as server:
        headers = {"Authorization": f"Bearer {ADMINISTRATOR_KEY}"}
        with connect(f"ws://127.0.0.1:{server.port}{LIVE_PATH}", additional_headers=headers) as live:
            live.send("{}")
            assert json.loads(live.recv(timeout=10))["type"] == "ready"
            with pytest.raises(TimeoutError):
                live.recv(timeout=3 * HEAD_SECONDS)
            assert live.ping().wait(10)
            server.should_exit = True
            with pytest.raises(ConnectionClosed):
                live.recv(timeout=20)

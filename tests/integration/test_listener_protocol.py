"""What breaks PS3.8 is answered by A-ABORT at once, costs no memory and stores nothing (cases D01 to D19)."""

import os
import socket
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.listener_parts import (
    ABORT,
    EXPLICIT,
    IMPLICIT,
    INSTANCE,
    RELEASE_RP,
    US,
    VERIFICATION,
    RawPeer,
    Running,
    encode,
    encode_command,
    encode_request,
    pdata,
    resident_bytes,
    run_thread,
    running_listener,
    store_command,
    ultrasound,
    wait_until,
)

MEBIBYTE = 1 << 20
MAXIMUM_PDU = 131072


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    with running_listener(tmp_path, maximum_object_bytes=MEBIBYTE, pdu_timeout_seconds=1.0, network_timeout_seconds=2.0) as it:
        yield it


def assert_aborted(peer: RawPeer, *, within_seconds: float = 1.0) -> None:
    peer.socket.settimeout(within_seconds)
    assert peer.read()[0] == ABORT


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\x63" + bytes(9), id="D01-unknown-pdu-type"),
        pytest.param(struct.pack(">BBL", 1, 0, 0xFFFFFFFF), id="D02-request-of-4-gib"),
        pytest.param(struct.pack(">BBL", 1, 0, 300_000), id="request-over-its-cap"),
        pytest.param(struct.pack(">BBL", 4, 0, 4096), id="data-before-association"),
        pytest.param(struct.pack(">BBLL", 5, 0, 4, 0), id="release-before-association"),
        pytest.param(struct.pack(">BBLL", 2, 0, 4, 0), id="acceptance-from-a-requestor"),
        pytest.param(os.urandom(4096).replace(b"\1", b"\2").replace(b"\7", b"\3"), id="D12-random-bytes"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", id="D13-http"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(32), id="tls-on-the-plain-port"),
        pytest.param(struct.pack(">BBLHH", 1, 0, 68, 1, 0) + bytes(64), id="request-without-ae-titles"),
        pytest.param(struct.pack(">BBLHH", 1, 0, 68, 1, 0) + b" " * 64, id="request-with-blank-ae-titles"),
        pytest.param(struct.pack(">BBL", 1, 0, 10) + bytes(10), id="request-too-short"),
    ],
)
def test_connection_with_garbage_before_association_is_aborted(running: Running, data: bytes) -> None:
    with RawPeer(running.port) as peer:
        peer.send(data)
        assert_aborted(peer)
    assert running.nothing_stored()


def test_request_with_one_context_id_twice_is_aborted(running: Running) -> None:
    request = bytearray(encode_request((VERIFICATION, [IMPLICIT]), (US, [EXPLICIT])))
    second = request.index(b"\x20\x00", request.index(b"\x20\x00", 74) + 4)
    request[second + 4] = 1
    with RawPeer(running.port) as peer:
        peer.send(bytes(request))
        assert_aborted(peer)


STORE = store_command()
PART = encode(ultrasound(PixelData=bytes(20_000)))[:10_000]
TWO_PDVS = struct.pack(">LBB", 4, 3, 0) + b"\0\0" + struct.pack(">LBB", 4000, 3, 2)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\x63" + bytes(9), id="D01-unknown-pdu-type"),
        pytest.param(struct.pack(">BBL", 4, 0, 0xFFFFFFFF), id="D02-pdu-of-4-gib"),
        pytest.param(struct.pack(">BBL", 4, 0, MAXIMUM_PDU + 1), id="D03-longer-than-negotiated"),
        pytest.param(struct.pack(">BBL", 5, 0, 0x7FFFFFFF), id="release-of-2-gib"),
        pytest.param(struct.pack(">BBLLBB", 4, 0, 8, 4000, 3, 3) + b"\0\0", id="D04-pdv-longer-than-pdu"),
        pytest.param(struct.pack(">BBL", 4, 0, len(TWO_PDVS)) + TWO_PDVS, id="D04-second-pdv-longer-than-pdu"),
        pytest.param(struct.pack(">BBLL", 4, 0, 4, 0), id="pdv-of-length-0"),
        pytest.param(struct.pack(">BBLLB", 4, 0, 5, 1, 3), id="pdv-without-control-header"),
        pytest.param(struct.pack(">BBL", 4, 0, 0), id="pdu-without-pdv"),
        pytest.param(struct.pack(">BBLH", 4, 0, 2, 0), id="pdv-head-cut-short"),
        pytest.param(encode_request((VERIFICATION, [IMPLICIT])), id="D06-second-association-request"),
        pytest.param(struct.pack(">BBLL", 6, 0, 4, 0), id="release-response-unasked"),
        pytest.param(pdata(3, 1, bytes(16000)) * 5, id="D09-endless-command-set"),
        pytest.param(pdata(3, 3, encode_command({0x0002: US, 0x0110: 1, 0x0800: 0})), id="D10-no-command-field"),
        pytest.param(pdata(3, 3, store_command(field=0x7777)), id="unknown-command-field"),
        pytest.param(pdata(3, 3, store_command(field=0x8001)), id="a-response-unasked"),
        pytest.param(pdata(3, 3, encode_command({0x0100: 1, 0x0800: 0, 0x1000: INSTANCE})), id="no-message-id"),
        pytest.param(pdata(3, 3, encode_command({0x0100: 1, 0x0110: 1, 0x1000: INSTANCE})), id="no-data-set-type"),
        pytest.param(pdata(3, 3, store_command(instance=None)), id="no-sop-instance-uid"),
        pytest.param(pdata(3, 3, STORE[:-3]), id="command-cut-short"),
        pytest.param(pdata(3, 3, os.urandom(200)), id="command-of-random-bytes"),
        pytest.param(pdata(3, 3, b""), id="empty-command"),
        pytest.param(pdata(77, 3, STORE), id="context-never-offered"),
        pytest.param(pdata(5, 3, STORE), id="context-that-was-refused"),
        pytest.param(pdata(3, 2, b"data"), id="data-before-its-command"),
        pytest.param(pdata(3, 3, STORE) + pdata(1, 0, b"data"), id="data-on-another-context"),
        pytest.param(pdata(3, 3, STORE) + pdata(3, 3, STORE), id="command-inside-a-message"),
        pytest.param(pdata(3, 1, STORE[:20]) + pdata(1, 3, STORE[20:]), id="command-over-two-contexts"),
        pytest.param(pdata(3, 3, STORE) + struct.pack(">BBLL", 5, 0, 4, 0), id="release-inside-a-message"),
        pytest.param(pdata(3, 3, STORE) + pdata(3, 0, bytes(60_000)) * 18, id="D14-object-over-the-cap"),
    ],
)
def test_association_that_breaks_the_protocol_is_aborted(running: Running, data: bytes) -> None:
    with RawPeer(running.port) as peer:
        peer.associate((VERIFICATION, [IMPLICIT]), (US, [EXPLICIT]), ("1.2.3.4.5", [IMPLICIT]))
        peer.send(data)
        assert_aborted(peer)
    wait_until(running.nothing_stored)
    assert running.last_record().outcome == "aborted"
    assert running.last_record().why


def test_hostile_lengths_and_endless_messages_cost_no_memory(running: Running) -> None:
    before = resident_bytes()
    for _ in range(20):
        with RawPeer(running.port) as peer:
            peer.associate()
            peer.send(struct.pack(">BBL", 4, 0, 0xFFFFFFFF) + bytes(4 * MEBIBYTE))
            assert_aborted(peer, within_seconds=5)
        with RawPeer(running.port) as peer:
            peer.associate()
            peer.send(pdata(3, 0, bytes(60_000)) * 20)
            assert_aborted(peer, within_seconds=5)
    assert resident_bytes() - before < 16 * MEBIBYTE


def test_peer_sees_the_abort_although_it_still_sends(running: Running) -> None:
    with RawPeer(running.port) as peer:
        peer.associate()
        peer.send(b"\x63" + bytes(9) + bytes(512 * 1024))
        assert_aborted(peer)


@pytest.mark.parametrize(
    "trickle",
    [
        pytest.param([b""], id="D18-silence"),
        pytest.param([b"\x01"], id="D15-one-byte-then-silence"),
        pytest.param([bytes([byte]) for byte in encode_request((VERIFICATION, [IMPLICIT]))[:40]], id="D16-trickled-request"),
    ],
)
def test_slow_connection_is_closed_by_its_deadline(running: Running, trickle: list[bytes]) -> None:
    with RawPeer(running.port) as peer:
        begun = time.monotonic()
        pieces = iter(trickle)
        peer.socket.settimeout(0.1)
        while True:
            peer.send(next(pieces, b""))
            try:
                if not peer.socket.recv(100):
                    break
            except TimeoutError:
                pass
            assert time.monotonic() - begun < 4
        assert time.monotonic() - begun >= 0.9


@pytest.mark.parametrize(
    "begun",
    [
        pytest.param(b"\x04", id="one-byte-of-a-pdu"),
        pytest.param(pdata(3, 3, STORE)[:-5], id="command-cut-short"),
        pytest.param(pdata(3, 3, STORE) + pdata(3, 0, b"0" * 1000), id="frozen-inside-an-object"),
    ],
)
def test_stalled_message_is_aborted(running: Running, begun: bytes) -> None:
    with RawPeer(running.port) as peer:
        peer.associate()
        peer.send(begun)
        assert_aborted(peer, within_seconds=4)
    assert running.last_record().outcome == "timed_out"
    wait_until(running.nothing_stored)


def test_object_in_pieces_of_one_byte_at_a_trickle_is_aborted(running: Running) -> None:
    with RawPeer(running.port) as peer:
        peer.associate()
        peer.send(pdata(3, 3, STORE))
        peer.socket.settimeout(0.02)
        begun = time.monotonic()
        answer = b""
        while not answer:
            peer.send(pdata(3, 0, b"0"))
            try:
                answer = peer.socket.recv(100)
            except TimeoutError:
                assert time.monotonic() - begun < 5
        assert answer[0] == ABORT


def test_idle_association_is_aborted_after_the_network_timeout(running: Running) -> None:
    with RawPeer(running.port) as peer:
        peer.associate()
        begun = time.monotonic()
        assert_aborted(peer, within_seconds=5)
        assert time.monotonic() - begun >= 1.9


def test_association_idle_for_longer_than_the_pdu_timeout_still_serves(running: Running) -> None:
    with RawPeer(running.port) as peer:
        peer.associate()
        threading.Event().wait(1.4)
        assert peer.echo() == 0
        peer.release()


def test_our_own_slowness_is_not_held_against_the_peer(running: Running) -> None:
    running.save.before = lambda: threading.Event().wait(1.5)
    with RawPeer(running.port) as peer:
        peer.associate()
        assert peer.store(encode(ultrasound())) == (0, "")
        assert peer.echo() == 0


def test_echo_is_answered_within_a_second_while_silent_connections_pile_up(tmp_path: Path) -> None:
    with running_listener(tmp_path, pdu_timeout_seconds=10.0) as running:
        silent = [socket.create_connection(("127.0.0.1", running.port)) for _ in range(300)]
        for index, each in enumerate(silent):
            if index % 2:
                each.send(b"\x01")
        try:
            for _ in range(10):
                begun = time.monotonic()
                with RawPeer(running.port) as peer:
                    peer.associate()
                    assert peer.echo() == 0
                    peer.release()
                assert time.monotonic() - begun < 1
        finally:
            for each in silent:
                each.close()


def test_peer_that_cuts_or_resets_leaves_nothing_behind(running: Running) -> None:
    for reset in (False, True) * 3:
        with RawPeer(running.port) as peer:
            peer.associate()
            peer.send(pdata(3, 3, STORE) + pdata(3, 0, PART))
            wait_until(lambda: bool(running.incoming_files()))
            if reset:
                peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        wait_until(lambda: not running.incoming_files())
    assert running.nothing_stored()
    wait_until(lambda: len(running.log.closed_records) == 6)
    assert {record.outcome for _, record in running.log.closed_records} == {"connection_lost"}


def test_peer_that_aborts_is_recorded(running: Running) -> None:
    with RawPeer(running.port) as peer:
        peer.associate()
        peer.send(struct.pack(">BBLL", 7, 0, 4, 0))
    assert running.last_record().outcome == "aborted_by_peer"


def test_release_is_answered(running: Running) -> None:
    with RawPeer(running.port) as peer:
        peer.associate()
        peer.send(struct.pack(">BBLL", 5, 0, 4, 0))
        assert peer.read()[0] == RELEASE_RP
    assert running.last_record().outcome == "released"


def test_answers_are_cut_to_the_pdu_that_the_peer_takes(running: Running) -> None:
    with RawPeer(running.port) as peer:
        peer.associate(maximum=32)
        peer.send(pdata(1, 3, encode_command({0x0002: VERIFICATION, 0x0100: 0x30, 0x0110: 7, 0x0800: 0x0101})))
        command, control = b"", 0
        while control != 3:
            kind, body = peer.read()
            assert kind == 4
            assert len(body) <= 32
            control = body[5]
            command += body[6:]
        assert command.endswith(struct.pack("<HHLH", 0, 0x0900, 2, 0))


def test_message_in_many_values_and_pdus_is_put_together(running: Running) -> None:
    command, data = store_command(), encode(ultrasound())
    values = [(1, command[:9]), (3, command[9:]), (0, data[:50]), (0, b""), (2, data[50:])]
    packed = b"".join(struct.pack(">LBB", len(part) + 2, 3, control) + part for control, part in values)
    with RawPeer(running.port) as peer:
        peer.associate()
        peer.send(struct.pack(">BBL", 4, 0, len(packed)) + packed)
        assert peer.status() == (0, "")


def test_requests_sent_ahead_are_answered_in_order(running: Running) -> None:
    data = encode(ultrasound())
    with RawPeer(running.port) as peer:
        peer.associate()
        for message in range(1, 6):
            peer.send(pdata(3, 3, store_command(message=message)) + pdata(3, 2, data))
        assert [peer.status()[0] for _ in range(5)] == [0] * 5
    assert len(running.save.received) == 5


def test_stop_lets_a_running_store_finish_and_aborts_what_is_idle(tmp_path: Path) -> None:
    with running_listener(tmp_path) as running:
        data = encode(ultrasound())
        with RawPeer(running.port) as idle, RawPeer(running.port) as silent, RawPeer(running.port) as busy:
            idle.associate()
            busy.associate()
            busy.send(pdata(3, 3, STORE) + pdata(3, 0, data[:100]))
            wait_until(lambda: bool(running.incoming_files()))
            stopping = run_thread(lambda: running.listener.stop(deadline_seconds=10))
            assert_aborted(idle, within_seconds=3)
            silent.socket.settimeout(3)
            silent.read()
            busy.send(pdata(3, 2, data[100:]))
            assert busy.status() == (0, "")
            assert_aborted(busy, within_seconds=3)
            stopping.join(5)
            assert not stopping.is_alive()
        with pytest.raises(ConnectionRefusedError):
            RawPeer(running.port)
        assert {record.outcome for _, record in running.log.closed_records} == {"drained"}


def test_stop_cuts_what_does_not_finish_by_the_deadline(tmp_path: Path) -> None:
    with running_listener(tmp_path) as running, RawPeer(running.port) as busy:
        busy.associate()
        busy.send(pdata(3, 3, STORE) + pdata(3, 0, PART))
        wait_until(lambda: bool(running.incoming_files()))
        begun = time.monotonic()
        running.listener.stop(deadline_seconds=0.5)
        assert time.monotonic() - begun < 3
        assert running.nothing_stored()

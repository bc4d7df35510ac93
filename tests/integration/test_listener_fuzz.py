"""Random conversations with a live listener: whatever is sent, it goes on serving and keeps nothing it did not acknowledge."""

import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.listener_parts import (
    EXPLICIT,
    IMPLICIT,
    US,
    VERIFICATION,
    RawPeer,
    Running,
    encode,
    encode_request,
    pdata,
    running_listener,
    store_command,
    ultrasound,
    wait_until,
)

DATA_SET = encode(ultrasound())
REQUEST = encode_request((VERIFICATION, [IMPLICIT]), (US, [EXPLICIT]))
COMMAND = store_command()

#: Real conversations among the noise, so that the deep states are reached.
WHOLE = (
    REQUEST,
    pdata(3, 3, COMMAND),
    pdata(3, 2, DATA_SET),
    struct.pack(">BBLL", 5, 0, 4, 0),
    struct.pack(">BBLL", 7, 0, 4, 0),
)
PAYLOADS = (COMMAND, DATA_SET, DATA_SET[:100], DATA_SET[100:], COMMAND[:30], COMMAND[30:], b"")


@st.composite
def pdus(draw: st.DrawFn) -> bytes:
    """A PDU that may come next, or one that may not, or noise."""
    kind = draw(st.integers(0, 3))
    if kind == 0:
        return draw(st.sampled_from(WHOLE))
    payload = draw(st.sampled_from(PAYLOADS) if draw(st.booleans()) else st.binary(max_size=300))
    if kind == 1:
        context_id, control = draw(st.sampled_from([1, 3, 3, 5, 0, 255])), draw(st.sampled_from([0, 1, 2, 3, 0x80, 0xFF]))
        return pdata(context_id, control, payload)
    head = struct.pack(">BBL", draw(st.integers(0, 255)), 0, draw(st.integers(0, 400)))
    return head + payload if kind == 2 else payload + b"\0"


@st.composite
def mutated_requests(draw: st.DrawFn) -> bytes:
    """An association request with some bytes changed."""
    request = bytearray(REQUEST)
    for _ in range(draw(st.integers(1, 6))):
        request[draw(st.integers(0, len(request) - 1))] = draw(st.integers(0, 255))
    return bytes(request)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder: Path = tmp_path_factory.mktemp("fuzz")
    with running_listener(folder, pdu_timeout_seconds=5, network_timeout_seconds=5) as it:
        yield it


def converse(running: Running, sent: list[bytes]) -> None:
    """Send all, hang up, and see that another peer is served and that nothing half-done is left."""
    with RawPeer(running.port) as peer:
        for piece in sent:
            peer.send(piece)
        peer.send(b"")
    with RawPeer(running.port) as sane:
        sane.associate()
        assert sane.echo() == 0
        sane.release()
    wait_until(lambda: not running.incoming_files())
    wait_until(lambda: set(running.store.keys()) == {received.storage_key for received in running.save.received})
    assert all(received.attributes.sop_instance_uid == "1.2.3.4" for received in running.save.received)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
@given(sent=st.lists(pdus(), min_size=1, max_size=8))
def test_any_conversation_leaves_a_listener_that_serves(running: Running, sent: list[bytes]) -> None:
    converse(running, [REQUEST, *sent])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
@given(asked=mutated_requests(), sent=st.lists(pdus(), max_size=3))
def test_any_association_request_leaves_a_listener_that_serves(running: Running, asked: bytes, sent: list[bytes]) -> None:
    converse(running, [asked, *sent])

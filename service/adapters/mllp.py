"""HL7 v2 over MLLP, release 1: one message, one connection, one acknowledgement; the whole exchange bounded."""

import socket
import time
from contextlib import AbstractContextManager

from service.adapters.configured_destination import ConfiguredDestination
from service.adapters.connection import connected
from service.core.hl7_acknowledgement import control_id_of, judge_acknowledgement
from service.destination_settings import MllpDestinationSettings
from service.errors import Unavailable
from service.records import RenderedObject

_START, _END = b"\x0b", b"\x1c\r"
_MOST_OF_AN_ANSWER = 1 << 16


class MllpDestination(ConfiguredDestination[MllpDestinationSettings]):
    """A destination that takes HL7 v2; implements `ports.Destination`."""

    def send(self, rendered: RenderedObject) -> None:
        """Deliver one message. Raises Unavailable (no answer in time, AE) or InputRejected (AR)."""
        deadline = time.monotonic() + self._settings.timeout_seconds
        with _connected(self._settings) as connection:
            _wait_until(connection, deadline)
            connection.sendall(_START + rendered.content + _END)
            answer = _answer(connection, deadline)
        judge_acknowledgement(answer, control_id_of(rendered.content))


def reach(settings: MllpDestinationSettings) -> str:
    """Connects and hangs up: a message would be taken for a result. Raises Unavailable."""
    with _connected(settings):
        return "takes a connection"


def _connected(settings: MllpDestinationSettings) -> AbstractContextManager[socket.socket]:
    return connected(settings.host, settings.port, tls=settings.tls, seconds=settings.timeout_seconds)


def _answer(connection: socket.socket, deadline: float) -> bytes:
    """Between the marks. Raises OSError, Unavailable when it ends or goes on without them."""
    received = b""
    while _END not in received and len(received) < _MOST_OF_AN_ANSWER:
        _wait_until(connection, deadline)
        piece = connection.recv(4096)
        if not piece:
            break
        received += piece
    start, end = received.find(_START), received.find(_END)
    if start < 0 or end < start:
        raise Unavailable("The receiver gave no whole acknowledgement.", reason="not_acknowledged")
    return received[start + 1 : end]


def _wait_until(connection: socket.socket, deadline: float) -> None:
    """Raises TimeoutError once it has passed."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    connection.settimeout(left)

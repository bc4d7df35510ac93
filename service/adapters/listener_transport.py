"""One connection as a stream of PDUs (PS3.8 9.3.1): every read has a deadline, every length a cap, and memory is one PDU."""

import socket
import ssl
import struct
import threading
import time
from contextlib import suppress

#: How often a waiting read looks at its deadline and at the order to drain.
TICK_SECONDS = 0.25
_HEADER = struct.Struct(">BxL")
HEADER_BYTES = _HEADER.size
#: 128 presentation contexts with every transfer syntax there is take less.
MAXIMUM_REQUEST_BYTES = 256 << 10
_MAXIMUM_OTHER_BYTES = 4096

A_ASSOCIATE_RQ, P_DATA_TF, A_RELEASE_RQ, A_RELEASE_RP, A_ABORT = 0x01, 0x04, 0x05, 0x06, 0x07
_PDU_TYPES = range(0x01, 0x08)

# Reasons of an A-ABORT by the service provider (PS3.8 9.3.8).
UNRECOGNISED_PDU, UNEXPECTED_PDU, INVALID_PARAMETER = 1, 2, 6


class ProtocolViolation(Exception):
    """The peer broke PS3.8 or PS3.7: answered by A-ABORT with this reason."""

    def __init__(self, why: str, *, reason: int = INVALID_PARAMETER) -> None:
        super().__init__(why)
        self.reason = reason


class PeerGone(Exception):
    """The connection is closed or broken."""


class PeerTooSlow(Exception):
    """A deadline passed, or the transfer fell below the slowest acceptable rate."""


class Draining(Exception):
    """The service stops, and this association is idle."""


class PduStream:
    """Reads and writes whole PDUs; the body that `read` gives is valid until the next call."""

    def __init__(
        self,
        sock: socket.socket,
        *,
        maximum_pdu_size: int,
        pdu_timeout_seconds: float,
        network_timeout_seconds: float,
        minimum_bytes_per_second: int,
        drain: threading.Event,
    ) -> None:
        self._socket = sock
        self._maximum_pdu_size = maximum_pdu_size
        self._pdu_timeout = pdu_timeout_seconds
        self._network_timeout = network_timeout_seconds
        self._least = minimum_bytes_per_second * pdu_timeout_seconds
        self._drain = drain
        self._buffer = bytearray(8192)
        self._start = 0
        self._end = 0
        self._waited = 0.0
        self._progress = 0
        #: Set until the association request is read: the moment by which it must be whole.
        self._deadline: float | None = time.monotonic() + pdu_timeout_seconds
        sock.settimeout(TICK_SECONDS)

    def handshake(self, context: ssl.SSLContext) -> None:
        """Put TLS on the connection, in the connection's own time. Raises PeerGone, PeerTooSlow."""
        self._socket.settimeout(self._pdu_timeout)
        try:
            wrapped = context.wrap_socket(self._socket, server_side=True, do_handshake_on_connect=False)
            self._socket = wrapped
            wrapped.do_handshake()
        except TimeoutError as error:
            raise PeerTooSlow("the TLS handshake took too long") from error
        except (ssl.SSLError, OSError) as error:
            raise PeerGone(f"the TLS handshake failed: {getattr(error, 'reason', None) or type(error).__name__}") from error
        self._socket.settimeout(TICK_SECONDS)

    def establish(self) -> None:
        """The association is accepted: the deadline of its request no longer holds, and data PDUs may come."""
        self._deadline = None
        pending = self._buffer[self._start : self._end]
        self._buffer = bytearray(max(2 * (HEADER_BYTES + self._maximum_pdu_size), len(pending)))
        self._buffer[: len(pending)] = pending
        self._start, self._end = 0, len(pending)

    def read(self, *, within_message: bool) -> tuple[int, memoryview]:
        """The next PDU: type and body. Between messages the peer may idle, within one it must keep the pace.

        Raises ProtocolViolation, PeerGone, PeerTooSlow, Draining.
        """
        if not within_message:
            self._waited, self._progress = 0.0, 0
        self._fill(HEADER_BYTES, idle=not within_message)
        pdu_type, length = _HEADER.unpack_from(self._buffer, self._start)
        self._check(pdu_type, length)
        self._fill(HEADER_BYTES + length, idle=False)
        first = self._start + HEADER_BYTES
        self._start = first + length
        return pdu_type, memoryview(self._buffer)[first : self._start]

    def write(self, data: bytes) -> None:
        """Send all of `data`. Raises PeerGone, PeerTooSlow."""
        left = memoryview(data)
        deadline = time.monotonic() + self._pdu_timeout
        while left:
            try:
                left = left[self._socket.send(left) :]
            except (TimeoutError, ssl.SSLWantWriteError, ssl.SSLWantReadError) as error:
                if time.monotonic() > deadline:
                    raise PeerTooSlow("the peer does not take our answer") from error
            except OSError as error:
                raise PeerGone("the connection broke while we answered") from error

    def interrupt(self) -> None:
        """From another thread: make every read and write of this connection fail now."""
        with suppress(OSError):
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def linger(self, seconds: float, *, shut: bool) -> None:
        """Wait for the peer to close, taking what it still sends, so that our last PDU is not lost to a reset; then close."""
        deadline = time.monotonic() + seconds
        try:
            if shut:
                socket.socket.shutdown(self._socket, socket.SHUT_WR)
            while time.monotonic() < deadline and not self._drain.is_set():
                try:
                    if not self._socket.recv(65536):
                        break
                except TimeoutError:
                    continue
        except (OSError, ValueError):
            pass
        finally:
            self.close()

    def close(self) -> None:
        """Close the connection."""
        with suppress(OSError):
            self._socket.close()

    def _check(self, pdu_type: int, length: int) -> None:
        if pdu_type not in _PDU_TYPES:
            raise ProtocolViolation("the peer sent an unknown PDU type", reason=UNRECOGNISED_PDU)
        established = self._deadline is None
        if established and pdu_type == P_DATA_TF:
            cap = self._maximum_pdu_size
        elif not established and pdu_type == A_ASSOCIATE_RQ:
            cap = MAXIMUM_REQUEST_BYTES
        elif pdu_type in (A_RELEASE_RQ, A_RELEASE_RP, A_ABORT):
            cap = _MAXIMUM_OTHER_BYTES
        else:
            raise ProtocolViolation("the peer sent a PDU that does not belong here", reason=UNEXPECTED_PDU)
        if length > cap:
            raise ProtocolViolation(f"the peer sent a PDU of {length} bytes, {cap} are allowed")

    def _fill(self, size: int, *, idle: bool) -> None:
        """Have `size` bytes in the buffer."""
        if self._start == self._end:
            self._start = self._end = 0
        while self._end - self._start < size:
            if self._start + size > len(self._buffer):
                self._make_room(size)
            self._receive(idle=idle and self._start == self._end)

    def _make_room(self, size: int) -> None:
        held = self._end - self._start
        self._buffer[:held] = self._buffer[self._start : self._end]
        self._start, self._end = 0, held
        if size > len(self._buffer):
            # Only a large association request comes here; the buffer grows as its bytes arrive, not as it claims.
            self._buffer.extend(bytes(min(size - len(self._buffer), 65536)))

    def _receive(self, *, idle: bool) -> None:
        """One read of what has arrived, and one look at the clock."""
        if self._end == len(self._buffer):
            self._make_room(len(self._buffer) + 1)
        before = time.monotonic()
        count = 0
        with memoryview(self._buffer) as view:
            try:
                count = self._socket.recv_into(view[self._end :])
                if not count:
                    raise PeerGone("the peer closed the connection")
            except (TimeoutError, ssl.SSLWantReadError):
                pass
            except (OSError, ValueError) as error:
                raise PeerGone("the connection broke") from error
        self._end += count
        now = time.monotonic()
        if idle and count:
            self._waited, self._progress = 0.0, count
        else:
            self._waited += now - before
            self._progress += count
        self._judge_pace(now, idle=idle and not count)

    def _judge_pace(self, now: float, *, idle: bool) -> None:
        """Time is counted only while we wait for the peer, so that our own slowness is not held against it."""
        if self._drain.is_set() and (idle or self._deadline is not None):
            raise Draining
        if self._deadline is not None:
            if now > self._deadline:
                raise PeerTooSlow("the association request took too long")
        elif idle:
            if self._waited > self._network_timeout:
                raise PeerTooSlow("the association was idle too long")
        elif self._waited > self._pdu_timeout:
            if self._progress < self._least:
                raise PeerTooSlow("the peer sends too slowly")
            self._waited, self._progress = 0.0, 0

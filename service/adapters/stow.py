"""STOW-RS (PS3.18 10.5): one object, one POST over HTTP/1.1, no proxy and no redirect; judged by what the answer says."""

import base64
import contextlib
import secrets
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self

import httpx2
import structlog

from service.adapters.tls import client_context
from service.core.stow import judge_store_response, read_store_response
from service.destination_settings import StowDestinationSettings
from service.errors import Unavailable
from service.ports import RenderedObject

#: The answer about one object has some hundred bytes.
_MOST_OF_AN_ANSWER = 1 << 20
_UNAUTHENTICATED, _FORBIDDEN, _NOT_FOUND, _FIRST_SERVER_ERROR = 401, 403, 404, 500
#: A study that no server has: the answer to a search for it holds no patient.
_NO_STUDY = "2.25.0"


class StowDestination:
    """A destination that takes STOW-RS; implements `ports.Destination`."""

    def __init__(self, *, settings: StowDestinationSettings) -> None:
        self._settings = settings

    @property
    def name(self) -> str:
        """The configured name."""
        return self._settings.name

    @property
    def kinds(self) -> frozenset[str]:
        """Which kinds of object it takes."""
        return frozenset(self._settings.kinds)

    def send(self, rendered: RenderedObject) -> None:
        """Deliver one object.

        Raises Unavailable (no answer in time, 5xx, 408, 425, 429, 0xA7xx, or nothing said of the object) or InputRejected
        (0x0122, 0xA9xx, 0xCxxx, and every other 4xx).
        """
        boundary = secrets.token_hex(16)
        headers = {"Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}'}
        body = b"--%b\r\nContent-Type: application/dicom\r\n\r\n%b\r\n--%b--\r\n" % (
            boundary.encode(),
            rendered.content,
            boundary.encode(),
        )
        uid = rendered.sop_instance_uid
        status, answer = _exchange(self._settings, "POST", headers=headers, content=body)
        warning = judge_store_response(status, read_store_response(answer), uid)
        if warning:
            structlog.get_logger().warning("stored_with_warning", destination=self.name, sop_instance_uid=uid, warning=warning)


def probe(settings: StowDestinationSettings) -> str:
    """What a search for a study that nobody has tells of the server (a server of STOW-RS alone need not search).

    Raises Unavailable with what to mend.
    """
    status, _ = _exchange(settings, "GET", params={"StudyInstanceUID": _NO_STUDY})
    if status in (_UNAUTHENTICATED, _FORBIDDEN):
        raise Unavailable(f"It answers, and refuses our credentials ({status}).", reason="credentials")
    if status == _NOT_FOUND:
        raise Unavailable("It answers, and has no DICOMweb there (404).", reason="not_found")
    if status >= _FIRST_SERVER_ERROR:
        raise Unavailable(f"It answers with an error of its own ({status}).", reason="server_error")
    return f"answers ({status})"


def _exchange(settings: StowDestinationSettings, method: str, **request: Any) -> tuple[int, bytes]:  # noqa: ANN401 - as httpx2 takes it
    """Status and body of the answer. Raises Unavailable when there is none in time."""
    url = f"{settings.url}/studies"
    headers = {
        "Accept": "application/dicom+json",
        "Accept-Encoding": "identity",
        **_authorization(settings),
        **request.pop("headers", {}),
    }
    with _Cutoff(settings.timeout_seconds) as cutoff, _translated(cutoff), _client(settings) as client:
        extensions = {"trace": cutoff.watch}
        with client.stream(method, url, headers=headers, extensions=extensions, **request) as response:
            return response.status_code, _body(response)


def _client(settings: StowDestinationSettings) -> httpx2.Client:
    """HTTP/1.1 only: proxies that end an HTTP/2 connection after so many requests have lost STOW-RS posts without a word."""
    verify = client_context(settings.tls) if settings.speaks_tls else False
    return httpx2.Client(verify=verify, http2=False, trust_env=False, follow_redirects=False, timeout=settings.timeout_seconds)


def _authorization(settings: StowDestinationSettings) -> dict[str, str]:
    if settings.token is not None:
        return {"Authorization": f"Bearer {settings.token.get_secret_value()}"}
    if settings.username is not None and settings.password is not None:
        pair = f"{settings.username}:{settings.password.get_secret_value()}"
        return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
    return {}


def _body(response: httpx2.Response) -> bytes:
    """As it came; nothing of one that is far too long."""
    body = bytearray()
    for chunk in response.iter_raw():
        body += chunk
        if len(body) > _MOST_OF_AN_ANSWER:
            return b""
    return bytes(body)


@contextmanager
def _translated(cutoff: "_Cutoff") -> Iterator[None]:
    try:
        yield
    except httpx2.HTTPError as error:
        if cutoff.passed or isinstance(error, httpx2.TimeoutException):
            raise Unavailable(f"The server did not answer within {cutoff.seconds:g} s.", reason="no_answer") from error
        trouble = _tls_trouble(error)
        if trouble is not None:
            raise Unavailable(f"There is no TLS with the server: {trouble}.", reason="tls") from error
        raise Unavailable("The server cannot be reached, or ended the exchange.", reason="no_answer") from error


def _tls_trouble(error: BaseException | None) -> str | None:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return error.verify_message
        if isinstance(error, ssl.SSLError):
            return error.reason or "the handshake failed"
        error = error.__cause__ or error.__context__
    return None


class _Cutoff:
    """Ends an exchange that takes too long: httpx2 bounds each wait, and a peer can make any number of them."""

    def __init__(self, seconds: float) -> None:
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True
        self.seconds = seconds
        self.passed = False
        self._socket: socket.socket | None = None

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    def watch(self, event: str, detail: Mapping[str, Any]) -> None:
        """httpx2's `trace`: learns the socket, again once it speaks TLS."""
        if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            self._socket = detail["return_value"].get_extra_info("socket")
            if self.passed:
                self._cut()

    def _cut(self) -> None:
        self.passed = True
        if self._socket is not None:
            with contextlib.suppress(OSError):
                # Not SSLSocket's own, which takes the TLS away under the thread that reads.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

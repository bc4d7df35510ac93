"""One HTTP/1.1 request and its answer, the whole bounded in time; no proxy of the environment, no redirect."""

import base64
import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self

import httpx2

from service.adapters.tls import client_context
from service.destination_settings import TlsSettings, WebServerSettings
from service.errors import Unavailable

#: What a server says of one object has some hundred bytes.
_MOST_OF_AN_ANSWER = 1 << 20


def exchange(
    method: str,
    url: httpx2.URL | str,
    *,
    tls: TlsSettings | None,
    seconds: float,
    server_name: str | None = None,
    most_bytes: int = _MOST_OF_AN_ANSWER,
    **request: Any,  # noqa: ANN401 - as httpx2 takes it
) -> tuple[int, bytes]:
    """Status and body of the answer; `tls` is None in the clear, `server_name` what its certificate holds if not the URL's host.

    The body is empty where it has more than `most_bytes`. Raises Unavailable when there is no answer in time.
    """
    with _Cutoff(seconds) as cutoff, _translated(cutoff), _client(tls, seconds) as client:
        extensions = {"trace": cutoff.watch, **({} if server_name is None else {"sni_hostname": server_name})}
        with client.stream(method, url, extensions=extensions, **request) as response:
            return response.status_code, _body(response, most_bytes)


def authorization(settings: WebServerSettings) -> dict[str, str]:
    """The header by which the server knows us; none without credentials."""
    if settings.token is not None:
        return {"Authorization": f"Bearer {settings.token.get_secret_value()}"}
    if settings.username is not None and settings.password is not None:
        pair = f"{settings.username}:{settings.password.get_secret_value()}"
        return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
    return {}


def _client(tls: TlsSettings | None, seconds: float) -> httpx2.Client:
    """HTTP/1.1 only: proxies that end an HTTP/2 connection after so many requests have lost STOW-RS posts without a word."""
    verify = False if tls is None else client_context(tls)
    return httpx2.Client(verify=verify, http2=False, trust_env=False, follow_redirects=False, timeout=seconds)


def _body(response: httpx2.Response, most_bytes: int) -> bytes:
    """As it came; nothing of one that is far too long."""
    body = bytearray()
    for chunk in response.iter_raw():
        body += chunk
        if len(body) > most_bytes:
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

"""The HTTP server: uvicorn with deadlines of ours, for it has none for the head of a request."""

import asyncio
import json
import socket
from collections.abc import Callable, Sequence
from ipaddress import IPv4Network, IPv6Network
from types import FrameType
from typing import Any

import h11
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from service.api.dependencies import Services
from service.api.live import LARGEST_MESSAGE_BYTES
from service.api.problems import MEDIA_TYPE
from service.errors import Conflict

HEAD_SECONDS = 8.0
KEEP_ALIVE_SECONDS = 15
SHUTDOWN_SECONDS = 10
MOST_CONNECTIONS = 1000
MAXIMUM_HEAD_BYTES = 32 << 10
BACKLOG = 256
Networks = Sequence[IPv4Network | IPv6Network]


def serve(app: FastAPI, *, host: str, port: int, ready: Callable[[int], None], trusted_proxies: Networks = ()) -> None:
    """Serve until SIGINT or SIGTERM; `ready` is told the port once connections are taken. Raises Conflict when it is taken."""
    make_server(app, host=host, port=port, ready=ready, trusted_proxies=trusted_proxies).run()


def make_server(
    app: FastAPI,
    *,
    host: str,
    port: int,
    ready: Callable[[int], None],
    trusted_proxies: Networks = (),
    head_seconds: float = HEAD_SECONDS,
) -> "ApiServer":
    """A server that listens already, but takes no connection before it runs. Raises Conflict when the port is taken.

    `trusted_proxies` are believed when they say for whom they ask (X-Forwarded-For, X-Forwarded-Proto); nobody else is.
    """
    listening = _listen(host, port)
    config = uvicorn.Config(
        app,
        http=type("Protocol", (DeadlineProtocol,), {"head_seconds": head_seconds}),
        ws="websockets-sansio",
        ws_max_size=LARGEST_MESSAGE_BYTES,
        # Frames are pictures already.
        ws_per_message_deflate=False,
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=bool(trusted_proxies),
        forwarded_allow_ips=[str(network) for network in trusted_proxies],
        h11_max_incomplete_event_size=MAXIMUM_HEAD_BYTES,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        backlog=BACKLOG,
    )
    return ApiServer(config, listening, ready)


class DeadlineProtocol(H11Protocol):
    """Closes a connection whose request head is not whole in time, the first one and every later one."""

    head_seconds = HEAD_SECONDS
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn narrows the transport too
        """The clock starts with the connection."""
        super().connection_made(transport)
        if len(self.connections) > MOST_CONNECTIONS:
            transport.close()
        self._start_clock()

    def data_received(self, data: bytes) -> None:
        """Bytes alone do not stop the clock; a whole head does."""
        if self._deadline is None and self._is_between_requests():
            self._start_clock()
        super().data_received(data)
        if not self._is_between_requests():
            self._stop_clock()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is left to wait for."""
        self._stop_clock()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """From here on the socket's own deadlines run."""
        self._stop_clock()
        super().handle_websocket_upgrade(event)

    def on_response_complete(self) -> None:
        """From here keep-alive's own clock runs until the next byte."""
        super().on_response_complete()
        if self._is_between_requests():
            self._stop_clock()

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP is answered with a problem too."""
        body = {"type": "urn:sonomyo:problem:not_http", "title": "Bad Request", "status": 400, "detail": msg}
        content = json.dumps(body).encode()
        headers = [("content-type", MEDIA_TYPE), ("content-length", str(len(content))), ("connection", "close")]
        events = (h11.Response(status_code=400, headers=headers), h11.Data(data=content), h11.EndOfMessage())
        for event in events:
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _is_between_requests(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _start_clock(self) -> None:
        self._deadline = self.loop.call_later(self.head_seconds, self._give_up)

    def _stop_clock(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        self._deadline = None
        if self._is_between_requests() and not self.transport.is_closing():
            self.transport.close()


class ApiServer(uvicorn.Server):
    """Says when it serves, and ends event streams as soon as it is told to stop."""

    def __init__(self, config: uvicorn.Config, listening: socket.socket, ready: Callable[[int], None]) -> None:
        super().__init__(config)
        self._listening = listening
        self._ready = ready
        self.port = int(listening.getsockname()[1])

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until told to stop."""
        super().run(sockets=sockets or [self._listening])

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Told only when connections are taken."""
        await super().startup(sockets=sockets)
        if self.started:
            self._ready(self.port)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Streams that never end by themselves would hold the stop up."""
        app: Any = self.config.app
        services = getattr(app.state, "services", None)
        if isinstance(services, Services):
            services.events.close()
        await super().shutdown(sockets=sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A second signal does not cut off what is being answered; the deadline does."""
        del sig, frame
        self.should_exit = True


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise Conflict(f"HTTP cannot listen on {host} port {port}: {error.strerror}. Set SONOMYO_HTTP__PORT.") from error
    # Accepted sockets inherit it, and asyncio sets it only on those it made itself: the body of an answer, which is written after
    # its head, would wait for the client's delayed acknowledgement, 40 ms.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening

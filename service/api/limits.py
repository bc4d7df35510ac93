"""What a client may send: how much, how fast, how often. Pure ASGI, before any route sees a byte."""

import asyncio
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.problems import Problem, render

_MOST_CLIENTS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The figures; sizes in bytes, rates a second for each client."""

    maximum_upload_bytes: int = 2 << 30
    maximum_body_bytes: int = 1 << 20
    #: A body may take this long at first, and as long as the slowest acceptable rate after that.
    body_grace_seconds: float = 10.0
    minimum_body_bytes_per_second: int = 8192
    requests_per_second: float = 100.0
    request_burst: int = 400
    #: Frames are fetched by the hundred.
    image_requests_per_second: float = 1000.0
    image_request_burst: int = 4000
    #: Being answered at one time, event streams included.
    maximum_running: int = 400
    #: Of passwords, and apart from them of keys, for each address.
    failed_sign_ins_per_second: float = 0.2
    failed_sign_in_burst: int = 20


class TokenBuckets:
    """So many tokens for each client, refilled at a steady rate; the clients seen longest ago are forgotten."""

    def __init__(self, *, per_second: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second = per_second
        self._burst = float(burst)
        self._clock = clock
        self._lock = threading.Lock()
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, client: str) -> float:
        """0 when a token was there, else the seconds until one will be."""
        now = self._clock()
        with self._lock:
            tokens, since = self._buckets.pop(client, (self._burst, now))
            tokens = min(self._burst, tokens + (now - since) * self._per_second)
            wait = 0.0 if tokens >= 1 else (1 - tokens) / self._per_second
            self._buckets[client] = (tokens - 1 if wait == 0 else tokens, now)
            if len(self._buckets) > _MOST_CLIENTS:
                self._buckets.popitem(last=False)
        return wait

    def give_back(self, client: str) -> None:
        """A token that was not spent after all."""
        with self._lock:
            tokens, since = self._buckets.pop(client, (self._burst, self._clock()))
            self._buckets[client] = (min(self._burst, tokens + 1), since)


def too_many(wait_seconds: float) -> Problem:
    """429 with the whole seconds to wait."""
    seconds = max(1, int(wait_seconds + 0.999))
    detail = f"Too many requests; try again in {seconds} s."
    return Problem(429, detail, headers={"Retry-After": str(seconds)})


#: Frames; and the files of the pages, of which many people behind one address ask at once.
_BY_THE_HUNDRED = ("/dicom-web/", "/static/")


class RateLimit:
    """Counts requests of each client, the principal when there is one, else the address; and those being answered."""

    def __init__(self, app: ASGIApp, *, limits: Limits) -> None:
        self._app = app
        self._requests = TokenBuckets(per_second=limits.requests_per_second, burst=limits.request_burst)
        self._images = TokenBuckets(per_second=limits.image_requests_per_second, burst=limits.image_request_burst)
        self._maximum_running = limits.maximum_running
        self._running = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 429 or 503 with Retry-After, or let pass."""
        if scope["type"] in ("http", "websocket"):
            buckets = self._images if scope["path"].startswith(_BY_THE_HUNDRED) else self._requests
            wait = buckets.take(client_of(scope))
            if wait > 0:
                await render(too_many(wait), scope)(scope, receive, send)
                return
        if self._running >= self._maximum_running:
            await render(Problem(503, "Too busy now.", reason="busy", headers={"Retry-After": "2"}), scope)(scope, receive, send)
            return
        self._running += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._running -= 1


def client_of(scope: Scope) -> str:
    """Who is counted."""
    principal = scope.get("state", {}).get("principal")
    return str(principal.name) if principal is not None else counted_address(scope)


def counted_address(scope: Scope) -> str:
    """The peer as it is counted: by IPv6 as the network of 64 bits that one customer has, or each attempt could have another."""
    address = address_of(scope) or "unknown"
    if ":" not in address:
        return address
    try:
        mapped = IPv6Address(address).ipv4_mapped
    except ValueError:
        return address
    return str(mapped or IPv6Network((address.partition("%")[0], 64), strict=False))


def address_of(scope: Scope) -> str | None:
    """The peer's address, without its port."""
    client = scope.get("client")
    return None if client is None else str(client[0])


class BodyLimit:
    """Caps a body's size, its duration and its encodings, announced or not."""

    def __init__(self, app: ASGIApp, *, limits: Limits, sizes: Mapping[tuple[str, re.Pattern[str]], int]) -> None:
        self._app = app
        self._limits = limits
        #: (method, path) -> bytes; every other body may have `maximum_body_bytes`.
        self._sizes = sizes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 413 or 408, or pass on a `receive` that raises them."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        sizes = (
            size for (method, path), size in self._sizes.items() if method == scope["method"] and path.fullmatch(scope["path"])
        )
        maximum = next(sizes, self._limits.maximum_body_bytes)
        problem = refusal_by_headers(Headers(scope=scope), maximum)
        if problem is not None:
            await render(problem, scope)(scope, receive, send)
            return
        await self._app(scope, _MeteredBody(receive, self._limits, maximum), send)


def refusal_by_headers(headers: Headers, maximum: int) -> Problem | None:
    """What can be refused before a byte of the body is read."""
    close = {"Connection": "close"}
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        detail = "Compressed bodies are not taken, for what they unpack to has no limit; send it as it is."
        return Problem(413, detail, headers={**close, "Accept-Encoding": "identity"})
    length = headers.get("content-length", "0")
    if not length.isascii() or not length.isdigit() or int(length) > maximum:
        return _too_large(maximum)
    return None


class _MeteredBody:
    """`receive` with a cap on bytes and a deadline that moves with them."""

    def __init__(self, receive: Receive, limits: Limits, maximum: int) -> None:
        self._receive = receive
        self._limits = limits
        self._maximum = maximum
        self._bytes = 0
        self._begun: float | None = None
        self._ended = False

    async def __call__(self) -> Message:
        """The next message. Raises Problem (408, 413)."""
        if self._ended:
            return await self._receive()  # waits for the client to leave, however long that takes
        message = await self._next_message()
        self._ended = message["type"] != "http.request" or not message.get("more_body", False)
        self._bytes += len(message.get("body", b""))
        if self._bytes > self._maximum:
            raise _too_large(self._maximum)
        return message

    async def _next_message(self) -> Message:
        now = time.monotonic()
        self._begun = self._begun or now
        allowed = self._limits.body_grace_seconds + self._bytes / self._limits.minimum_body_bytes_per_second
        try:
            return await asyncio.wait_for(self._receive(), max(self._begun + allowed - now, 0.001))
        except TimeoutError as error:
            detail = "The body did not arrive in time."
            raise Problem(408, detail, headers={"Connection": "close"}) from error


def _too_large(maximum: int) -> Problem:
    return Problem(413, f"The body is larger than the {maximum} bytes taken here.", headers={"Connection": "close"})

"""Instances that arrive by HTTP: each part is streamed into the incoming folder, then takes the listener's durable path."""

from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from email.message import Message
from typing import Literal, Protocol

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from service.api.limits import address_of
from service.api.problems import Problem
from service.errors import InputRejected
from service.ports import StoredInstance

DICOM = "application/dicom"
MULTIPART = frozenset({"multipart/form-data", "multipart/related"})
MAXIMUM_PARTS = 2000
_FLUSH_BYTES = 1 << 20


class Incoming(Protocol):
    """A file in the incoming folder."""

    def write(self, data: bytes | memoryview) -> None:
        """Raises OSError."""

    def keep(self, *, peer_address: str | None) -> StoredInstance:
        """Read, fsync, rename, commit. Raises InputRejected, Unavailable."""


class Intake(Protocol):
    """The way from a file's bytes to a durable, committed instance."""

    def begin(self) -> AbstractContextManager[Incoming]:
        """A new file, gone at the end unless kept. Raises Unavailable when there is no room."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one part: an instance, or why it was refused."""

    stored: StoredInstance | None = None
    refused: InputRejected | None = None


async def receive(request: Request, intake: Intake) -> list[Outcome]:
    """Every instance of the body, in order. Raises Problem (413, 415, 422) and Unavailable, which end the upload."""
    receiver = _Receiver(intake, address_of(request.scope))
    try:
        async for event, data in _parts(request):
            await receiver.take(event, data)
    finally:
        receiver.close()
    if not receiver.outcomes:
        raise Problem(422, "The body holds no instance.", reason="empty")
    return receiver.outcomes


class _Receiver:
    """Writes one part after the other; disk and database are touched on other threads than the event loop's."""

    def __init__(self, intake: Intake, peer_address: str | None) -> None:
        self._intake = intake
        self._peer_address = peer_address
        self._open = ExitStack()
        self._file: Incoming | None = None
        self._pending = bytearray()
        self.outcomes: list[Outcome] = []

    async def take(self, event: Literal["begin", "data", "end"], data: bytes) -> None:
        """One event of the body."""
        if event == "begin":
            if len(self.outcomes) >= MAXIMUM_PARTS:
                raise Problem(413, f"An upload may hold {MAXIMUM_PARTS} instances; send the rest in another.")
            self._file = await run_in_threadpool(self._open.enter_context, self._intake.begin())
        elif event == "data":
            self._pending += data
            if len(self._pending) >= _FLUSH_BYTES:
                await self._flush()
        else:
            await self._flush()
            self.outcomes.append(await run_in_threadpool(self._keep))
            self.close()

    def close(self) -> None:
        """Let go of a file that was not kept."""
        self._file = None
        self._open.close()

    async def _flush(self) -> None:
        data, self._pending = bytes(self._pending), bytearray()
        try:
            if self._file is not None and data:
                await run_in_threadpool(self._file.write, data)
        except OSError as error:
            raise Problem(507, "There is no room for the upload.") from error

    def _keep(self) -> Outcome:
        assert self._file is not None  # noqa: S101 - `end` follows `begin`
        try:
            return Outcome(stored=self._file.keep(peer_address=self._peer_address))
        except InputRejected as refused:
            return Outcome(refused=refused)


async def _parts(request: Request) -> AsyncIterator[tuple[Literal["begin", "data", "end"], bytes]]:
    """The body's parts as events. Raises Problem (415, 422)."""
    content_type = Message()
    content_type["content-type"] = request.headers.get("content-type", "")
    kind = content_type.get_content_type()
    if kind == DICOM:
        async for event in _single(request):
            yield event
    elif kind in MULTIPART:
        async for event in _multiple(request, content_type):
            yield event
    else:
        accepted = ", ".join(sorted({DICOM, *MULTIPART}))
        raise Problem(415, f"An upload is {accepted}.", headers={"Accept": accepted})


async def _single(request: Request) -> AsyncIterator[tuple[Literal["begin", "data", "end"], bytes]]:
    begun = False
    async for chunk in request.stream():
        if chunk and not begun:
            begun = True
            yield "begin", b""
        yield "data", chunk
    if begun:
        yield "end", b""


async def _multiple(request: Request, content_type: Message) -> AsyncIterator[tuple[Literal["begin", "data", "end"], bytes]]:
    boundary = content_type.get_param("boundary")
    if not isinstance(boundary, str) or not boundary:
        raise Problem(422, "The multipart body names no boundary.", reason="malformed_multipart")
    found: list[tuple[Literal["begin", "data", "end"], bytes]] = []
    ended: list[bool] = []
    try:
        parser = MultipartParser(
            boundary.encode("latin-1"),
            {
                "on_headers_finished": lambda: found.append(("begin", b"")),
                "on_part_data": lambda data, start, end: found.append(("data", data[start:end])),
                "on_part_end": lambda: found.append(("end", b"")),
                "on_end": lambda: ended.append(True),
            },
        )
        async for chunk in request.stream():
            parser.write(chunk)
            for event in found:
                yield event
            found.clear()
    except (FormParserError, UnicodeEncodeError) as error:
        raise Problem(422, "The multipart body is malformed.", reason="malformed_multipart") from error
    if not ended:
        raise Problem(422, "The multipart body ends too early.", reason="malformed_multipart")

"""Instances that arrive by HTTP: each part is streamed into the incoming folder, then takes the listener's durable path."""

from collections.abc import AsyncIterator, Collection
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
from service.core.instance import InstanceAttributes
from service.errors import InputRejected
from service.records import StoredInstance

DICOM = "application/dicom"
MAXIMUM_PARTS = 2000
_FLUSH_BYTES = 1 << 20
Event = Literal["begin", "data", "end"]


class Incoming(Protocol):
    """A file in the incoming folder."""

    @property
    def attributes(self) -> InstanceAttributes | None:
        """What it says of itself; None until `keep` has read it."""

    def write(self, data: bytes | memoryview) -> None:
        """Raises OSError, and InputRejected when it is larger than any object that is taken."""

    def keep(self, *, peer_address: str | None, study_instance_uid: str | None = None) -> StoredInstance:
        """Read, fsync, rename, commit; only into the study that is named. Raises InputRejected, Unavailable."""


class Intake(Protocol):
    """The way from a file's bytes to a durable, committed instance."""

    def begin(self) -> AbstractContextManager[Incoming]:
        """A new file, gone at the end unless kept. Raises Unavailable when there is no room."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one part: an instance, or why it was refused."""

    stored: StoredInstance | None = None
    refused: InputRejected | None = None
    #: What a refused one says of itself, as far as it could be read.
    attributes: InstanceAttributes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What one kind of upload takes."""

    kinds: frozenset[str] = frozenset({DICOM, "multipart/form-data", "multipart/related"})
    #: Media types of the parts; any when empty.
    part_kinds: frozenset[str] = frozenset()
    study_instance_uid: str | None = None


async def receive(request: Request, intake: Intake, taken: Taken) -> list[Outcome]:
    """Every instance of the body, in order. Raises Problem (413, 415, 422) and Unavailable, which end the upload."""
    receiver = _Receiver(intake, taken, address_of(request.scope))
    try:
        async for event, data in _parts(request, taken.kinds):
            await receiver.take(event, data)
    finally:
        receiver.close()
    if not receiver.outcomes:
        raise Problem(422, "The body holds no instance.", reason="empty")
    return receiver.outcomes


class _Receiver:
    """Writes one part after the other; disk and database are touched on other threads than the event loop's."""

    def __init__(self, intake: Intake, taken: Taken, peer_address: str | None) -> None:
        self._intake = intake
        self._taken = taken
        self._peer_address = peer_address
        self._open = ExitStack()
        self._file: Incoming | None = None
        self._pending = bytearray()
        self._refused: InputRejected | None = None
        self.outcomes: list[Outcome] = []

    async def take(self, event: Event, data: bytes) -> None:
        """One event of the body; `begin` holds the media type of the part."""
        if event == "begin":
            if len(self.outcomes) >= MAXIMUM_PARTS:
                raise Problem(413, f"An upload may hold {MAXIMUM_PARTS} instances; send the rest in another.")
            self._refused = self._refusal(data)
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
            if self._file is not None and data and self._refused is None:
                await run_in_threadpool(self._file.write, data)
        except InputRejected as refused:
            self._refused = refused
        except OSError as error:
            raise Problem(507, "There is no room for the upload.") from error

    def _keep(self) -> Outcome:
        assert self._file is not None  # noqa: S101 - `end` follows `begin`
        if self._refused is not None:
            return Outcome(refused=self._refused)
        try:
            stored = self._file.keep(peer_address=self._peer_address, study_instance_uid=self._taken.study_instance_uid)
            return Outcome(stored=stored)
        except InputRejected as refused:
            return Outcome(refused=refused, attributes=self._file.attributes)

    def _refusal(self, media_type: bytes) -> InputRejected | None:
        kinds = self._taken.part_kinds
        if not kinds or _kind_of(media_type.decode("latin-1")) in kinds:
            return None
        return InputRejected(f"A part is {', '.join(sorted(kinds))}, and says so in its Content-Type.", reason="part_media_type")


def _kind_of(content_type: str) -> str:
    return _parsed(content_type).get_content_type()


def _parsed(content_type: str) -> Message:
    message = Message()
    message["content-type"] = " ".join(content_type.split())
    return message


async def _parts(request: Request, kinds: Collection[str]) -> AsyncIterator[tuple[Event, bytes]]:
    """The body's parts as events. Raises Problem (415, 422)."""
    content_type = _parsed(request.headers.get("content-type", ""))
    kind = content_type.get_content_type()
    if kind not in kinds:
        accepted = ", ".join(sorted(kinds))
        raise Problem(415, f"An upload is {accepted}.", headers={"Accept": accepted})
    events = _single(request) if kind == DICOM else _multiple(request, content_type)
    async for event in events:
        yield event


async def _single(request: Request) -> AsyncIterator[tuple[Event, bytes]]:
    begun = False
    async for chunk in request.stream():
        if chunk and not begun:
            begun = True
            yield "begin", DICOM.encode()
        yield "data", chunk
    if begun:
        yield "end", b""


class _PartReader:
    """What the parser calls: collects events, and of each part's head its media type."""

    def __init__(self, whole: Message) -> None:
        named = whole.get_param("type")
        #: Of a part that does not say its type (RFC 2387 3.1).
        self._usual = named.encode("latin-1", "replace") if isinstance(named, str) else b""
        self._name = self._value = b""
        self._media_type = self._usual
        self.found: list[tuple[Event, bytes]] = []
        self.is_ended = False

    def parser(self, boundary: str) -> MultipartParser:
        """Raises UnicodeEncodeError for a boundary that is none."""
        return MultipartParser(
            boundary.encode("latin-1"),
            {
                "on_header_field": self._add_name,
                "on_header_value": self._add_value,
                "on_header_end": self._end_header,
                "on_headers_finished": self._begin,
                "on_part_data": lambda data, start, end: self.found.append(("data", data[start:end])),
                "on_part_end": lambda: self.found.append(("end", b"")),
                "on_end": self._end,
            },
        )

    def _add_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _add_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        if self._name.lower() == b"content-type":
            self._media_type = self._value
        self._name = self._value = b""

    def _begin(self) -> None:
        self.found.append(("begin", self._media_type))
        self._media_type = self._usual

    def _end(self) -> None:
        self.is_ended = True


async def _multiple(request: Request, content_type: Message) -> AsyncIterator[tuple[Event, bytes]]:
    boundary = content_type.get_param("boundary")
    if not isinstance(boundary, str) or not boundary:
        raise Problem(422, "The multipart body names no boundary.", reason="malformed_multipart")
    reader = _PartReader(content_type)
    try:
        parser = reader.parser(boundary)
        async for chunk in request.stream():
            parser.write(chunk)
            for event in reader.found:
                yield event
            reader.found.clear()
    except (FormParserError, UnicodeEncodeError) as error:
        raise Problem(422, "The multipart body is malformed.", reason="malformed_multipart") from error
    if not reader.is_ended:
        raise Problem(422, "The multipart body ends too early.", reason="malformed_multipart")

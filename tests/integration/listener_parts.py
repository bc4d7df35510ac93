"""A running listener with recording hooks, and a peer that speaks PDUs byte by byte."""

import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, Self

from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pynetdicom.pdu import A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import A_ASSOCIATE, ImplementationClassUIDNotification, MaximumLengthNotification
from pynetdicom.presentation import PresentationContext, build_context

from service.adapters.instance_store import FileInstanceStore
from service.adapters.listener import Listener
from service.adapters.listener_hooks import CommitmentHooks
from service.core.association import AssociationRecord
from service.records import ReceivedInstance
from service.settings import DicomSettings

IMPLICIT, EXPLICIT, BIG_ENDIAN = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
DEFLATED, JPEG = "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.50"
VERIFICATION = "1.2.840.10008.1.1"
US, US_MULTIFRAME = "1.2.840.10008.5.1.4.1.1.6.1", "1.2.840.10008.5.1.4.1.1.3.1"
MR = "1.2.840.10008.5.1.4.1.1.4"
INSTANCE = "1.2.3.4"
REJECT, ACCEPT, P_DATA, RELEASE_RP, ABORT = 3, 2, 4, 6, 7


@dataclass
class RecordingLog:
    """An AssociationLog that remembers; `failure` is raised instead."""

    opened_records: list[AssociationRecord] = field(default_factory=list)
    closed_records: list[tuple[int | None, AssociationRecord]] = field(default_factory=list)
    seconds_ago: list[float] = field(default_factory=list)
    failure: Exception | None = None

    def opened(self, record: AssociationRecord) -> int:
        if self.failure:
            raise self.failure
        self.opened_records.append(record)
        return len(self.opened_records)

    def closed(self, association_id: int | None, record: AssociationRecord, *, seconds_ago: float = 0.0) -> None:
        if self.failure:
            raise self.failure
        self.seconds_ago.append(seconds_ago)
        self.closed_records.append((association_id, record))

    def renew(self) -> None:
        if self.failure:
            raise self.failure


@dataclass
class RecordingSave:
    """A SaveInstance that remembers; `failure` is raised instead, `before` runs first."""

    received: list[ReceivedInstance] = field(default_factory=list)
    failure: Exception | None = None
    before: Callable[[], object] | None = None

    def __call__(self, received: ReceivedInstance) -> None:
        if self.before:
            self.before()
        if self.failure:
            raise self.failure
        self.received.append(received)


@dataclass
class Running:
    """A started listener and what its hooks saw."""

    listener: Listener
    store: FileInstanceStore
    save: RecordingSave
    log: RecordingLog

    @property
    def port(self) -> int:
        return self.listener.port

    def incoming_files(self) -> list[Path]:
        return list(self.store.incoming.folder.iterdir())

    def last_record(self) -> AssociationRecord:
        wait_until(lambda: bool(self.log.closed_records))
        return self.log.closed_records[-1][1]

    def nothing_stored(self) -> bool:
        return not self.save.received and not list(self.store.keys()) and not self.incoming_files()


@contextmanager
def running_listener(
    root: Path, *, gate: Callable[[], str | None] = lambda: None, commitments: CommitmentHooks | None = None, **settings: Any
) -> Iterator[Running]:
    """A listener on a free port of loopback."""
    store = FileInstanceStore(root=root / "store")
    save, log = RecordingSave(), RecordingLog()
    listener = Listener(
        settings=DicomSettings(**{"port": 0, **settings}),
        store=store,
        incoming=store.incoming.folder,
        save=save,
        associations=log,
        gate=gate,
        known_analyses=("muscle_architecture",),
        commitments=commitments,
    )
    listener.start()
    try:
        yield Running(listener, store, save, log)
    finally:
        listener.stop(deadline_seconds=1.0)


def wait_until(condition: Callable[[], bool], *, seconds: float = 60.0) -> None:
    """Poll until it holds."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.005)


class RawPeer:
    """A requestor that can send anything."""

    def __init__(self, port: int, *, wrap: Callable[[socket.socket], socket.socket] | None = None) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if wrap:
            self.socket = wrap(self.socket)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Send, whether the other side still listens or not."""
        with suppress(BrokenPipeError, ConnectionResetError):
            self.socket.sendall(data)

    def read(self) -> tuple[int, bytes]:
        """One PDU; type 0 when the connection is closed."""
        head = self._exactly(6)
        if len(head) < 6:
            return 0, b""
        kind, length = struct.unpack(">BxL", head)
        return kind, self._exactly(length)

    def associate(self, *contexts: tuple[str, Sequence[str]], **request: Any) -> dict[int, tuple[int, str]]:
        """Request; gives context ID -> (result, transfer syntax) of the acceptance."""
        self.send(encode_request(*(contexts or ((VERIFICATION, [IMPLICIT]), (US, [EXPLICIT]))), **request))
        kind, body = self.read()
        assert kind == ACCEPT, (kind, body)
        return decode_contexts(body)

    def store(self, data_set: bytes, *, context: int = 3, **command: Any) -> tuple[int, str]:
        """C-STORE in one go; gives status and ErrorComment."""
        self.send(pdata(context, 3, store_command(**command)))
        for first in range(0, max(1, len(data_set)), 16000):
            last = first + 16000 >= len(data_set)
            self.send(pdata(context, 2 if last else 0, data_set[first : first + 16000]))
        return self.status()

    def status(self) -> tuple[int, str]:
        kind, body = self.read()
        assert kind == P_DATA, (kind, body)
        command = decode_command(body[6:])
        return int.from_bytes(command[0x0900], "little"), command.get(0x0902, b"").decode().strip()

    def echo(self, context: int = 1) -> int:
        self.send(pdata(context, 3, encode_command({0x0002: VERIFICATION, 0x0100: 0x30, 0x0110: 7, 0x0800: 0x0101})))
        return self.status()[0]

    def release(self) -> None:
        self.send(struct.pack(">BBLL", 5, 0, 4, 0))
        assert self.read()[0] == RELEASE_RP

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            try:
                piece = self.socket.recv(size - len(data))
            except ConnectionResetError:
                return data
            if not piece:
                return data
            data += piece
        return data


def encode_request(
    *contexts: tuple[str, Sequence[str]], called: str = "SONOMYO", calling: str = "PEER", maximum: int = 16384
) -> bytes:
    primitive = A_ASSOCIATE()
    primitive.application_context_name = "1.2.840.10008.3.1.1.1"
    primitive.calling_ae_title, primitive.called_ae_title = calling, called
    offered: list[PresentationContext] = []
    for index, (abstract, syntaxes) in enumerate(contexts):
        context = build_context(abstract, list(syntaxes))
        context.context_id = 2 * index + 1
        offered.append(context)
    primitive.presentation_context_definition_list = offered
    length, implementation = MaximumLengthNotification(), ImplementationClassUIDNotification()
    length.maximum_length_received = maximum
    implementation.implementation_class_uid = "1.2.3"
    primitive.user_information = [length, implementation]
    return bytes(A_ASSOCIATE_RQ(primitive).encode())


def decode_contexts(body: bytes) -> dict[int, tuple[int, str]]:
    """The presentation contexts of an A-ASSOCIATE-AC (PS3.8 9.3.3.2)."""
    answered = {}
    position = 68
    while position < len(body):
        kind, length = struct.unpack_from(">BxH", body, position)
        item = body[position + 4 : position + 4 + length]
        if kind == 0x21:
            answered[item[0]] = (item[2], item[8:].decode().rstrip("\0"))
        position += 4 + length
    return answered


def pdata(context: int, control: int, data: bytes) -> bytes:
    """A P-DATA-TF of one PDV."""
    return struct.pack(">BBLLBB", 4, 0, len(data) + 6, len(data) + 2, context, control) + data


def encode_command(elements: dict[int, int | str | bytes]) -> bytes:
    body = b""
    for element, value in sorted(elements.items()):
        if isinstance(value, int):
            encoded = struct.pack("<H", value)
        else:
            encoded = value.encode("latin-1") if isinstance(value, str) else value
            encoded += b"\0" * (len(encoded) % 2)
        body += struct.pack("<HHL", 0, element, len(encoded)) + encoded
    return struct.pack("<HHLL", 0, 0, 4, len(body)) + body


def decode_command(encoded: bytes) -> dict[int, bytes]:
    elements, position = {}, 0
    while position < len(encoded):
        _, element, length = struct.unpack_from("<HHL", encoded, position)
        elements[element] = encoded[position + 8 : position + 8 + length]
        position += 8 + length
    return elements


def store_command(
    *,
    sop_class: str | None = US,
    instance: str | bytes | None = INSTANCE,
    message: int = 1,
    data_set_type: int = 0,
    field: int = 1,
) -> bytes:
    elements: dict[int, int | str | bytes] = {0x0100: field, 0x0110: message, 0x0700: 0, 0x0800: data_set_type}
    if sop_class is not None:
        elements[0x0002] = sop_class
    if instance is not None:
        elements[0x1000] = instance
    return encode_command(elements)


def ultrasound(**attributes: Any) -> Dataset:
    """A small grey ultrasound image; a keyword set to None is left out."""
    dataset = Dataset()
    values: dict[str, Any] = {
        "SOPClassUID": US,
        "SOPInstanceUID": INSTANCE,
        "StudyInstanceUID": "1.2.3",
        "SeriesInstanceUID": "1.2.3.1",
        "Modality": "US",
        "PatientName": "Muster^Erika",
        "PatientID": "0815",
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": 4,
        "Columns": 4,
        "BitsAllocated": 8,
        "BitsStored": 8,
        "HighBit": 7,
        "PixelRepresentation": 0,
        "PixelData": bytes(range(16)),
    }
    for keyword, value in {**values, **attributes}.items():
        if value is not None:
            setattr(dataset, keyword, value)
    if "PixelData" in dataset:
        dataset["PixelData"].VR = "OB"
    return dataset


def encode(dataset: Dataset, *, implicit: bool = False, little: bool = True) -> bytes:
    """The data set alone, without a head."""
    stream = BytesIO()
    buffer = DicomBytesIO(stream.getvalue())
    buffer.is_implicit_VR, buffer.is_little_endian = implicit, little
    write_dataset(buffer, dataset)
    return bytes(buffer.getvalue())


def run_thread(target: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=target, daemon=True)
    thread.start()
    return thread


def element(tag: int, vr: bytes, value: bytes, *, length: int | None = None) -> bytes:
    """One element in Explicit VR Little Endian; `length` may lie."""
    size = len(value) if length is None else length
    if vr in (b"OB", b"OW", b"SQ", b"UN", b"UT"):
        return struct.pack("<HH2sxxL", tag >> 16, tag & 0xFFFF, vr, size) + value
    return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr, size) + value


def raw_data_set(
    extra: bytes = b"", *, pixel_data: bytes | None = None, frames: bytes = b"", uid: bytes = INSTANCE.encode()
) -> bytes:
    """A hand-made data set; `extra` stands between the patient and the image pixel module."""
    return b"".join(
        (
            element(0x00080016, b"UI", US.encode() + b"\0" * (len(US) % 2)),
            element(0x00080018, b"UI", uid + b"\0" * (len(uid) % 2)),
            element(0x00100010, b"PN", b"Muster^Erika"),
            extra,
            element(0x0020000D, b"UI", b"1.2.3\0"),
            element(0x0020000E, b"UI", b"1.2.3.1\0"),
            frames,
            element(0x00280010, b"US", b"\4\0"),
            element(0x00280011, b"US", b"\4\0"),
            element(0x7FE00010, b"OB", bytes(range(16))) if pixel_data is None else pixel_data,
        )
    )


def nested_sequences(depth: int, *, tag: int = 0x00104002) -> bytes:
    """Sequences of undefined length, one in the other."""
    item = struct.pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF)
    ends = struct.pack("<HHLHHL", 0xFFFE, 0xE00D, 0, 0xFFFE, 0xE0DD, 0)
    start = element(tag, b"SQ", b"", length=0xFFFFFFFF) + item
    return start * depth + ends * depth


def resident_bytes() -> int:
    """Memory of this process, which is also the listener's."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

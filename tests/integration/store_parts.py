"""A C-STORE peer (pynetdicom, or DCMTK's storescp) that keeps what it gets and answers as told, and objects to send to it."""

import io
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import (
    UID,
    ComprehensiveSRStorage,
    ExplicitVRLittleEndian,
)
from pynetdicom import AE, evt
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]  # made at run time

from service.adapters.store_association import Peer
from service.adapters.store_scu import StoreScuDestination, echo
from service.destination_settings import DicomDestinationSettings
from service.errors import Unavailable
from service.records import RenderedObject
from tests.peers import peer
from tests.running import free_port

#: It forgets the socket of a refused connection instead of closing it.
PYNETDICOM_LEAVES_A_SOCKET = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore:unclosed")
Handler = Callable[[evt.Event], int | Dataset]


class Scp:
    """A peer that keeps what it gets, byte for byte, and answers as told."""

    def __init__(self, answer: Handler | None = None) -> None:
        self.received: list[bytes] = []
        self.associations = 0
        self._answer = answer
        self.port = 0

    def store(self, event: evt.Event) -> int | Dataset:
        self.received.append(event.encoded_dataset(include_meta=False))
        return 0x0000 if self._answer is None else self._answer(event)

    def accepted(self, _: evt.Event) -> None:
        self.associations += 1


@contextmanager
def running(
    scp: Scp,
    *contexts: tuple[str, str],
    require_calling: str | None = None,
    port: int = 0,
    maximum_pdu_size: int = 16382,
    handlers: Sequence[evt.EventHandlerType] = (),
) -> Iterator[Scp]:
    entity = AE(ae_title="PACS")
    entity.maximum_pdu_size = maximum_pdu_size
    for sop_class, syntax in contexts or ((ComprehensiveSRStorage, ExplicitVRLittleEndian),):
        entity.add_supported_context(sop_class, syntax)
    entity.add_supported_context(Verification)
    if require_calling is not None:
        entity.require_calling_aet = [require_calling]
    bound: list[Any] = [(evt.EVT_C_STORE, scp.store), (evt.EVT_ACCEPTED, scp.accepted), *handlers]
    server = entity.start_server(("127.0.0.1", port), block=False, evt_handlers=bound)
    assert server is not None
    scp.port = server.server_address[1]
    try:
        yield scp
    finally:
        server.shutdown()


def destination(port: int, timeout_seconds: float = 5) -> StoreScuDestination:
    settings = DicomDestinationSettings(
        name="pacs", host="127.0.0.1", port=port, ae_title="PACS", timeout_seconds=timeout_seconds
    )
    return StoreScuDestination(settings=settings, calling_ae_title="SONOMYO")


def rendered(sop_instance_uid: str = "2.25.5") -> RenderedObject:
    buffer = io.BytesIO()
    part10(sop_instance_uid, ComprehensiveSRStorage).save_as(buffer, enforce_file_format=True)
    return RenderedObject(
        sop_instance_uid=sop_instance_uid,
        sop_class_uid=ComprehensiveSRStorage,
        kind="sr",
        report_id="r",
        media_type="application/dicom",
        content=buffer.getvalue(),
    )


def part10(sop_instance_uid: str, sop_class_uid: str, pixels: bytes | None = None) -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = UID(sop_class_uid)
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = UID(sop_instance_uid)
    dataset.PatientName = "Canary^Name"
    if pixels is not None:
        dataset.PixelData = pixels
        dataset["PixelData"].VR = "OB"
    return dataset


@contextmanager
def dcmtk_storescp(folder: Path, *options: str) -> Iterator[int]:
    port = free_port()
    wanted = options or ("--bit-preserving",)
    program = [peer("/usr/bin/storescp"), *wanted, "--output-directory", str(folder), str(port)]
    process = subprocess.Popen(program, env={**os.environ, "TCP_NODELAY": "1"})
    try:
        deadline = time.monotonic() + 20
        while not _answers(port):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait(timeout=10)


def _answers(port: int) -> bool:
    try:
        echo(Peer(host="127.0.0.1", port=port, ae_title="STORESCP", timeout_seconds=5))
    except Unavailable:
        return False
    return True

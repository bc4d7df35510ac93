"""C-STORE SCU against a real pynetdicom SCP on loopback, and against peers that misbehave."""

import io
import os
import socket
import subprocess
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydicom import DataElement, Dataset, config, dcmread, examples
from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import (
    UID,
    ComprehensiveSRStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    UltrasoundImageStorage,
    UltrasoundMultiFrameImageStorage,
)
from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.association import Association
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from service.adapters.store_association import Peer
from service.adapters.store_scu import SendResult, StoreScuDestination, echo, send_paths
from service.core.render.sr import render_sr
from service.destination_settings import DicomDestinationSettings
from service.errors import InputRejected, Unavailable
from service.ports import RenderedObject
from tests.calf_report import calf_report, instance
from tests.peers import peer
from tests.running import free_port

STILL = str(UltrasoundImageStorage)
#: Not in pynetdicom's tables.
RETIRED = "1.2.840.10008.5.1.4.1.1.3"
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
def running(scp: Scp, *contexts: tuple[str, str], require_calling: str | None = None) -> Iterator[Scp]:
    entity = AE(ae_title="PACS")
    for sop_class, syntax in contexts or ((ComprehensiveSRStorage, ExplicitVRLittleEndian),):
        entity.add_supported_context(sop_class, syntax)
    entity.add_supported_context(Verification)
    if require_calling is not None:
        entity.require_calling_aet = [require_calling]
    handlers: list[Any] = [(evt.EVT_C_STORE, scp.store), (evt.EVT_ACCEPTED, scp.accepted)]
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
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


def test_send_delivers_the_very_bytes_each_time() -> None:
    content = rendered().content
    with running(Scp()) as scp:
        destination(scp.port).send(rendered())
        destination(scp.port).send(rendered())
    assert scp.received == [content[-len(scp.received[0]) :]] * 2
    assert dcmread(io.BytesIO(content)).SOPInstanceUID == "2.25.5"


@pytest.mark.parametrize("status", [0x0000, 0xB000, 0xB006, 0xB007, 0x0107, 0x0111, 0x0116])
def test_send_answered_with_success_or_warning_is_delivered(status: int) -> None:
    with running(Scp(lambda _: status)) as scp:
        destination(scp.port).send(rendered())
    assert len(scp.received) == 1


@pytest.mark.parametrize("status", [0xA700, 0xA702, 0x0110, 0x0124])
def test_send_answered_with_a_passing_trouble_is_to_be_retried(status: int) -> None:
    with running(Scp(lambda _: status)) as scp, pytest.raises(Unavailable, match=f"0x{status:04X}"):
        destination(scp.port).send(rendered())


@pytest.mark.parametrize("status", [0x0117, 0x0122, 0xA900, 0xC000, 0xC123])
def test_send_answered_with_a_refusal_is_refused_for_good(status: int) -> None:
    with running(Scp(lambda _: status)) as scp, pytest.raises(InputRejected, match=f"0x{status:04X}"):
        destination(scp.port).send(rendered())


def test_send_refused_with_a_comment_repeats_nothing_of_it() -> None:
    def answer(_: evt.Event) -> Dataset:
        status = Dataset()
        status.Status, status.ErrorComment = 0xC000, "bad patient Canary^Name"
        return status

    with running(Scp(answer)) as scp, pytest.raises(InputRejected) as refused:
        destination(scp.port).send(rendered())
    assert "Canary" not in str(refused.value)


def test_send_without_accepted_context_is_refused_for_good() -> None:
    with (
        running(Scp(), (UltrasoundMultiFrameImageStorage, ExplicitVRLittleEndian)) as scp,
        pytest.raises(InputRejected) as refused,
    ):
        destination(scp.port).send(rendered())
    assert refused.value.reason == "no_accepted_context"


def test_send_with_rejected_association_is_to_be_retried() -> None:
    with running(Scp(), require_calling="OTHER") as scp, pytest.raises(Unavailable, match="rejected"):
        destination(scp.port).send(rendered())


@PYNETDICOM_LEAVES_A_SOCKET
def test_send_to_nobody_is_to_be_retried() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    with pytest.raises(Unavailable):
        destination(port).send(rendered())


def test_send_to_an_unknown_host_is_to_be_retried() -> None:
    settings = DicomDestinationSettings(name="pacs", host="no-such-host.invalid", port=104, ae_title="PACS", timeout_seconds=2)
    with pytest.raises(Unavailable):
        StoreScuDestination(settings=settings, calling_ae_title="SONOMYO").send(rendered())


def test_send_aborted_by_the_peer_is_to_be_retried() -> None:
    def abort(event: evt.Event) -> int:
        event.assoc.abort(block=False)
        return 0x0000

    with running(Scp(abort)) as scp, pytest.raises(Unavailable):
        destination(scp.port).send(rendered())


def test_send_accepted_and_never_answered_is_to_be_retried() -> None:
    release = threading.Event()

    def hang(_: evt.Event) -> int:
        release.wait(20)
        return 0x0000

    with running(Scp(hang)) as scp:
        with pytest.raises(Unavailable, match="no answer"):
            destination(scp.port, timeout_seconds=0.5).send(rendered())
        release.set()


def test_send_to_a_peer_that_never_speaks_is_to_be_retried() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(Unavailable):
        destination(silent.getsockname()[1], timeout_seconds=0.5).send(rendered())


def test_send_paths_sends_folders_in_the_stored_syntax(tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    jpeg = tmp_path / "deep" / "er" / "cine.dcm"
    jpeg.write_bytes(examples.get_path("ybr_color").read_bytes())
    part10("2.25.8", STILL).save_as(tmp_path / "deep" / "still.dcm", enforce_file_format=True)
    (tmp_path / "notes.txt").write_text("no DICOM")
    seen: list[tuple[SendResult, int]] = []
    contexts = ((UltrasoundMultiFrameImageStorage, JPEGBaseline8Bit), (STILL, ExplicitVRLittleEndian))
    with running(Scp(), *contexts) as scp:
        results = send_paths([tmp_path], host="127.0.0.1", port=scp.port, ae_title="PACS", progress=lambda *one: seen.append(one))
    assert [result.ok for result in results] == [True, True]
    assert [total for _, total in seen] == [2, 2]
    assert jpeg.read_bytes().endswith(scp.received[0])
    assert scp.associations == 1


def test_send_paths_names_each_refused_file_and_goes_on(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("no DICOM")
    for number in range(3):
        part10(f"2.25.{number + 1}", STILL).save_as(tmp_path / f"{number}.dcm", enforce_file_format=True)

    def second_is_bad(event: evt.Event) -> int:
        return 0xC000 if event.dataset.SOPInstanceUID == "2.25.2" else 0x0000

    paths = [text, *sorted(tmp_path.glob("*.dcm"))]
    with running(Scp(second_is_bad), (STILL, ExplicitVRLittleEndian)) as scp:
        results = send_paths(paths, host="127.0.0.1", port=scp.port, ae_title="PACS")
    assert {result.path.name: result.ok for result in results} == {
        "notes.txt": False,
        "0.dcm": True,
        "1.dcm": False,
        "2.dcm": True,
    }
    assert all(result.message for result in results if not result.ok)


def test_send_paths_refused_with_a_comment_gives_it_beside_the_status(tmp_path: Path) -> None:
    part10("2.25.1", STILL).save_as(tmp_path / "a.dcm", enforce_file_format=True)

    def answer(_: evt.Event) -> Dataset:
        status = Dataset()
        status.Status, status.ErrorComment = 0xA900, "no\x07 such series"
        return status

    with running(Scp(answer), (STILL, ExplicitVRLittleEndian)) as scp:
        (result,) = send_paths([tmp_path], host="127.0.0.1", port=scp.port, ae_title="PACS")
    assert not result.ok
    assert "0xA900" in result.message
    assert "such series" in result.comment
    assert "\x07" not in result.comment
    assert "such series" not in result.message


@pytest.mark.filterwarnings("ignore:The value length")
def test_send_paths_of_an_invalid_uid_says_so(tmp_path: Path) -> None:
    path = tmp_path / "long.dcm"
    long = UID("1." + "2" * 80, validation_mode=config.IGNORE)
    meta = part10("2.25.1", STILL).file_meta
    meta.add(DataElement(0x00020003, "UI", long, validation_mode=config.IGNORE))
    buffer = DicomBytesIO()
    write_file_meta_info(buffer, meta, enforce_standard=False)
    path.write_bytes(bytes(128) + b"DICM" + buffer.getvalue())
    (result,) = send_paths([path], host="127.0.0.1", port=free_port(), ae_title="PACS")
    assert not result.ok
    assert result.message == "its SOP Instance UID has 82 characters, and a UID has 64 at most"


@PYNETDICOM_LEAVES_A_SOCKET
def test_send_paths_to_a_peer_that_ends_each_association_at_once_ends(tmp_path: Path) -> None:
    for number in range(3):
        part10(f"2.25.{number + 1}", STILL).save_as(tmp_path / f"{number}.dcm", enforce_file_format=True)
    with aborting_peer() as port:
        results = send_paths([tmp_path], host="127.0.0.1", port=port, ae_title="PACS", timeout_seconds=5)
    assert [result.ok for result in results] == [False, False, False]


def test_send_paths_on_associations_over_before_they_are_used_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def over(*_: object) -> Iterator[Association]:
        yield Association(AE(), "requestor")

    # A peer cannot be made to end the association just between its acceptance and the first look at it.
    monkeypatch.setattr("service.adapters.store_scu.open_association", over)
    part10("2.25.1", STILL).save_as(tmp_path / "a.dcm", enforce_file_format=True)
    (result,) = send_paths([tmp_path], host="127.0.0.1", port=1, ae_title="PACS")
    assert "ended it at once" in result.message


def test_send_paths_opens_a_lost_association_anew(tmp_path: Path) -> None:
    for number in range(3):
        part10(f"2.25.{number + 1}", STILL).save_as(tmp_path / f"{number}.dcm", enforce_file_format=True)

    def abort_at_first(event: evt.Event) -> int:
        if event.dataset.SOPInstanceUID == "2.25.1":
            event.assoc.abort(block=False)
        return 0x0000

    with running(Scp(abort_at_first), (STILL, ExplicitVRLittleEndian)) as scp:
        results = send_paths([tmp_path], host="127.0.0.1", port=scp.port, ae_title="PACS")
    assert [result.ok for result in results] == [False, True, True]
    assert scp.associations == 2


def test_send_paths_with_more_classes_than_contexts_uses_a_second_association(tmp_path: Path) -> None:
    classes = [str(context.abstract_syntax) for context in AllStoragePresentationContexts[:130]]
    for number, sop_class in enumerate(classes, start=1):
        part10(f"2.25.{number}", sop_class).save_as(tmp_path / f"{number}.dcm", enforce_file_format=True)
    with running(Scp(), *((one, ExplicitVRLittleEndian) for one in classes)) as scp:
        results = send_paths([tmp_path], host="127.0.0.1", port=scp.port, ae_title="PACS", timeout_seconds=10)
    assert all(result.ok for result in results)
    assert (len(scp.received), scp.associations) == (130, 2)


@PYNETDICOM_LEAVES_A_SOCKET
def test_send_paths_to_nobody_fails_each_file(tmp_path: Path) -> None:
    part10("2.25.1", STILL).save_as(tmp_path / "a.dcm", enforce_file_format=True)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    (result,) = send_paths([tmp_path], host="127.0.0.1", port=port, ae_title="PACS")
    assert not result.ok
    assert "reached" in result.message


def test_send_paths_of_a_large_file_to_a_slow_peer_keeps_memory_flat(tmp_path: Path) -> None:
    size = 64 << 20
    path = tmp_path / "large.dcm"
    part10("2.25.1", RETIRED, pixels=bytes(size)).save_as(path, enforce_file_format=True)
    with slow_reader() as (port, received):
        tracemalloc.start()
        try:
            (result,) = send_paths([path], host="127.0.0.1", port=port, ae_title="PACS")
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert not result.ok  # it hangs up instead of answering
    assert received[0] >= size
    assert peak < size / 4


@contextmanager
def slow_reader() -> Iterator[tuple[int, list[int]]]:
    """Accepts an association, takes PDUs slowly and keeps none of them, then hangs up."""
    received = [0]

    def serve(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            connection.sendall(_acceptance(connection.recv(1 << 16)))
            while received[0] < 64 << 20:
                received[0] += len(connection.recv(1 << 18))
                time.sleep(0.002)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, args=[server])
        thread.start()
        yield server.getsockname()[1], received
        thread.join()


@contextmanager
def aborting_peer() -> Iterator[int]:
    """Accepts each association and aborts it with the next bytes."""
    over = threading.Event()

    def serve(server: socket.socket) -> None:
        while not over.is_set():
            connection, _ = server.accept()
            with connection:
                request = connection.recv(1 << 16)
                if request:
                    connection.sendall(_acceptance(request) + bytes.fromhex("07000000000400000000"))

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        thread = threading.Thread(target=serve, args=[server])
        thread.start()
        yield port
        over.set()
        socket.create_connection(("127.0.0.1", port)).close()
        thread.join()


def _acceptance(request: bytes) -> bytes:
    received = A_ASSOCIATE_RQ()
    received.decode(request)
    answer = received.to_primitive()
    for context in answer.presentation_context_definition_list:
        context.result = 0
    answer.presentation_context_definition_results_list = answer.presentation_context_definition_list
    answer.result, answer.result_source = 0, 1
    accepted = A_ASSOCIATE_AC()
    accepted.from_primitive(answer)
    return accepted.encode()


@PYNETDICOM_LEAVES_A_SOCKET
def test_send_to_dcmtk_stores_the_report_bit_for_bit(tmp_path: Path) -> None:
    report = render_sr(calf_report(), [instance()])
    content = replace(rendered(), content=report)
    with dcmtk_storescp(tmp_path) as port:
        destination(port).send(content)
    (stored,) = tmp_path.iterdir()
    assert stored.read_bytes()[-20000:] == report[-20000:]
    assert dcmread(stored).PatientName == "Doe^Jane"


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


@PYNETDICOM_LEAVES_A_SOCKET
def test_echo_answers_for_a_peer_and_raises_for_nobody() -> None:
    with running(Scp()) as scp:
        echo(Peer(host="127.0.0.1", port=scp.port, ae_title="PACS"))
        port = scp.port
    with pytest.raises(Unavailable):
        echo(Peer(host="127.0.0.1", port=port, ae_title="PACS", timeout_seconds=1))


@PYNETDICOM_LEAVES_A_SOCKET
def test_send_to_dcmtk_that_takes_implicit_vr_alone_is_converted(tmp_path: Path) -> None:
    report = render_sr(calf_report(), [instance()])
    with dcmtk_storescp(tmp_path, "+xi") as port:
        destination(port).send(replace(rendered(), content=report))
    (path,) = tmp_path.iterdir()
    stored, sent = dcmread(path), dcmread(io.BytesIO(report))
    assert stored.file_meta.TransferSyntaxUID == ImplicitVRLittleEndian
    assert stored.to_json() == sent.to_json()


def test_send_to_a_peer_that_takes_both_goes_out_unchanged() -> None:
    both = [(ComprehensiveSRStorage, ImplicitVRLittleEndian), (ComprehensiveSRStorage, ExplicitVRLittleEndian)]
    content = rendered().content
    with running(Scp(), *both) as scp:
        destination(scp.port).send(rendered())
    assert scp.received == [content[-len(scp.received[0]) :]]

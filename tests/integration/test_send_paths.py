"""`sonomyo send`'s way out: files and folders by C-STORE, each with its result."""

import socket
import threading
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydicom import DataElement, Dataset, config, examples
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
    JPEGBaseline8Bit,
    UltrasoundImageStorage,
    UltrasoundMultiFrameImageStorage,
)
from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.association import Association
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ

from service.adapters.store_scu import SendResult, send_paths
from tests.integration.store_parts import PYNETDICOM_LEAVES_A_SOCKET, Scp, part10, running
from tests.running import free_port

STILL = str(UltrasoundImageStorage)
#: Not in pynetdicom's tables.
RETIRED = "1.2.840.10008.5.1.4.1.1.3"


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

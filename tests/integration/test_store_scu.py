"""C-STORE SCU against a real pynetdicom SCP on loopback, and against peers that misbehave."""

import io
import socket
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import (
    ComprehensiveSRStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    UltrasoundMultiFrameImageStorage,
)
from pynetdicom import evt

from service.adapters.store_association import Peer
from service.adapters.store_scu import StoreScuDestination, echo
from service.core.render.sr import render_sr
from service.destination_settings import DicomDestinationSettings
from service.errors import InputRejected, Unavailable
from tests.calf_report import calf_report, instance
from tests.integration.store_parts import PYNETDICOM_LEAVES_A_SOCKET, Scp, dcmtk_storescp, destination, rendered, running


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


@PYNETDICOM_LEAVES_A_SOCKET
def test_send_to_dcmtk_stores_the_report_bit_for_bit(tmp_path: Path) -> None:
    report = render_sr(calf_report(), [instance()])
    content = replace(rendered(), content=report)
    with dcmtk_storescp(tmp_path) as port:
        destination(port).send(content)
    (stored,) = tmp_path.iterdir()
    assert stored.read_bytes()[-20000:] == report[-20000:]
    assert dcmread(stored).PatientName == "Doe^Jane"


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

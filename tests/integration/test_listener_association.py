"""Who may associate, what is accepted, and what is remembered of it (cases D19 to D25, D35)."""

import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from service.core.association import AssociationRecord
from service.core.dicom_syntaxes import STORAGE_SOP_CLASSES, TRANSFER_SYNTAXES
from service.errors import Unavailable
from tests.certificates import make_certificates
from tests.integration.listener_parts import (
    ABORT,
    ACCEPT,
    BIG_ENDIAN,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    JPEG,
    MR,
    REJECT,
    US,
    VERIFICATION,
    RawPeer,
    encode,
    encode_request,
    pdata,
    running_listener,
    store_command,
    ultrasound,
    wait_until,
)

ECHO = (VERIFICATION, [IMPLICIT])


def rejection(port: int, request: bytes) -> tuple[int, int, int]:
    with RawPeer(port) as peer:
        peer.send(request)
        kind, body = peer.read()
        assert kind == REJECT
        return body[1], body[2], body[3]


def test_unknown_called_ae_title_is_rejected(tmp_path: Path) -> None:
    with running_listener(tmp_path) as running:
        assert rejection(running.port, encode_request(ECHO, called="OTHER")) == (1, 1, 7)
        record = running.last_record()
    assert (record.outcome, record.called_ae_title) == ("rejected", "OTHER")
    assert record.rejection is not None
    assert record.rejection.reason == 7


def test_calling_ae_title_not_on_the_list_is_rejected(tmp_path: Path) -> None:
    with running_listener(tmp_path, allowed_peers=[{"ae_title": "GOOD", "address": "127.0.0.0/8"}]) as running:
        assert rejection(running.port, encode_request(ECHO, calling="BAD")) == (1, 1, 3)
        with RawPeer(running.port) as peer:
            peer.associate(calling="GOOD")


def test_address_not_on_the_list_is_rejected(tmp_path: Path) -> None:
    with running_listener(tmp_path, allowed_peers=[{"ae_title": "PEER", "address": "192.0.2.0/24"}]) as running:
        assert rejection(running.port, encode_request(ECHO, calling="PEER")) == (1, 1, 1)
        assert "allow-list" in running.last_record().why


def test_ae_title_listed_for_another_address_is_rejected(tmp_path: Path) -> None:
    peers = [{"ae_title": "A", "address": "127.0.0.1/32"}, {"ae_title": "B", "address": "192.0.2.1/32"}]
    with running_listener(tmp_path, allowed_peers=peers) as running:
        assert rejection(running.port, encode_request(ECHO, calling="B")) == (1, 1, 3)


def test_other_application_context_is_rejected(tmp_path: Path) -> None:
    request = encode_request(ECHO).replace(b"1.2.840.10008.3.1.1.1", b"1.2.840.10008.3.1.1.9")
    with running_listener(tmp_path) as running:
        assert rejection(running.port, request) == (1, 1, 2)


def test_other_protocol_version_is_rejected(tmp_path: Path) -> None:
    request = bytearray(encode_request(ECHO))
    request[7] = 2
    with running_listener(tmp_path) as running:
        assert rejection(running.port, bytes(request)) == (1, 2, 2)
        request[7] = 3
        with RawPeer(running.port) as peer:
            peer.send(bytes(request))
            assert peer.read()[0] == 2


def test_more_associations_than_allowed_are_rejected_until_one_ends(tmp_path: Path) -> None:
    with running_listener(tmp_path, maximum_associations=3) as running:
        peers = [RawPeer(running.port) for _ in range(3)]
        for peer in peers:
            peer.associate()
        assert rejection(running.port, encode_request(ECHO)) == (2, 3, 2)
        peers[0].release()
        with RawPeer(running.port) as peer:
            peer.associate()
        for each in peers:
            each.socket.close()


def test_one_address_cannot_take_every_association(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"maximum_associations": 8, "maximum_associations_per_address": 2}
    with running_listener(tmp_path, **settings) as running, RawPeer(running.port) as first, RawPeer(running.port) as second:
        first.associate()
        second.associate()
        assert rejection(running.port, encode_request(ECHO)) == (2, 3, 2)
        assert "this address" in running.last_record().why


def test_association_that_ended_badly_gives_its_place_back(tmp_path: Path) -> None:
    with running_listener(tmp_path, maximum_associations=1) as running:
        for ending in (b"\x63" + bytes(9), b"", pdata(99, 3, b"")):
            with RawPeer(running.port) as peer:
                peer.associate()
                peer.send(ending)
                peer.socket.shutdown(socket.SHUT_WR)
                peer.read()
        wait_until(lambda: len(running.log.closed_records) == 3)
        with RawPeer(running.port) as peer:
            peer.associate()


def test_every_context_gets_its_answer_and_its_reason(tmp_path: Path) -> None:
    with running_listener(tmp_path) as running:
        with RawPeer(running.port) as peer:
            answers = peer.associate(
                (VERIFICATION, [IMPLICIT]),
                (US, [JPEG, EXPLICIT]),
                (MR, [EXPLICIT]),
                (US, [DEFLATED]),
                (US, ["1.2.3.4"]),
                (US, [BIG_ENDIAN, IMPLICIT]),
                (US, [BIG_ENDIAN]),
            )
            peer.release()
        record = running.last_record()
    assert [answers[number][0] for number in (1, 3, 5, 7, 9, 11, 13)] == [0, 0, 3, 4, 4, 0, 0]
    assert [answers[number][1] for number in (3, 11, 13)] == [JPEG, IMPLICIT, BIG_ENDIAN]
    assert [context.result for context in record.contexts] == [0, 0, 3, 4, 4, 0, 0]
    assert record.contexts[1].transfer_syntaxes == (JPEG, EXPLICIT)
    assert "private_sop_classes" in record.contexts[2].why
    assert "deflated" in record.contexts[3].why
    assert "1.2.3.4" in record.contexts[4].why


@pytest.mark.parametrize("sop_class", STORAGE_SOP_CLASSES)
def test_every_sop_class_is_taken_in_every_transfer_syntax(tmp_path: Path, sop_class: str) -> None:
    with running_listener(tmp_path) as running, RawPeer(running.port) as peer:
        answers = peer.associate(*((sop_class, [syntax]) for syntax in TRANSFER_SYNTAXES))
        assert list(answers.values()) == [(0, syntax) for syntax in TRANSFER_SYNTAXES]


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
def test_hostile_names_are_recorded_without_their_control_characters(tmp_path: Path) -> None:
    request = encode_request((US, [EXPLICIT]), ("1.2.3.4.5", [IMPLICIT]), calling="OLDDEVICE       ")
    request = request.replace(b"OLDDEVICE ", b"OLDDEVICE\0").replace(b"1.2.3.4.5", b"1.\0\n<bb>5")
    with running_listener(tmp_path) as running:
        with RawPeer(running.port) as peer:
            peer.send(request)
            assert peer.read()[0] == ACCEPT
        record = running.last_record()
    assert record.calling_ae_title == "OLDDEVICE"
    assert record.contexts[1].abstract_syntax == "1.<bb>5"
    assert not any(escape in record.model_dump_json() for escape in ("\\u00", "\\n"))


def test_ae_title_with_control_characters_is_aborted(tmp_path: Path) -> None:
    request = encode_request((US, [EXPLICIT]), calling="AB-CD").replace(b"AB-CD", b"A\n\x1b\rD")
    with running_listener(tmp_path) as running, RawPeer(running.port) as peer:
        peer.send(request)
        assert peer.read()[0] == ABORT


def test_private_sop_class_is_taken_when_a_setting_adds_it(tmp_path: Path) -> None:
    philips = "1.3.46.670589.2.5.1.1"
    with running_listener(tmp_path, private_sop_classes=[philips]) as running, RawPeer(running.port) as peer:
        assert peer.associate((philips, [EXPLICIT]))[1] == (0, EXPLICIT)


def test_association_with_every_context_refused_is_still_accepted_and_recorded(tmp_path: Path) -> None:
    with running_listener(tmp_path) as running:
        with RawPeer(running.port) as peer:
            assert peer.associate((MR, [EXPLICIT]))[1][0] == 3
            peer.release()
        assert running.last_record().contexts[0].result == 3


def test_called_ae_title_of_an_analysis_is_taken_and_passed_on(tmp_path: Path) -> None:
    with running_listener(tmp_path, analysis_ae_titles={"MUSCLE": "muscle_architecture"}) as running:
        with RawPeer(running.port) as peer:
            peer.associate(called="MUSCLE")
            assert peer.store(encode(ultrasound())) == (0, "")
        assert running.save.received[0].called_ae_title == "MUSCLE"


def test_ae_title_of_an_unknown_analysis_stops_the_start(tmp_path: Path) -> None:
    with (
        pytest.raises(ValueError, match="no_such_analysis"),
        running_listener(tmp_path, analysis_ae_titles={"X": "no_such_analysis"}),
    ):
        pass


def test_record_tells_the_whole_association(tmp_path: Path) -> None:
    with running_listener(tmp_path) as running:
        data = encode(ultrasound())
        with RawPeer(running.port) as peer:
            peer.associate(calling="SCANNER")
            peer.echo()
            peer.store(data)
            peer.store(data, instance="1.2.9")
            peer.release()
        association_id, record = running.log.closed_records[-1] if running.last_record() else (None, None)
        opened = running.log.opened_records
    assert association_id == 1
    assert len(opened) == 1
    assert opened[0].outcome == "open"
    assert record is not None
    assert (record.calling_ae_title, record.called_ae_title, record.peer_address) == ("SCANNER", "SONOMYO", "127.0.0.1")
    assert (record.echoes, record.instances_stored, record.instances_refused) == (1, 1, 1)
    assert record.bytes_received == 2 * len(data)
    assert record.outcome == "released"
    assert record.implementation_class_uid == "1.2.3"
    assert record.duration_seconds > 0
    assert record.failures[0].status == 0xA900
    assert record.failures[0].sop_instance_uid == "1.2.9"
    assert record.failures[0].error_comment
    assert running.save.received[0].association_id == 1
    assert TypeAdapter(AssociationRecord).validate_json(record.model_dump_json()) == record


def test_record_is_written_later_when_the_database_is_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.adapters.listener._HOUSEKEEPING_SECONDS", 0.05)
    with running_listener(tmp_path) as running:
        running.log.failure = Unavailable("The database is away")
        with RawPeer(running.port) as peer:
            peer.associate()
            assert peer.echo() == 0
            assert peer.store(encode(ultrasound())) == (0xA700, "The database is away")
            peer.release()
        running.log.failure = None
        assert running.last_record().instances_refused == 1


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


def tls_settings(folder: Path, *, mutual: bool) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "tls_port": 0,
        "tls_certificate_file": folder / "server.crt",
        "tls_key_file": folder / "server.key",
        "pdu_timeout_seconds": 1.0,
    }
    return {**settings, "tls_client_ca_file": folder / "authority.crt"} if mutual else settings


def client(
    folder: Path, name: str | None = None, *, newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
) -> Callable[[socket.socket], socket.socket]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(folder / "authority.crt")
    context.minimum_version = min(newest, ssl.TLSVersion.TLSv1_2)
    context.maximum_version = newest
    if name:
        context.load_cert_chain(folder / f"{name}.crt", folder / f"{name}.key")
    return context.wrap_socket


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_association_stores(tmp_path: Path, certificates: Path, newest: ssl.TLSVersion) -> None:
    data = encode(ultrasound(PixelData=bytes(1_000_000)))
    with running_listener(tmp_path, **tls_settings(certificates, mutual=True)) as running:
        with RawPeer(running.listener.tls_port, wrap=client(certificates, "client", newest=newest)) as peer:
            peer.associate()
            assert peer.store(data) == (0, "")
            peer.release()
        record = running.last_record()
        with RawPeer(running.port) as plain:
            plain.associate()
    assert record.tls
    assert record.outcome == "released"


def first_answer(port: int, wrap: Callable[[socket.socket], socket.socket]) -> int:
    """The type of the PDU that answers a request; 0 when the handshake fails or the connection is closed instead."""
    try:
        with RawPeer(port, wrap=wrap) as peer:
            peer.send(encode_request(ECHO))
            return peer.read()[0]
    except (ssl.SSLError, ConnectionError):
        return 0


@pytest.mark.parametrize("name", [None, "stranger"])
def test_tls_client_without_a_certificate_of_the_authority_is_refused(
    tmp_path: Path, certificates: Path, name: str | None
) -> None:
    with running_listener(tmp_path, **tls_settings(certificates, mutual=True)) as running:
        assert first_answer(running.listener.tls_port, client(certificates, name)) == 0
        assert first_answer(running.listener.tls_port, client(certificates, "client")) == ACCEPT
        assert running.nothing_stored()


def test_silent_tls_client_is_closed_and_blocks_nobody(tmp_path: Path, certificates: Path) -> None:
    with running_listener(tmp_path, **tls_settings(certificates, mutual=False)) as running:
        silent = [socket.create_connection(("127.0.0.1", running.listener.tls_port), timeout=5) for _ in range(50)]
        begun = time.monotonic()
        with RawPeer(running.listener.tls_port, wrap=client(certificates)) as peer:
            peer.associate()
            assert peer.echo() == 0
        assert time.monotonic() - begun < 1
        for each in silent:
            assert each.recv(1) == b""
            each.close()
        assert time.monotonic() - begun < 4


def test_plain_request_on_the_tls_port_is_closed(tmp_path: Path, certificates: Path) -> None:
    with running_listener(tmp_path, **tls_settings(certificates, mutual=False)) as running:
        with RawPeer(running.listener.tls_port) as peer:
            peer.send(encode_request(ECHO))
            while peer.read()[0]:
                pass
        assert not running.log.closed_records


def test_tls_port_without_a_certificate_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="TLS_CERTIFICATE_FILE"), running_listener(tmp_path, tls_port=0):
        pass


def test_second_listener_on_the_same_port_fails_to_start(tmp_path: Path) -> None:
    with (
        running_listener(tmp_path) as running,
        pytest.raises(OSError, match="in use"),
        running_listener(tmp_path / "second", port=running.port),
    ):
        pass


def test_store_command_of_a_storage_class_on_the_verification_context_is_refused(tmp_path: Path) -> None:
    with running_listener(tmp_path) as running, RawPeer(running.port) as peer:
        peer.associate()
        peer.send(pdata(1, 3, store_command()) + pdata(1, 2, encode(ultrasound())))
        assert peer.status()[0] == 0x0122
        peer.send(pdata(1, 3, store_command(sop_class=VERIFICATION)) + pdata(1, 2, encode(ultrasound())))
        assert peer.status()[0] == 0x0211
        assert running.nothing_stored()

"""What a C-STORE is answered, and what is then in the store (cases D26 to D55; peers' data sets, hostile and odd)."""

import errno
import os
import struct
import zlib
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread, examples
from pydicom.uid import JPEGBaseline8Bit
from pynetdicom import AE

from service.adapters.incoming import IncomingFile, IncomingFolder
from service.adapters.instance_store import read_instance
from service.errors import Conflict, InputRejected, Unavailable
from service.logs import configure_logging
from tests.integration.listener_parts import (
    BIG_ENDIAN,
    EXPLICIT,
    IMPLICIT,
    INSTANCE,
    MR,
    US,
    US_MULTIFRAME,
    VERIFICATION,
    RawPeer,
    Running,
    element,
    encode,
    encode_command,
    nested_sequences,
    pdata,
    raw_data_set,
    resident_bytes,
    running_listener,
    store_command,
    ultrasound,
)

CONTEXTS = ((VERIFICATION, [IMPLICIT]), (US, [EXPLICIT]), (US, [IMPLICIT]), (US, [BIG_ENDIAN]), (US, [JPEGBaseline8Bit]))


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    with running_listener(tmp_path) as it:
        yield it


@pytest.fixture
def peer(running: Running) -> Iterator[RawPeer]:
    with RawPeer(running.port) as it:
        it.associate(*CONTEXTS)
        yield it


def assert_still_serves(running: Running, peer: RawPeer) -> None:
    """The association and the process live on."""
    assert peer.echo() == 0
    assert peer.store(encode(ultrasound(SOPInstanceUID="1.2.77")), instance="1.2.77") == (0, "")
    assert running.save.received[-1].attributes.sop_instance_uid == "1.2.77"


def test_stored_instance_is_byte_for_byte_what_was_sent(running: Running, peer: RawPeer) -> None:
    data = encode(ultrasound())
    assert peer.store(data) == (0, "")
    received = running.save.received[0]
    stored = running.store.path(received.storage_key).read_bytes()
    assert stored.endswith(data)
    assert stored[:132] == bytes(128) + b"DICM"
    assert received.size_bytes == len(stored)
    assert (received.calling_ae_title, received.called_ae_title, received.peer_address) == ("PEER", "SONOMYO", "127.0.0.1")
    assert dcmread(running.store.path(received.storage_key)).PatientID == "0815"
    assert read_instance(running.store.path(received.storage_key)) == (received.attributes, received.digest)
    assert not running.incoming_files()


def test_file_is_in_place_before_the_row_is_saved(running: Running, peer: RawPeer) -> None:
    seen: list[int] = []
    running.save.before = lambda: seen.append(len(list(running.store.keys())))
    peer.store(encode(ultrasound()))
    assert seen == [1]


@pytest.mark.parametrize(
    ("context", "encoding"),
    [(3, {}), (5, {"implicit": True}), (7, {"little": False})],
    ids=["explicit", "implicit", "big-endian"],
)
def test_uncompressed_syntaxes_give_the_same_attributes(
    running: Running, peer: RawPeer, context: int, encoding: dict[str, bool]
) -> None:
    assert peer.store(encode(ultrasound(Rows=300, Columns=5), **encoding), context=context) == (0, "")
    attributes = running.save.received[0].attributes
    assert (attributes.rows, attributes.columns, attributes.identity.patient_id) == (300, 5, "0815")


def test_same_pixels_in_another_syntax_have_the_same_pixel_hash(running: Running, peer: RawPeer) -> None:
    peer.store(encode(ultrasound()))
    peer.store(encode(ultrasound(), implicit=True), context=5)
    peer.store(encode(ultrasound(PatientID="4711")))
    peer.store(encode(ultrasound(PixelData=bytes(16))))
    first, implicit, corrected, other = (received.digest for received in running.save.received)
    assert first.pixels == implicit.pixels == corrected.pixels != other.pixels
    assert len({first.attributes, implicit.attributes, corrected.attributes}) == 3
    assert other.attributes == first.attributes


def test_duplicate_is_stored_once(running: Running, peer: RawPeer) -> None:
    for _ in range(3):
        assert peer.store(encode(ultrasound())) == (0, "")
    assert len({received.storage_key for received in running.save.received}) == 1
    assert len(list(running.store.keys())) == 1


@pytest.mark.parametrize(
    ("command", "data", "status"),
    [
        pytest.param({"sop_class": US_MULTIFRAME}, encode(ultrasound()), 0x0122, id="D26-command-class-not-of-context"),
        pytest.param({"sop_class": None}, encode(ultrasound()), 0x0122, id="no-class-in-the-command"),
        pytest.param({}, encode(ultrasound(SOPClassUID=MR)), 0xA900, id="D27-data-set-class"),
        pytest.param({}, encode(ultrasound(SOPInstanceUID="1.2.3.5")), 0xA900, id="D28-data-set-uid"),
        pytest.param({"instance": ".."}, encode(ultrasound()), 0x0117, id="D29-dots"),
        pytest.param({"instance": "../../PWNED"}, encode(ultrasound()), 0x0117, id="D29-traversal"),
        pytest.param({"instance": "/etc/x"}, encode(ultrasound()), 0x0117, id="D29-absolute-path"),
        pytest.param({"instance": b"1.2\0.3"}, encode(ultrasound()), 0x0117, id="D29-nul"),
        pytest.param({"instance": "1.2\n3"}, encode(ultrasound()), 0x0117, id="D29-newline"),
        pytest.param({"instance": "1.2\n"}, encode(ultrasound()), 0x0117, id="D29-newline-last"),
        pytest.param({"instance": "1." + "2" * 63}, encode(ultrasound()), 0x0117, id="D29-65-characters"),
        pytest.param({"instance": ""}, encode(ultrasound()), 0x0117, id="empty-uid"),
        pytest.param({"instance": "1..2"}, encode(ultrasound()), 0x0117, id="empty-component"),
        pytest.param({"instance": "1.2.\u00b2"}, encode(ultrasound()), 0x0117, id="superscript-digit"),
        pytest.param({}, encode(ultrasound(SOPInstanceUID=None)), 0xC000, id="no-uid-in-the-data-set"),
        pytest.param({}, encode(ultrasound(SOPClassUID=None)), 0xC000, id="no-class-in-the-data-set"),
        pytest.param({}, encode(ultrasound(StudyInstanceUID=None)), 0xC000, id="no-study"),
        pytest.param({}, raw_data_set().replace(b"1.2.3\0", b".." + bytes(4)), 0xC000, id="study-named-dots"),
        pytest.param({}, raw_data_set().replace(b"1.2.3.1\0", b"/etc/pw\0"), 0xC000, id="series-named-as-a-path"),
        pytest.param({}, b"", 0xC000, id="D31-empty-data-set"),
        pytest.param({}, encode(ultrasound())[:-3], 0xC000, id="D32-last-element-truncated"),
        pytest.param({}, encode(ultrasound())[:101], 0xC000, id="truncated-in-the-header"),
        pytest.param({}, encode(ultrasound()) + b"\x10", 0xC000, id="one-byte-too-many"),
        pytest.param({}, encode(ultrasound(), implicit=True), 0xC000, id="implicit-sent-as-explicit"),
        pytest.param({}, encode(ultrasound(), little=False), 0xC000, id="big-endian-sent-as-little"),
        pytest.param({}, bytes(128) + b"DICM" + encode(ultrasound()), 0xC000, id="a-whole-file-as-data-set"),
        pytest.param({}, element(0x00020010, b"UI", b"1.2.840.10008.1.2\0") + raw_data_set(), 0xC000, id="file-meta-in-it"),
        pytest.param({}, os.urandom(3000), 0xC000, id="random-bytes"),
        pytest.param({}, bytes(3000), 0xC000, id="zeros"),
        pytest.param({}, raw_data_set(nested_sequences(65)), 0xC000, id="D34-depth-65"),
        pytest.param({}, raw_data_set(nested_sequences(5000)), 0xC000, id="depth-5000"),
        pytest.param({}, raw_data_set(nested_sequences(5)[:-8]), 0xC000, id="sequence-never-closed"),
        pytest.param({}, raw_data_set(element(0x00104000, b"LT", b"", length=0xFFFF)), 0xC000, id="text-longer-than-all"),
        pytest.param({}, raw_data_set(element(0x00104002, b"SQ", b"", length=0x7FFFFFFF)), 0xC000, id="sequence-of-2-gib"),
        pytest.param(
            {}, raw_data_set(pixel_data=element(0x7FE00010, b"OB", bytes(100), length=1 << 31)), 0xC000, id="pixels-of-2-gib"
        ),
        pytest.param(
            {}, raw_data_set(pixel_data=element(0x7FE00010, b"OB", b"", length=0xFFFFFFFF)), 0xC000, id="fragments-never-closed"
        ),
        pytest.param({}, raw_data_set(element(0x00080018, b"UI", b"1.2.3.5\0")), 0xC000, id="two-sop-instance-uids"),
        pytest.param({}, raw_data_set() + element(0x7FE00010, b"OB", bytes(16)), 0xC000, id="two-pixel-data"),
    ],
)
def test_data_set_that_cannot_be_kept_is_refused(
    running: Running, peer: RawPeer, command: dict[str, Any], data: bytes, status: int
) -> None:
    answer, comment = peer.store(data, **command)
    assert f"{answer:04X}" == f"{status:04X}"
    assert 0 < len(comment) <= 64
    assert running.nothing_stored()
    assert_still_serves(running, peer)


def test_command_without_data_set_is_refused(running: Running, peer: RawPeer) -> None:
    peer.send(pdata(3, 3, store_command(data_set_type=0x0101)))
    assert peer.status()[0] == 0xC000
    assert_still_serves(running, peer)


@pytest.mark.parametrize("field", [0x10, 0x20, 0x21, 0x100, 0x110, 0x120, 0x130, 0x140, 0x150])
def test_operation_that_is_not_offered_is_refused(running: Running, peer: RawPeer, field: int) -> None:
    command: dict[int, int | str | bytes] = {0x0002: US, 0x0100: field, 0x0110: 9, 0x0800: 0}
    peer.send(pdata(3, 3, encode_command(command)) + pdata(3, 2, b"an identifier"))
    assert peer.status()[0] == 0x0211
    assert_still_serves(running, peer)


def test_cancel_is_let_pass(running: Running, peer: RawPeer) -> None:
    peer.send(pdata(3, 3, encode_command({0x0100: 0x0FFF, 0x0120: 9, 0x0800: 0x0101})))
    assert_still_serves(running, peer)


def test_echo_on_a_storage_context_is_refused(peer: RawPeer) -> None:
    assert peer.echo(context=3) == 0x0122


def test_answer_names_what_it_answers(peer: RawPeer) -> None:
    peer.send(pdata(3, 3, store_command(message=4321)) + pdata(3, 2, encode(ultrasound())))
    _, body = peer.read()
    assert body[4:6] == bytes([3, 3])
    assert struct.pack("<HHLH", 0, 0x0120, 2, 4321) in body
    assert struct.pack("<HHLH", 0, 0x0100, 2, 0x8001) in body
    assert INSTANCE.encode() in body
    assert US.encode() in body


FRAGMENTS = struct.pack("<HHLHHL", 0xFFFE, 0xE000, 0, 0xFFFE, 0xE000, 4) + b"\xff\xd8\xff\xd9"
END = struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)
ENCAPSULATED = element(0x7FE00010, b"OB", FRAGMENTS + END, length=0xFFFFFFFF)


@pytest.mark.parametrize(
    ("context", "data"),
    [
        pytest.param(3, raw_data_set(nested_sequences(64)), id="D34-depth-64"),
        pytest.param(3, raw_data_set(pixel_data=element(0x7FE00010, b"OB", bytes(4))), id="D38-pixels-too-short"),
        pytest.param(3, raw_data_set(pixel_data=element(0x7FE00010, b"OB", bytes(4000))), id="D39-pixels-too-long"),
        pytest.param(3, raw_data_set(frames=element(0x00280008, b"IS", b"0 ")), id="D40-no-frames"),
        pytest.param(3, raw_data_set(frames=element(0x00280008, b"IS", b"-1")), id="D40-minus-one-frame"),
        pytest.param(3, raw_data_set(frames=element(0x00280008, b"IS", b"abc ")), id="D40-frames-abc"),
        pytest.param(3, raw_data_set(frames=element(0x00280008, b"IS", b"2147483647")), id="D40-two-billion-frames"),
        pytest.param(3, raw_data_set(frames=element(0x00280008, b"IS", b"9" * 400)), id="frames-of-400-digits"),
        pytest.param(9, raw_data_set(pixel_data=ENCAPSULATED), id="D42-jpeg-of-nothing"),
        pytest.param(
            9, raw_data_set(frames=element(0x00280008, b"IS", b"30"), pixel_data=ENCAPSULATED), id="D45-fragments-missing"
        ),
        pytest.param(3, raw_data_set(pixel_data=ENCAPSULATED), id="fragments-in-an-uncompressed-syntax"),
        pytest.param(3, element(0x00080005, b"CS", b"ISO_IR 9999 ") + raw_data_set(), id="D47-bad-charset"),
        pytest.param(3, element(0x00080005, b"CS", b"ISO 2022 IR 13\\\x1b$") + raw_data_set(), id="hostile-charset"),
        pytest.param(3, raw_data_set(element(0x00104000, b"LT", b"<script>alert(1)</script>  ")), id="D51-markup"),
        pytest.param(3, element(0x00080020, b"DA", b"29991231") + raw_data_set(), id="D52-study-in-the-future"),
        pytest.param(3, raw_data_set(pixel_data=b""), id="no-pixel-data"),
        pytest.param(3, raw_data_set() + element(0xFFFCFFFC, b"OB", bytes(64)), id="padding-after-the-pixels"),
        pytest.param(3, raw_data_set(uid=b"1.2.3.4\0\0\0"), id="uid-padded-thrice"),
        pytest.param(3, raw_data_set(element(0x00111001, b"UN", b"x" * 70_000)), id="private-element-of-70-kb"),
        pytest.param(3, raw_data_set(element(0x00180015, b"CS", b"LEG\0")), id="text-with-a-nul"),
    ],
)
def test_data_set_that_only_the_analysis_cannot_use_is_stored(running: Running, peer: RawPeer, context: int, data: bytes) -> None:
    assert peer.store(data, context=context) == (0, "")
    attributes = running.save.received[0].attributes
    assert attributes.study_instance_uid == "1.2.3"
    for text in (attributes.identity.patient_name, attributes.body_part_examined):
        assert "\0" not in (text or "")
    assert attributes.number_of_frames in (None, 0, -1, 30, 2**31 - 1)
    assert_still_serves(running, peer)


def test_hostile_data_sets_cost_little_memory(peer: RawPeer) -> None:
    before = resident_bytes()
    many = b"".join(element(0x00110000 + index % 0xF000 + 0x1000, b"LO", b"") for index in range(600_000))
    held = resident_bytes() - before
    assert peer.store(raw_data_set(many))[0] == 0
    deep = b"".join(nested_sequences(60, tag=0x00111000 + index) for index in range(2000))
    assert peer.store(raw_data_set(deep))[0] == 0
    assert resident_bytes() - before - held < 40 << 20


def test_deflated_bomb_is_never_negotiated(running: Running) -> None:
    with RawPeer(running.port) as peer:
        assert peer.associate((US, ["1.2.840.10008.1.2.1.99"]))[1][0] == 4


def test_deflated_data_set_is_taken_when_a_setting_allows_it(tmp_path: Path) -> None:
    compressor = zlib.compressobj(wbits=-15)
    data = compressor.compress(encode(ultrasound())) + compressor.flush()
    with running_listener(tmp_path, accept_deflated=True) as running, RawPeer(running.port) as peer:
        assert peer.associate((US, ["1.2.840.10008.1.2.1.99"]))[1][0] == 0
        assert peer.store(data, context=1) == (0, "")
        received = running.save.received[0]
        assert received.attributes.identity.patient_id == "0815"
        path = running.store.path(received.storage_key)
        assert read_instance(path, maximum_inflated_bytes=1 << 20) == (received.attributes, received.digest)
        with pytest.raises(InputRejected, match="deflated"):
            read_instance(path)
        assert peer.store(data[:-5], context=1)[0] == 0xC000


def test_deflated_bomb_is_refused_although_a_setting_allows_deflated(tmp_path: Path) -> None:
    compressor = zlib.compressobj(9, wbits=-15)
    pixels = element(0x7FE00010, b"OB", b"", length=200 << 20)
    bomb = compressor.compress(raw_data_set(pixel_data=pixels))
    bomb += b"".join(compressor.compress(bytes(1 << 20)) for _ in range(200)) + compressor.flush()
    before = resident_bytes()
    with running_listener(tmp_path, accept_deflated=True, maximum_object_bytes=64 << 20) as running:
        with RawPeer(running.port) as peer:
            peer.associate((US, ["1.2.840.10008.1.2.1.99"]))
            assert peer.store(bomb, context=1)[0] == 0xC000
        assert running.nothing_stored()
    assert resident_bytes() - before < 16 << 20


def test_object_far_larger_than_the_memory_it_takes(running: Running) -> None:
    size = 200 << 20
    head = raw_data_set(pixel_data=element(0x7FE00010, b"OB", b"", length=size))
    piece = bytes(100_000)
    before = resident_bytes()
    with RawPeer(running.port) as peer:
        peer.associate()
        peer.send(pdata(3, 3, store_command()) + pdata(3, 0, head))
        left = size
        while left:
            step = min(left, len(piece))
            left -= step
            peer.send(pdata(3, 0 if left else 2, piece[:step]))
        assert peer.status() == (0, "")
    assert resident_bytes() - before < 16 << 20
    assert running.save.received[0].size_bytes > size


@pytest.mark.parametrize(
    ("failure", "status"),
    [
        pytest.param(Unavailable("The database is away"), 0xA700, id="D54-database-away"),
        pytest.param(Conflict("Another transaction was first"), 0xA700, id="conflict"),
        pytest.param(InputRejected("It cannot be kept"), 0xC000, id="rejected"),
        pytest.param(RuntimeError("Muster^Erika"), 0x0110, id="a-fault-of-ours"),
    ],
)
def test_trouble_while_saving_is_answered_by_its_kind(running: Running, peer: RawPeer, failure: Exception, status: int) -> None:
    running.save.failure = failure
    answer, comment = peer.store(encode(ultrasound()))
    assert answer == status
    assert "Muster" not in comment
    assert not running.incoming_files()
    running.save.failure = None
    assert_still_serves(running, peer)


def test_closed_gate_refuses_with_its_sentence_and_opens_again(tmp_path: Path) -> None:
    answers = ["The disk is below its reserve"]
    with running_listener(tmp_path, gate=lambda: answers[0] if answers else None) as running, RawPeer(running.port) as peer:
        peer.associate()
        assert peer.store(encode(ultrasound())) == (0xA700, "The disk is below its reserve")
        assert running.nothing_stored()
        assert peer.echo() == 0
        answers.clear()
        for _ in range(1000):
            if peer.store(encode(ultrasound()))[0] == 0:
                break
        assert len(running.save.received) == 1


def test_gate_that_fails_refuses(tmp_path: Path) -> None:
    def gate() -> str | None:
        raise Unavailable("The database is away")

    with running_listener(tmp_path, gate=gate) as running, RawPeer(running.port) as peer:
        peer.associate()
        assert peer.store(encode(ultrasound())) == (0xA700, "The database is away")


def test_full_disk_in_the_middle_is_answered_and_cleaned_up(
    running: Running, peer: RawPeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = IncomingFile.write

    def write(self: IncomingFile, data: bytes | memoryview) -> None:
        if os.fstat(self.descriptor).st_size > 50_000:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(self, data)

    with monkeypatch.context() as patched:
        patched.setattr(IncomingFile, "write", write)
        assert peer.store(encode(ultrasound(PixelData=bytes(400_000))))[0] == 0xA700
    assert running.nothing_stored()
    assert_still_serves(running, peer)


def test_instance_that_retention_removes_meanwhile_is_not_acknowledged(running: Running, peer: RawPeer) -> None:
    running.save.before = lambda: list(map(running.store.delete, running.store.keys()))
    assert peer.store(encode(ultrasound()))[0] == 0xA700


def test_real_cine_sent_by_pynetdicom_is_stored(running: Running) -> None:
    path = examples.get_path("ybr_color")
    dataset = dcmread(path)
    ae = AE()
    ae.add_requested_context(dataset.SOPClassUID, dataset.file_meta.TransferSyntaxUID)
    association = ae.associate("127.0.0.1", running.port, ae_title="SONOMYO")
    assert association.is_established
    assert association.send_c_store(dataset).Status == 0
    association.release()
    attributes = running.save.received[0].attributes
    assert (attributes.number_of_frames, attributes.rows, attributes.region_data_types) == (30, 240, (1,))
    assert attributes.transfer_syntax_uid == JPEGBaseline8Bit
    assert dcmread(running.store.path(running.save.received[0].storage_key)).pixel_array.shape == (30, 240, 320, 3)


def test_log_of_a_refused_instance_names_no_patient(running: Running, peer: RawPeer) -> None:
    stream = StringIO()
    configure_logging(format="json", level="DEBUG", role="listener", stream=stream)
    peer.store(encode(ultrasound(SOPInstanceUID="1.2.3.5")))
    running.save.failure = RuntimeError("boom")
    peer.store(encode(ultrasound()))
    output = stream.getvalue()
    assert "instance_refused" in output
    assert "Muster" not in output
    assert "0815" not in output


def test_leftovers_of_a_killed_process_are_swept_at_start(tmp_path: Path) -> None:
    folder = tmp_path / "store" / "incoming"
    folder.mkdir(parents=True)
    (folder / "dead.part").write_bytes(b"half an object")
    with IncomingFolder(folder).create() as alive, running_listener(tmp_path) as running:
        assert [path.name for path in running.incoming_files()] == [alive.path.name]

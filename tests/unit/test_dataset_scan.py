"""The structural walk against pydicom's encoder, in pieces of any size, truncated anywhere, and mutated."""

import struct
import tracemalloc
import zlib
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset, Sequence, dcmread
from pydicom.encaps import encapsulate
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from service.core.dataset_scan import (
    MAXIMUM_KEPT_BYTES,
    PIXEL_DATA,
    DataSetScanner,
    ScannedDataSet,
    Wanted,
)
from service.core.deflated_scan import InflatingScanner, scan_data_set, scanner_for
from service.core.part10 import parse_head
from service.errors import InputRejected

EXPLICIT, IMPLICIT, BIG_ENDIAN = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"
JPEG, DEFLATED = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.1.99"
ENCODINGS = {EXPLICIT: (False, True), IMPLICIT: (True, True), BIG_ENDIAN: (False, False), JPEG: (False, True)}
PATIENT_ID, REGIONS, DATA_TYPE = 0x00100020, 0x00186011, 0x00186014
WANTED = Wanted(elements=frozenset({PATIENT_ID, 0x00280010}), sequences={REGIONS: frozenset({DATA_TYPE})})


def cine(*, undefined: bool = False) -> Dataset:
    dataset = Dataset()
    dataset.PatientID = "0815"
    dataset.SequenceOfUltrasoundRegions = Sequence([region(1), region(2)])
    dataset.Rows = 300
    dataset.OtherPatientIDs = ["A", "B"]
    dataset.DerivationImageSequence = Sequence([nest(3)])
    for sequence in ("SequenceOfUltrasoundRegions", "DerivationImageSequence"):
        dataset[sequence].is_undefined_length = undefined
        for item in dataset[sequence].value:
            item.is_undefined_length_sequence_item = undefined
    dataset.PixelData = bytes(range(200))
    dataset["PixelData"].VR = "OB"
    return dataset


def region(kind: int) -> Dataset:
    item = Dataset()
    item.RegionDataType = kind
    return item


def nest(depth: int) -> Dataset:
    item = Dataset()
    item.CodeValue = "X"
    if depth:
        item.PurposeOfReferenceCodeSequence = Sequence([nest(depth - 1)])
    return item


def encode(dataset: Dataset, syntax: str) -> bytes:
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = ENCODINGS[syntax]
    write_dataset(buffer, dataset)
    return bytes(buffer.getvalue())


def scan(data: bytes, syntax: str = EXPLICIT, *, step: int = 1 << 20, wanted: Wanted = WANTED) -> ScannedDataSet:
    scanner = DataSetScanner(transfer_syntax_uid=syntax, wanted=wanted)
    for first in range(0, len(data), step):
        scanner.feed(memoryview(data)[first : first + step])
    return scanner.finish()


def reason_of(data: bytes, syntax: str, *, step: int = 1 << 20) -> str | None:
    """Why it is refused; None when it is not. Any other error than InputRejected is a fault."""
    try:
        assert scan(data, syntax, step=step).size_bytes == len(data)
    except InputRejected as error:
        return error.reason
    return None


def element(tag: int, vr: bytes, value: bytes = b"", *, length: int | None = None) -> bytes:
    size = len(value) if length is None else length
    form = "<HH2sxxL" if vr in (b"OB", b"SQ", b"UN", b"UT") else "<HH2sH"
    return struct.pack(form, tag >> 16, tag & 0xFFFF, vr, size) + value


def sequences(depth: int, *, form: str, syntax: str = EXPLICIT) -> bytes:
    """Nested sequences by hand: `undefined` or `defined` lengths."""
    inner = b""
    for _ in range(depth):
        if form == "undefined":
            item = struct.pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF) + inner + struct.pack("<HHL", 0xFFFE, 0xE00D, 0)
            value, length = item + struct.pack("<HHL", 0xFFFE, 0xE0DD, 0), 0xFFFFFFFF
        else:
            value = struct.pack("<HHL", 0xFFFE, 0xE000, len(inner)) + inner
            length = len(value)
        if syntax == IMPLICIT:
            inner = struct.pack("<HHL", 0x0008, 0x1140, length) + value
        else:
            inner = element(0x00081140, b"SQ", value, length=length)
    return inner


@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG_ENDIAN])
def test_scan_of_a_cine_finds_values_items_and_pixels(*, syntax: str, undefined: bool) -> None:
    data = encode(cine(undefined=undefined), syntax)
    found = scan(data, syntax)
    assert found.values[PATIENT_ID] == b"0815"
    assert int.from_bytes(found.values[0x00280010], found.byte_order) == 300
    assert [int.from_bytes(item[DATA_TYPE], found.byte_order) for item in found.items[REGIONS]] == [1, 2]
    assert found.size_bytes == len(data)
    assert found.has_pixel_data
    assert found.pixel_data_span == (len(data) - 200, 200)
    assert found.digest.pixels == blake3(bytes(range(200))).hexdigest()
    header = len(data) - 200 - (8 if syntax == IMPLICIT else 12)
    assert found.digest.attributes == blake3(syntax.encode() + data[:header]).hexdigest()


@given(step=st.integers(1, 400), undefined=st.booleans(), syntax=st.sampled_from([EXPLICIT, IMPLICIT, BIG_ENDIAN]))
def test_scan_is_the_same_in_pieces_of_any_size(*, step: int, undefined: bool, syntax: str) -> None:
    data = encode(cine(undefined=undefined), syntax)
    assert scan(data, syntax, step=step) == scan(data, syntax)


@given(step=st.integers(1, 100), fragments=st.lists(st.binary(min_size=2, max_size=60), min_size=1, max_size=5))
def test_scan_of_encapsulated_pixels_hashes_the_fragments(step: int, fragments: list[bytes]) -> None:
    dataset = cine()
    dataset.PixelData = encapsulate(fragments)
    dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
    data = encode(dataset, JPEG) + element(0xFFFCFFFC, b"OB", b"padding ")
    found = scan(data, JPEG, step=step)
    assert found.pixel_data_span is not None
    start, length = found.pixel_data_span
    assert found.digest.pixels == blake3(data[start : start + length]).hexdigest()
    assert data[start + length :] == element(0xFFFCFFFC, b"OB", b"padding ")
    attributes = data[: start - 12] + data[start + length :]
    assert found.digest.attributes == blake3(JPEG.encode() + attributes).hexdigest()


def test_pixel_data_of_an_icon_is_no_pixel_data_of_the_instance() -> None:
    dataset = cine()
    del dataset.PixelData
    icon = Dataset()
    icon.PixelData = b"icon"
    icon["PixelData"].VR = "OB"
    dataset.IconImageSequence = Sequence([icon])
    found = scan(encode(dataset, EXPLICIT))
    assert not found.has_pixel_data
    assert found.digest.pixels == blake3().hexdigest()


@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG_ENDIAN])
def test_scan_of_a_data_set_cut_anywhere_is_refused_unless_whole_elements_are_left(*, syntax: str, undefined: bool) -> None:
    data = encode(cine(undefined=undefined), syntax)
    boundaries, position = set(), 0
    for element_ in cine(undefined=undefined):
        partial = Dataset()
        partial.update({element_.tag: element_})
        position += len(encode(partial, syntax))
        boundaries.add(position)
    outcomes = {cut: reason_of(data[:cut], syntax) for cut in range(len(data) + 1)}
    assert {cut for cut, reason in outcomes.items() if reason is None} == boundaries
    assert set(outcomes.values()) == {None, "truncated", "empty_data_set"}


@given(st.data())
def test_scan_of_mutated_bytes_never_fails_in_another_way(data: st.DataObject) -> None:
    syntax = data.draw(st.sampled_from([EXPLICIT, IMPLICIT, BIG_ENDIAN]))
    mutated = bytearray(encode(cine(undefined=data.draw(st.booleans())), syntax))
    for _ in range(data.draw(st.integers(1, 8))):
        mutated[data.draw(st.integers(0, len(mutated) - 1))] = data.draw(st.integers(0, 255))
    assert reason_of(bytes(mutated), syntax) == reason_of(bytes(mutated), syntax, step=7)


@given(st.binary(max_size=300), st.sampled_from([EXPLICIT, IMPLICIT, BIG_ENDIAN]))
def test_scan_of_random_bytes_never_fails_in_another_way(data: bytes, syntax: str) -> None:
    reason_of(data, syntax)


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
@pytest.mark.parametrize("form", ["undefined", "defined"])
def test_sequences_may_nest_64_deep_and_no_deeper(form: str, syntax: str) -> None:
    assert scan(sequences(64, form=form, syntax=syntax), syntax).element_count == 64
    for depth in (65, 2000):
        with pytest.raises(InputRejected, match="64") as refused:
            scan(sequences(depth, form=form, syntax=syntax), syntax)
        assert refused.value.reason == "nesting_too_deep"


def test_unknown_element_of_undefined_length_holds_implicit_items() -> None:
    inner = struct.pack("<HHL", 0x0009, 0x1001, 4) + b"\1\2\3\4"
    item = struct.pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF) + inner + struct.pack("<HHL", 0xFFFE, 0xE00D, 0)
    value = item + struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)
    data = element(0x00091000, b"UN", value, length=0xFFFFFFFF) + element(PATIENT_ID, b"LO", b"0815")
    assert scan(data).values[PATIENT_ID] == b"0815"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty_data_set"),
        (element(0x00080016, b"U!", b"1.2 "), "not_a_data_set"),
        (element(0x00020010, b"UI", b"1.2\0"), "not_a_data_set"),
        (element(0x00000100, b"US", b"\1\0"), "not_a_data_set"),
        (element(PATIENT_ID, b"LO", b"a ") + element(PATIENT_ID, b"LO", b"b "), "duplicate_element"),
        (element(PATIENT_ID, b"LO", b"a ") + element(0x00100030, b"DA") + element(PATIENT_ID, b"LO", b"b "), "duplicate_element"),
        (element(PIXEL_DATA, b"OB", b"a ") + element(0x7FE10010, b"LO") + element(PIXEL_DATA, b"OB", b"b "), "duplicate_element"),
        (element(0x00100020, b"LO", b"", length=10), "truncated"),
        (element(0x00081140, b"SQ", b"\0" * 8), "not_a_data_set"),
        (element(0x00081140, b"SQ", struct.pack("<HHL", 0xFFFE, 0xE000, 100)), "not_a_data_set"),
        (element(0x00081140, b"SQ", struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)), "not_a_data_set"),
        (element(0x00081140, b"SQ", b"", length=0xFFFFFFFF) + element(PATIENT_ID, b"LO"), "not_a_data_set"),
        (element(0x00104000, b"UT", b"", length=0xFFFFFFFF), "not_a_data_set"),
        (struct.pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF), "not_a_data_set"),
    ],
)
def test_scan_of_a_malformed_data_set_is_refused_by_its_reason(data: bytes, reason: str) -> None:
    with pytest.raises(InputRejected) as refused:
        scan(data)
    assert refused.value.reason == reason


def test_delimiter_too_many_at_the_end_is_let_pass() -> None:
    data = encode(cine(), EXPLICIT) + struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)
    assert scan(data).size_bytes == len(data)


def test_value_asked_for_is_cut_and_the_rest_is_skipped() -> None:
    data = element(PATIENT_ID, b"UT", b"x" * 50_000) + element(0x00280010, b"US", b"\1\0")
    found = scan(data, step=1000)
    assert found.values[PATIENT_ID] == b"x" * MAXIMUM_KEPT_BYTES
    assert found.values[0x00280010] == b"\1\0"


def test_memory_does_not_grow_with_the_data_set() -> None:
    piece = b"".join(element(0x00111000 + index, b"LO", b"12345678") for index in range(4000))
    scanner = DataSetScanner(transfer_syntax_uid=EXPLICIT, wanted=WANTED)
    scanner.feed(piece)
    tracemalloc.start()
    for _ in range(5):
        scanner.feed(piece)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20_000


def test_more_than_a_million_elements_are_refused() -> None:
    piece = b"".join(element(0x00111000 + index, b"LO") for index in range(10_000))
    scanner = DataSetScanner(transfer_syntax_uid=EXPLICIT, wanted=WANTED)
    for _ in range(100):
        scanner.feed(piece)
    with pytest.raises(InputRejected) as refused:
        scanner.feed(piece)
    assert refused.value.reason == "too_many_elements"


def test_deflated_is_refused_without_a_maximum() -> None:
    with pytest.raises(InputRejected) as refused:
        scanner_for(transfer_syntax_uid=DEFLATED, wanted=WANTED, maximum_inflated_bytes=None)
    assert refused.value.reason == "deflated"


def test_deflated_is_scanned_as_what_it_holds_and_stops_at_its_maximum() -> None:
    data = encode(cine(), EXPLICIT)
    compressor = zlib.compressobj(wbits=-15)
    deflated = compressor.compress(data) + compressor.flush()
    found = scan_data_set(
        BytesIO(deflated).read, scanner_for(transfer_syntax_uid=DEFLATED, wanted=WANTED, maximum_inflated_bytes=len(data))
    )
    assert found.values[PATIENT_ID] == b"0815"
    assert found.digest.pixels == scan(data).digest.pixels
    small = InflatingScanner(transfer_syntax_uid=DEFLATED, wanted=WANTED, maximum_bytes=len(data) - 1)
    with pytest.raises(InputRejected) as refused:
        small.feed(deflated)
    assert refused.value.reason == "inflates_too_far"
    cut = InflatingScanner(transfer_syntax_uid=DEFLATED, wanted=WANTED, maximum_bytes=1 << 20)
    cut.feed(deflated[:-1])
    with pytest.raises(InputRejected, match="cut short"):
        cut.finish()
    with pytest.raises(InputRejected, match="not deflated"):
        InflatingScanner(transfer_syntax_uid=DEFLATED, wanted=WANTED, maximum_bytes=1 << 20).feed(b"\xff" * 100)


def test_scan_agrees_with_pydicom_on_its_own_test_files() -> None:
    compared = 0
    for name in (Path(pydicom.__file__).parent / "data" / "test_files").glob("examples_*.dcm"):
        content = name.read_bytes()
        syntax, offset = parse_head(content)
        found = scan(content[offset:], syntax)
        dataset = dcmread(name)
        assert found.element_count >= len(dataset)
        assert found.has_pixel_data == ("PixelData" in dataset)
        assert found.values.get(PATIENT_ID, b"").decode("latin-1").strip(" \0") == str(dataset.get("PatientID", ""))
        compared += 1
    assert compared >= 5

"""Cines that mean harm, or are broken: rejected by name, in little memory."""

import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.adapters.cine_decoder import FileCineReader
from service.errors import InputRejected, NotFound
from tests.cine_files import (
    EXPLICIT,
    JPEG,
    JPEG_2000,
    JPEG_LS,
    LOSSLESS,
    SEQUENCE_END,
    encode,
    header_of,
    speckle,
    write_encapsulated,
    write_native,
)
from tests.integration.cine_reader_parts import COLUMNS, FRAMES, MEGABYTE, ROWS, cine_path, peak_rss, read, refusal, warm_reader
from tests.running import decoders

reader = pytest.fixture(scope="module")(warm_reader)
path = pytest.fixture(cine_path)


def test_native_data_of_another_length_is_rejected(reader: FileCineReader, path: Path) -> None:
    pixels = speckle(FRAMES, ROWS, COLUMNS)
    write_native(path, header_of(pixels), pixels.tobytes()[:-2])
    assert refusal(reader, path) == "pixel_data_too_short"
    write_native(path, header_of(pixels), pixels.tobytes() + b"\0\0")
    assert refusal(reader, path) == "pixel_data_too_long"
    write_native(path, header_of(pixels), b"\0" * 100, length=(1 << 31) - 2)
    assert refusal(reader, path) == "pixel_data_too_short"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"0 ", "number_of_frames_invalid"),
        (b"-1", "number_of_frames_invalid"),
        (b"abc ", "number_of_frames_invalid"),
        (b"2147483647", "number_of_frames_invalid"),
        (b"1e3 ", "pixel_data_too_short"),
        (b"6 ", "pixel_data_too_short"),
        (b"4 ", "pixel_data_too_long"),
        (None, "number_of_frames_invalid"),
    ],
)
def test_wrong_number_of_frames_is_rejected(reader: FileCineReader, path: Path, value: bytes | None, reason: str) -> None:
    pixels = speckle(FRAMES, ROWS, COLUMNS)
    write_native(path, header_of(pixels, NumberOfFrames=None if value is None else 99), pixels.tobytes())
    if value is not None:
        content = path.read_bytes()
        written = struct.pack("<HH2sH", 0x0028, 0x0008, b"IS", 2) + b"99"
        assert content.count(written) == 1
        path.write_bytes(content.replace(written, struct.pack("<HH2sH", 0x0028, 0x0008, b"IS", len(value)) + value))
    assert refusal(reader, path) == reason


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"Rows": 0}, "image_size_invalid"),
        ({"Columns": 0}, "image_size_invalid"),
        ({"Rows": None}, "image_size_invalid"),
        ({"Rows": 65535, "Columns": 65535}, "frame_too_large"),
        ({"SamplesPerPixel": 2}, "samples_per_pixel_invalid"),
        ({"BitsAllocated": 32}, "bits_allocated_invalid"),
        ({"BitsStored": 16}, "bits_stored_invalid"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "palette_invalid"),
        ({"PhotometricInterpretation": "SCRIPT"}, "photometric_interpretation_invalid"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.6.2"}, "enhanced_volume_unsupported"),
    ],
)
def test_impossible_image_module_is_rejected(reader: FileCineReader, path: Path, changes: dict[str, Any], reason: str) -> None:
    pixels = speckle(FRAMES, ROWS, COLUMNS)
    write_native(path, header_of(pixels, **changes), pixels.tobytes())
    assert refusal(reader, path) == reason


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.66", "1.2.3.4"])
def test_unknown_or_deflated_syntax_is_rejected(reader: FileCineReader, path: Path, syntax: str) -> None:
    pixels = speckle(FRAMES, ROWS, COLUMNS)
    write_native(path, header_of(pixels), pixels.tobytes())
    old, new = EXPLICIT.encode() + b"\0", syntax.encode() + b"\0" * (len(syntax) % 2)
    lengths = (struct.pack("<H", len(text)) for text in (old, new))
    content = path.read_bytes()
    path.write_bytes(content.replace(next(lengths) + old, next(lengths) + new))
    assert refusal(reader, path) == "unsupported_transfer_syntax"


def test_missing_or_broken_fragments_are_rejected(reader: FileCineReader, path: Path) -> None:
    pixels = speckle(FRAMES, ROWS, COLUMNS)
    header = header_of(pixels)
    frames = [encode(frame, JPEG) for frame in pixels]
    write_encapsulated(path, header, frames[:-1], syntax=JPEG)
    assert refusal(reader, path) == "fragments_missing"
    write_encapsulated(path, header, [], syntax=JPEG)
    assert refusal(reader, path) == "fragments_missing"
    write_encapsulated(path, header, [*frames, frames[0]], syntax=JPEG)
    assert refusal(reader, path) == "pixel_data_too_long"
    write_encapsulated(path, header, [*frames[:-1], b""], syntax=JPEG)
    assert refusal(reader, path) == "frame_corrupt"
    write_encapsulated(path, header, [*frames[:-1], frames[-1][:-60]], syntax=JPEG)
    assert refusal(reader, path) == "frame_truncated"
    write_encapsulated(path, header, frames, syntax=JPEG, end=b"")
    path.write_bytes(path.read_bytes()[:-9])
    assert refusal(reader, path) == "fragments_truncated"
    write_encapsulated(path, header, frames, syntax=JPEG, end=b"garbage-garbage-" + SEQUENCE_END)
    assert refusal(reader, path) == "fragments_invalid"
    write_native(path, header, b"".join(frames), syntax=EXPLICIT, length=0xFFFFFFFF)
    assert refusal(reader, path) == "pixel_data_invalid"
    write_native(path, header, b"", syntax=EXPLICIT)
    path.write_bytes(path.read_bytes()[:-12])
    assert refusal(reader, path) == "pixel_data_missing"


def bomb(kind: str) -> tuple[bytes, str]:
    """A frame of a kilobyte or so that asks for 4 gigapixels."""
    small = speckle(1, ROWS, COLUMNS)[0]
    data = bytearray(encode(small, kind))
    if kind == JPEG_2000:
        start = data.index(b"\xff\x4f\xff\x51") + 8
        data[start : start + 8] = struct.pack(">II", 65535, 65535)
    else:
        marker = {JPEG: b"\xff\xc0", LOSSLESS: b"\xff\xc3", JPEG_LS: b"\xff\xf7"}[kind]
        start = data.index(marker) + 5
        data[start : start + 4] = struct.pack(">HH", 65535, 65535)
    return bytes(data), kind


@pytest.mark.parametrize("kind", [JPEG, LOSSLESS, JPEG_LS, JPEG_2000])
def test_bomb_is_rejected_in_little_memory(reader: FileCineReader, path: Path, kind: str) -> None:
    data, syntax = bomb(kind)
    small = speckle(2, ROWS, COLUMNS)
    write_encapsulated(path, header_of(small), [data, data], syntax=syntax)
    assert refusal(reader, path) in ("frame_size_mismatch", "frame_too_large")
    write_encapsulated(path, header_of(small, Rows=65535, Columns=65535), [data, data], syntax=syntax)
    assert refusal(reader, path) == "frame_too_large"
    assert max(peak_rss(process) for process in decoders()) < 256 * MEGABYTE


def test_compressed_frame_far_larger_than_its_pixels_is_rejected(reader: FileCineReader, path: Path) -> None:
    small = speckle(2, ROWS, COLUMNS)
    data = encode(small[0], JPEG)
    write_encapsulated(path, header_of(small), [data, data + b"\0" * (8 * MEGABYTE)], syntax=JPEG)
    assert refusal(reader, path) == "frame_too_large"


def nested(depth: int) -> bytes:
    """A private sequence of undefined length inside itself."""
    begin = struct.pack("<HH2sHI", 0x0009, 0x1001, b"SQ", 0, 0xFFFFFFFF) + struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    end = struct.pack("<HHI", 0xFFFE, 0xE00D, 0) + SEQUENCE_END
    return begin * depth + end * depth


@pytest.mark.parametrize(("depth", "reason"), [(64, None), (3000, "header_too_deep")])
def test_deep_sequences_are_read_or_rejected(reader: FileCineReader, path: Path, depth: int, reason: str | None) -> None:
    pixels = speckle(FRAMES, ROWS, COLUMNS)
    write_native(path, header_of(pixels), pixels.tobytes())
    content = path.read_bytes()
    place = content.index(struct.pack("<HH", 0x0018, 0x1063))
    path.write_bytes(content[:place] + nested(depth) + content[place:])
    if reason is None:
        assert len(read(reader, path)) == FRAMES
    else:
        assert refusal(reader, path) == reason


def test_huge_private_element_costs_no_memory(reader: FileCineReader, path: Path) -> None:
    pixels = speckle(FRAMES, ROWS, COLUMNS)
    write_native(path, header_of(pixels), pixels.tobytes())
    content = path.read_bytes()
    place = content.index(struct.pack("<HH", 0x0018, 0x1063))
    size = 1 << 30
    with path.open("wb") as file:  # a hole: no disk is used
        file.write(content[:place] + struct.pack("<HH2sHI", 0x0009, 0x1001, b"OB", 0, size))
        file.seek(size, os.SEEK_CUR)
        file.write(content[place:])
    assert len(read(reader, path)) == FRAMES
    assert max(peak_rss(process) for process in decoders()) < 256 * MEGABYTE


@pytest.mark.parametrize("content", [b"", b"\0" * 500, b"DICM" * 100, b"\x7fELF" + b"\0" * 124 + b"DICM" + b"\xff" * 400])
def test_file_that_is_no_dicom_is_rejected(reader: FileCineReader, path: Path, content: bytes) -> None:
    path.write_bytes(content)
    assert refusal(reader, path) in ("header_invalid", "image_size_invalid")


def test_header_of_noise_is_read_or_rejected_by_name(reader: FileCineReader, path: Path) -> None:
    pixels = speckle(2, 16, 16)
    write_native(path, header_of(pixels), pixels.tobytes())
    whole = path.read_bytes()
    random = np.random.default_rng(3)
    for _ in range(150):
        broken = bytearray(whole)
        for position in random.integers(132, len(whole) - pixels.size, 4):
            broken[position] = random.integers(256)
        path.write_bytes(broken[: int(random.integers(200, len(whole) + 1))] if random.random() < 0.3 else broken)
        try:
            with reader.open(path) as cine:
                list(cine.frames())
        except InputRejected as error:
            assert error.reason not in ("decoder_crashed", "decoder_timeout")  # noqa: PT017 - other outcomes are fine


def test_stored_file_that_is_gone_is_not_found(reader: FileCineReader, path: Path) -> None:
    with pytest.raises(NotFound), reader.open(path):
        pass

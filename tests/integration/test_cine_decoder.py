"""The cine reader through its decoder process: every syntax, flat memory, and files that mean harm."""

import os
import signal
import struct
import time
import tracemalloc
from collections.abc import Iterator
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil
import pydicom
import pytest
import simplejpeg
from pydicom.data import get_testdata_file

from service.adapters.cine_decoder import FileCineReader
from service.core.cine import Box, Cine, Compression
from service.errors import InputRejected, NotFound
from tests.cine_files import (
    BIG_ENDIAN,
    EXPLICIT,
    H264,
    HTJ2K,
    IMPLICIT,
    JPEG,
    JPEG_2000,
    JPEG_LS,
    LOSSLESS,
    RLE,
    SEQUENCE_END,
    encode,
    encode_video,
    header_of,
    item,
    region,
    speckle,
    write_encapsulated,
    write_native,
)
from tests.running import decoders

MEGABYTE = 1 << 20
FRAMES, ROWS, COLUMNS = 5, 40, 56


@pytest.fixture(scope="module")
def reader() -> Iterator[FileCineReader]:
    opened = FileCineReader(timeout_seconds=20).warm()
    yield opened
    opened.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cine.dcm"


def read(reader: FileCineReader, path: Path) -> npt.NDArray[np.uint8]:
    """All frames, numbered as they should be."""
    with reader.open(path) as cine:
        frames = list(cine.frames())
        assert [frame.number for frame in frames] == list(range(1, cine.number_of_frames + 1))
        return np.stack([frame.pixels for frame in frames])


def refusal(reader: FileCineReader, path: Path) -> str:
    """The reason with which the file is rejected."""
    with pytest.raises(InputRejected) as caught, reader.open(path) as cine:
        for _ in cine.frames():
            pass
    assert str(caught.value)
    return caught.value.reason


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, BIG_ENDIAN])
@pytest.mark.parametrize("colours", [1, 3])
@pytest.mark.parametrize("rows", [ROWS, ROWS + 1])
def test_native_cine_streams_every_frame(reader: FileCineReader, path: Path, syntax: str, colours: int, rows: int) -> None:
    pixels = speckle(FRAMES, rows, COLUMNS + 1, colours=colours)
    value = pixels.tobytes() + b"\0" * (pixels.size % 2)
    if syntax == BIG_ENDIAN:
        value = np.frombuffer(value, ">u2").astype("<u2").tobytes()
    write_native(path, header_of(pixels), value, syntax=syntax)
    expected = pixels if colours == 1 else np.rint(pixels @ np.array([0.299, 0.587, 0.114]))
    np.testing.assert_allclose(read(reader, path), expected, atol=0 if colours == 1 else 1)


@pytest.mark.parametrize("syntax", [EXPLICIT, RLE, JPEG_LS])
@pytest.mark.parametrize("bits", [8, 16])
def test_cine_in_ycbcr_streams_its_luma(reader: FileCineReader, path: Path, syntax: str, bits: int) -> None:
    pixels = speckle(FRAMES, ROWS, COLUMNS, colours=3).astype(np.uint8 if bits == 8 else np.uint16)
    stored = pixels * np.array(257 if bits == 16 else 1, pixels.dtype)
    header = header_of(stored, PhotometricInterpretation="YBR_FULL")
    if syntax == EXPLICIT:
        write_native(path, header, stored.tobytes())
    else:
        write_encapsulated(path, header, [encode(frame, syntax) for frame in stored], syntax=syntax)
    np.testing.assert_array_equal(read(reader, path), pixels[..., 0])
    with reader.open(path) as cine:
        assert cine.picture(1).shape == (ROWS, COLUMNS, 3)


@pytest.mark.parametrize("syntax", [RLE, LOSSLESS, JPEG_LS, JPEG_2000, HTJ2K])
def test_compressed_cine_streams_every_frame(reader: FileCineReader, path: Path, syntax: str) -> None:
    pixels = speckle(FRAMES, ROWS, COLUMNS)
    write_encapsulated(path, header_of(pixels), [encode(frame, syntax) for frame in pixels], syntax=syntax)
    np.testing.assert_array_equal(read(reader, path), pixels)


def test_cine_is_described_by_its_header(reader: FileCineReader, path: Path) -> None:
    pixels = speckle(FRAMES, ROWS, COLUMNS)
    regions = [region(0, 0, 9, 9, RegionDataType=3), region(8, 4, 47, 35, PhysicalDeltaX=-0.02)]
    header = header_of(pixels, SequenceOfUltrasoundRegions=regions, Laterality="L")
    write_native(path, header, pixels.tobytes())
    with reader.open(path) as cine:
        assert (cine.rows, cine.columns, cine.number_of_frames, cine.laterality) == (ROWS, COLUMNS, FRAMES, "left")
        assert cine.sop_instance_uid == header.SOPInstanceUID
        assert (cine.region.index, cine.region.box) == (2, Box(8, 4, 48, 36))
        assert cine.region.calibration.mm_per_pixel_x == pytest.approx(0.2)
        assert cine.time_axis.seconds == pytest.approx((0, 0.04, 0.08, 0.12, 0.16))
        np.testing.assert_array_equal(next(iter(cine.frames())).pixels, pixels[0, 4:36, 8:48])


def test_cine_gives_frames_again_and_again_and_pictures_between(reader: FileCineReader, path: Path) -> None:
    pixels = speckle(FRAMES, ROWS, COLUMNS, colours=3)
    write_native(path, header_of(pixels), pixels.tobytes())
    with reader.open(path) as cine:
        first, second = cine.frames(), cine.frames()
        for one, two in zip(first, second, strict=True):
            np.testing.assert_array_equal(one.pixels, two.pixels)
            np.testing.assert_array_equal(cine.picture(one.number), pixels[one.number - 1])
        assert sum(1 for _ in cine.frames()) == FRAMES
        with pytest.raises(NotFound):
            cine.picture(FRAMES + 1)
    assert len(decoders()) == 1


def test_cine_gives_all_its_pictures_in_one_pass(reader: FileCineReader, path: Path) -> None:
    pixels = speckle(FRAMES, ROWS, COLUMNS, colours=3)
    write_native(path, header_of(pixels), pixels.tobytes())
    with reader.open(path) as cine:
        for _ in range(2):
            np.testing.assert_array_equal(np.stack(list(cine.pictures())), pixels)
        assert [frame.number for frame in cine.frames()] == [1, 2, 3, 4, 5]


def test_cine_says_what_its_header_says_of_identity_and_loss(reader: FileCineReader, path: Path) -> None:
    pixels = speckle(1, ROWS, COLUMNS)
    methods, ratios = ["ISO_10918_1", "ISO_15444_1"], ["8.5", "20"]
    said = {"LossyImageCompressionMethod": methods, "LossyImageCompressionRatio": ratios, "BurnedInAnnotation": "NO"}
    write_native(path, header_of(pixels, **said), pixels.tobytes())
    with reader.open(path) as cine:
        assert cine.is_anonymous
        assert cine.compressions == (Compression("ISO_10918_1", 8.5), Compression("ISO_15444_1", 20))
    half = {**said, "LossyImageCompressionMethod": methods[0], "BurnedInAnnotation": None}
    write_native(path, header_of(pixels, **half), pixels.tobytes())
    with reader.open(path) as cine:
        assert not cine.is_anonymous
        assert cine.compressions == ()


@pytest.mark.parametrize("is_native", [True, False])
def test_pixel_digest_is_that_of_the_value(reader: FileCineReader, path: Path, *, is_native: bool) -> None:
    pixels = speckle(FRAMES, ROWS, COLUMNS)
    if is_native:
        write_native(path, header_of(pixels), pixels.tobytes())
    else:
        write_encapsulated(path, header_of(pixels), [encode(frame, JPEG) for frame in pixels], syntax=JPEG, table=[0])
    expected = sha256(pydicom.dcmread(path).PixelData).hexdigest()
    with reader.open(path) as cine:
        assert cine.pixel_sha256() == expected
        list(cine.frames())
        assert cine.pixel_sha256() == expected


def test_pass_that_is_given_up_leaves_the_decoder_fit(reader: FileCineReader, path: Path) -> None:
    pixels = speckle(40, 480, 640)
    write_native(path, header_of(pixels), pixels.tobytes())
    before = [process.pid for process in decoders()]
    with reader.open(path) as cine:
        for _ in range(3):
            frames = cine.frames()
            assert [frame.number for frame in islice(frames, 2)] == [1, 2]
            del frames
            pictures = cine.pictures()
            assert len(list(islice(pictures, 2))) == 2
            del pictures
        assert sum(1 for _ in cine.frames()) == 40
    assert [process.pid for process in decoders()] == before


# Fragments and offset tables


def split(data: bytes, parts: int) -> list[bytes]:
    step = -(-len(data) // parts // 2) * 2
    return [data[start : start + step] for start in range(0, len(data), step)]


def offsets_of(frames: list[list[bytes]]) -> list[int]:
    lengths = [sum(len(item(piece)) for piece in pieces) for pieces in frames]
    return [sum(lengths[:index]) for index in range(len(lengths))]


@pytest.mark.parametrize("table", ["absent", "right", "wrong", "outside", "short"])
@pytest.mark.parametrize("parts", [1, 3])
def test_frames_are_found_whatever_the_offset_table_says(reader: FileCineReader, path: Path, table: str, parts: int) -> None:
    pixels = speckle(FRAMES, ROWS, COLUMNS)
    frames = [split(encode(frame, LOSSLESS), parts) for frame in pixels]
    right = offsets_of(frames)
    tables = {
        "absent": [],
        "right": right,
        "wrong": [offset + 2 for offset in right],
        "outside": [0, *[0xFFFFFFF0] * (FRAMES - 1)],
        "short": right[:2],
    }
    fragments = [piece for pieces in frames for piece in pieces]
    write_encapsulated(path, header_of(pixels), fragments, syntax=LOSSLESS, table=tables[table])
    np.testing.assert_array_equal(read(reader, path), pixels)


def test_extended_offset_table_is_used(reader: FileCineReader, path: Path) -> None:
    pixels = speckle(FRAMES, ROWS, COLUMNS)
    frames = [split(encode(frame, RLE), 2) for frame in pixels]
    header = header_of(pixels, ExtendedOffsetTable=struct.pack(f"<{FRAMES}Q", *offsets_of(frames)))
    write_encapsulated(path, header, [piece for pieces in frames for piece in pieces], syntax=RLE)
    np.testing.assert_array_equal(read(reader, path), pixels)


# Published files


@pytest.mark.parametrize(
    ("name", "frames", "is_calibrated"),
    [
        ("color3d_jpeg_baseline.dcm", 120, True),
        ("examples_ybr_color.dcm", 30, False),
        ("OBXXXX1A_2frame.dcm", 2, True),
        ("OBXXXX1A_expb_2frame.dcm", 2, True),
    ],
)
def test_published_ultrasound_is_read(reader: FileCineReader, name: str, frames: int, *, is_calibrated: bool) -> None:
    file = get_testdata_file(name, download=False)
    if file is None:
        pytest.skip(f"{name} comes with pydicom-data")
    with reader.open(Path(str(file))) as cine:
        assert sum(1 for _ in cine.frames()) == frames
        assert cine.region.calibration.is_known == is_calibrated
        assert cine.picture(frames).std() > 1


def shared_data() -> Path:
    root = Path(os.environ.get("SONOMYO_SHARED", Path(__file__).parents[3] / "shared"))
    if not (root / "data" / "dicom").is_dir():
        pytest.skip("the shared data are not here")
    return root / "data"


def test_acuson_cine_with_a_negative_delta_and_a_time_vector_is_read(reader: FileCineReader) -> None:
    with reader.open(shared_data() / "dicom" / "DIRW0007") as cine:
        assert cine.region.index == 2
        assert cine.region.calibration.mm_per_pixel_x == pytest.approx(0.5248, abs=1e-4)
        assert cine.time_axis.source == "FrameTimeVector"
        assert sum(1 for _ in cine.frames()) == 65


# Video


@pytest.mark.parametrize("container", ["h264", "mp4", "mpegts"])
@pytest.mark.parametrize("parts", [1, 7])
def test_h264_cine_streams_every_frame(reader: FileCineReader, path: Path, container: str, parts: int) -> None:
    pixels = speckle(12, 64, 96)
    header = header_of(np.zeros((12, 64, 96, 3), np.uint8), PhotometricInterpretation="YBR_PARTIAL_420")
    write_encapsulated(path, header, split(encode_video(pixels, container), parts), syntax=H264)
    decoded = read(reader, path)
    assert np.abs(decoded.astype(int) - pixels).mean() < 4
    with reader.open(path) as cine:
        assert np.abs(cine.picture(7)[..., 0].astype(int) - pixels[6]).mean() < 4
        np.testing.assert_array_equal(list(cine.pictures())[6], cine.picture(7))


def test_video_shorter_than_its_header_is_rejected(reader: FileCineReader, path: Path) -> None:
    header = header_of(np.zeros((13, 64, 96, 3), np.uint8), PhotometricInterpretation="YBR_PARTIAL_420")
    write_encapsulated(path, header, [encode_video(speckle(12, 64, 96), "h264")], syntax=H264)
    assert refusal(reader, path) == "pixel_data_too_short"


def test_video_of_another_size_or_none_is_rejected(reader: FileCineReader, path: Path) -> None:
    header = header_of(np.zeros((3, 48, 96, 3), np.uint8), PhotometricInterpretation="YBR_PARTIAL_420")
    write_encapsulated(path, header, [encode_video(speckle(3, 64, 96), "h264")], syntax=H264)
    assert refusal(reader, path) == "frame_size_mismatch"
    write_encapsulated(path, header, [b"#EXTM3U\nfile:///etc/passwd\n" * 40], syntax=H264)
    assert refusal(reader, path) == "frame_corrupt"


# Files that mean harm


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


# The process itself


def test_decoder_killed_between_and_within_passes_is_replaced(reader: FileCineReader, path: Path) -> None:
    pixels = speckle(40, 480, 640)
    write_native(path, header_of(pixels), pixels.tobytes())
    with reader.open(path) as cine:
        numbers = []
        for frame in cine.frames():
            numbers.append(frame.number)
            if frame.number in (3, 20):
                decoders()[0].kill()
        assert numbers == list(range(1, 41))
        for number, picture in enumerate(cine.pictures(), start=1):
            np.testing.assert_array_equal(picture[..., 0], pixels[number - 1])
            if number in (3, 20):
                decoders()[0].kill()
    for process in decoders():
        process.kill()
        process.wait()
    assert len(read(reader, path)) == 40


def test_decoder_that_hangs_is_a_timeout_and_the_next_file_is_read(path: Path) -> None:
    reader = FileCineReader(timeout_seconds=3.0).warm()
    pixels = speckle(40, 480, 640)
    write_native(path, header_of(pixels), pixels.tobytes())
    with reader.open(path) as cine:
        frames = cine.frames()
        next(frames)
        hung = decoders()[-1]
        hung.send_signal(signal.SIGSTOP)
        with pytest.raises(InputRejected) as caught:
            list(frames)
    assert caught.value.reason == "decoder_timeout"
    assert not hung.is_running()
    assert len(read(reader, path)) == 40
    reader.close()


def test_slow_consumer_is_no_timeout_and_memory_stays_flat(path: Path) -> None:
    reader = FileCineReader(timeout_seconds=2.0)
    pixels = speckle(60, 480, 640)
    write_native(path, header_of(pixels), pixels.tobytes())
    with reader.open(path) as cine:
        frames = cine.frames()
        next(frames)
        decoder = decoders()[-1]
        began = time.monotonic()
        while time.monotonic() - began < 2.5:  # longer than the timeout, which only counts waiting for the decoder
            decoder.memory_info()
        assert sum(1 for _ in frames) == 59
    reader.close()


def test_closed_reader_leaves_no_process() -> None:
    before = {process.pid for process in decoders()}
    reader = FileCineReader(spares=2).warm()
    assert len({process.pid for process in decoders()} - before) == 2
    reader.close()
    assert {process.pid for process in decoders()} == before


def test_decoder_is_replaced_after_its_share_of_files(path: Path) -> None:
    reader = FileCineReader(files_per_decoder=2)
    before = {process.pid for process in decoders()}
    pixels = speckle(2, 16, 16)
    write_native(path, header_of(pixels), pixels.tobytes())
    seen = set()
    for _ in range(4):
        read(reader, path)
        seen |= {process.pid for process in decoders()} - before
    reader.close()
    assert len(seen) == 3


@pytest.mark.parametrize("kind", [EXPLICIT, JPEG])
def test_long_cine_keeps_worker_and_decoder_memory_flat(reader: FileCineReader, path: Path, kind: str) -> None:
    frames = 400
    image = speckle(1, 480, 640, colours=3)[0]
    header = header_of(np.broadcast_to(image, (frames, *image.shape)))
    if kind == EXPLICIT:
        write_native(path, header, b"", length=frames * image.size)
        with path.open("ab") as file:
            for _ in range(frames):
                file.write(image.tobytes())
    else:
        write_encapsulated(path, header, [encode(image, JPEG)] * frames, syntax=JPEG)
    tracemalloc.start()
    count = 0
    peak = 0
    with reader.open(path) as cine:
        for frame in cine.frames():
            count += frame.number > 0
            if frame.number % 100 == 0:
                peak = max(peak, *(process.memory_info().rss for process in decoders()))
    worker_peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == frames
    assert peak < 200 * MEGABYTE
    assert worker_peak < 16 * MEGABYTE


@pytest.mark.parametrize("syntax", [JPEG, LOSSLESS, JPEG_2000])
def test_largest_frame_fits_the_decoder(reader: FileCineReader, path: Path, syntax: str) -> None:
    image = speckle(1, 2160, 3840, colours=3)
    write_encapsulated(path, header_of(image), [encode(image[0], syntax)], syntax=syntax)
    with reader.open(path) as cine:
        assert open_and_count(cine) == 1
        assert cine.picture(1).shape == (2160, 3840, 3)
    assert max(peak_rss(process) for process in decoders()) < 512 * MEGABYTE


def peak_rss(process: psutil.Process) -> int:
    status = Path(f"/proc/{process.pid}/status").read_text()
    return 1024 * int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))


def open_and_count(cine: Cine) -> int:
    return sum(1 for _ in cine.frames())


def test_decoding_a_jpeg_cine_is_fast_enough(reader: FileCineReader, path: Path) -> None:
    image = speckle(1, 480, 640)[0]
    data = simplejpeg.encode_jpeg(image[..., np.newaxis], quality=90, colorspace="GRAY")
    write_encapsulated(path, header_of(np.broadcast_to(image, (60, 480, 640))), [data] * 60, syntax=JPEG)
    rates = []
    for _ in range(3):
        with reader.open(path) as cine:
            began = time.perf_counter()
            assert open_and_count(cine) == 60
            rates.append(60 / (time.perf_counter() - began))
    assert max(rates) > 100, rates  # on an idle core it is several times this; the machine may be shared

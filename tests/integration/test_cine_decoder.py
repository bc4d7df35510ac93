"""The cine reader through its decoder process: every syntax, fragments and offset tables, published files."""

import os
import struct
from hashlib import sha256
from itertools import islice
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file

from service.adapters.cine_decoder import FileCineReader
from service.core.cine import Box, Compression
from service.errors import NotFound
from tests.cine_files import (
    BIG_ENDIAN,
    EXPLICIT,
    HTJ2K,
    IMPLICIT,
    JPEG,
    JPEG_2000,
    JPEG_LS,
    LOSSLESS,
    RLE,
    encode,
    header_of,
    item,
    region,
    speckle,
    write_encapsulated,
    write_native,
)
from tests.integration.cine_reader_parts import COLUMNS, FRAMES, ROWS, cine_path, read, split, warm_reader
from tests.running import decoders

reader = pytest.fixture(scope="module")(warm_reader)
path = pytest.fixture(cine_path)


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

"""The cine reader through its decoder process: every syntax, fragments and offset tables, published files, video."""

import os
import socket
import struct
import subprocess
import sys
from contextlib import suppress
from hashlib import sha256
from io import BytesIO
from itertools import islice
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset

from service.adapters.cine_decoder import FileCineReader
from service.adapters.video_frames import decode_video
from service.core.cine import Box, Compression, Pixels
from service.errors import InputRejected, NotFound
from tests.cine_files import (
    BIG_ENDIAN,
    EXPLICIT,
    H264,
    HEVC,
    HTJ2K,
    IMPLICIT,
    JPEG,
    JPEG_2000,
    JPEG_LS,
    LOSSLESS,
    MPEG_2,
    RLE,
    encode,
    encode_video,
    header_of,
    item,
    region,
    speckle,
    write_encapsulated,
    write_native,
)
from tests.integration.cine_reader_parts import COLUMNS, FRAMES, ROWS, cine_path, read, refusal, warm_reader
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
    write_encapsulated(path, video_header(12, 64, 96), split(encode_video(pixels, container), parts), syntax=H264)
    decoded = read(reader, path)
    assert np.abs(decoded.astype(int) - pixels).mean() < 4
    with reader.open(path) as cine:
        assert np.abs(cine.picture(7)[..., 0].astype(int) - pixels[6]).mean() < 4
        np.testing.assert_array_equal(list(cine.pictures())[6], cine.picture(7))


def video_header(frames: int, rows: int, columns: int) -> Dataset:
    return header_of(np.zeros((frames, rows, columns, 3), np.uint8), PhotometricInterpretation="YBR_PARTIAL_420")


def whole_frames(reader: FileCineReader, path: Path) -> list[Pixels]:
    """What is given before the refusal."""
    seen: list[Pixels] = []
    with reader.open(path) as cine, suppress(InputRejected):
        seen.extend(frame.pixels for frame in cine.frames())
    return seen


@pytest.mark.parametrize(
    ("codec", "container", "syntax"),
    [
        ("libx264", "h264", H264),
        ("libx264", "mp4", H264),
        ("libx265", "hevc", HEVC),
        ("mpeg2video", "mpeg2video", MPEG_2),
    ],
)
def test_video_with_zeroed_bytes_anywhere_is_refused_from_there_on_and_whole_before(
    reader: FileCineReader, path: Path, codec: str, container: str, syntax: str
) -> None:
    video = encode_video(speckle(16, 240, 320), container, codec)
    header = video_header(16, 240, 320)
    write_encapsulated(path, header, [video], syntax=syntax)
    whole = read(reader, path)
    assert len(whole) == 16
    readable = []
    for place in range(20):
        at = int(len(video) * (0.1 + 0.8 * place / 20))
        write_encapsulated(path, header, [video[:at] + bytes(3000) + video[at + 3000 :]], syntax=syntax)
        assert refusal(reader, path) in ("frame_corrupt", "pixel_data_too_short"), place
        seen = whole_frames(reader, path)
        np.testing.assert_array_equal(seen, whole[: len(seen)] if seen else [])
        readable.append(len(seen))
    assert max(readable) > 6


@pytest.mark.parametrize(
    ("codec", "container", "syntax", "lost"),
    [
        ("libx264", "h264", H264, None),
        ("libx264", "mp4", H264, None),
        ("libx264", "mp4", H264, 500),
        ("libx264", "mpegts", H264, None),
        ("libx264", "mpegts", H264, 500),
        ("libx265", "mpegts", HEVC, 500),
        ("libx265", "hevc", HEVC, None),
        ("mpeg2video", "mpeg2video", MPEG_2, None),
        ("mpeg2video", "mpeg2video", MPEG_2, 500),
    ],
)
def test_video_cut_off_or_with_bytes_lost_is_refused_from_there_on_and_whole_before(
    reader: FileCineReader, path: Path, codec: str, container: str, syntax: str, lost: int | None
) -> None:
    video = encode_video(speckle(16, 240, 320), container, codec)
    write_encapsulated(path, video_header(16, 240, 320), [video], syntax=syntax)
    whole = read(reader, path)
    for place in range(12):
        at = int(len(video) * (0.1 + 0.75 * place / 12))
        rest = b"" if lost is None else video[at + lost :]
        write_encapsulated(path, video_header(16, 240, 320), [video[:at] + rest], syntax=syntax)
        assert refusal(reader, path) in ("frame_corrupt", "pixel_data_too_short"), place
        seen = whole_frames(reader, path)
        np.testing.assert_array_equal(seen, whole[: len(seen)] if seen else [])


def test_broken_video_leaves_no_word_in_the_log(path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    reader = FileCineReader(timeout_seconds=20).warm()
    video = encode_video(speckle(16, 240, 320), "mpeg2video", "mpeg2video")
    half = len(video) // 2
    write_encapsulated(path, video_header(16, 240, 320), [video[:half] + video[half + 500 :]], syntax=MPEG_2)
    reason = refusal(reader, path)
    reader.close()
    assert reason == "frame_corrupt"
    assert capfd.readouterr() == ("", "")


def test_decoder_that_hears_nothing_of_broken_pictures_does_not_start() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        command = [sys.executable, "-m", "service.adapters.decoder_process", str(theirs.fileno()), "1", str(1 << 32)]
        environment = {**os.environ, "OPENCV_FFMPEG_LOGLEVEL": "-8"}
        ended = subprocess.run(command, env=environment, pass_fds=[theirs.fileno()], capture_output=True, check=False, timeout=60)
    assert ended.returncode == 1
    assert b"ready" not in ended.stdout
    assert b"does not reach the decoder" in ended.stderr


@pytest.mark.parametrize(
    ("codec", "container", "syntax", "options"),
    [
        ("libx264", "h264", H264, {"x264-params": "bff=1"}),
        ("libx264", "mp4", H264, {"x264-params": "interlaced=1"}),
        ("libx264", "mpegts", H264, {"x264-params": "interlaced=1"}),
        ("mpeg2video", "mpeg2video", MPEG_2, {"flags": "+ildct+ilme"}),
        ("mpeg2video", "mpegts", MPEG_2, {"flags": "+ildct+ilme"}),
    ],
)
def test_interlaced_video_is_refused_and_shows_nothing_of_the_cine_before(
    reader: FileCineReader, path: Path, codec: str, container: str, syntax: str, options: dict[str, str]
) -> None:
    pixels = speckle(8, 240, 320)
    write_encapsulated(path, video_header(8, 240, 320), [encode_video(pixels, container, codec)], syntax=syntax)
    assert len(read(reader, path)) == 8
    write_encapsulated(path, video_header(8, 240, 320), [encode_video(pixels, container, codec, **options)], syntax=syntax)
    assert refusal(reader, path) == "video_interlaced"
    assert whole_frames(reader, path) == []
    with reader.open(path) as cine:
        with pytest.raises(InputRejected, match="interlaced"):
            cine.picture(3)
        with pytest.raises(InputRejected, match="interlaced"):
            next(iter(cine.pictures()))


def test_picture_that_nothing_was_written_into_is_refused_although_nothing_was_said() -> None:
    video = encode_video(speckle(3, 64, 96), "mpeg2video", "mpeg2video", flags="+ildct+ilme")
    with pytest.raises(InputRejected) as caught:
        next(decode_video(lambda: BytesIO(video), frames=3, rows=64, columns=96, take_printed=bytes))
    assert caught.value.reason == "frame_corrupt"


def test_video_of_a_constant_rate_filled_up_with_zeros_is_read_whole(reader: FileCineReader, path: Path) -> None:
    rate = dict.fromkeys(("b", "minrate", "maxrate"), "8M")
    video = encode_video(speckle(1, 240, 320).repeat(60, axis=0), "mpeg2video", "mpeg2video", bufsize="1M", **rate)
    assert bytes(10_000) in video
    write_encapsulated(path, video_header(60, 240, 320), [video], syntax=MPEG_2)
    assert len(read(reader, path)) == 60


@pytest.mark.parametrize("padding", [bytes(1), bytes(188), bytes(1 << 20), b"\xff" * 1000])
def test_transport_stream_in_many_fragments_with_padding_behind_it_is_read_whole(
    reader: FileCineReader, path: Path, padding: bytes
) -> None:
    fragments = split(encode_video(speckle(12, 240, 320), "mpegts") + padding, 300)
    write_encapsulated(path, video_header(12, 240, 320), fragments, syntax=H264)
    assert len(read(reader, path)) == 12


@pytest.mark.parametrize(("codec", "container", "syntax"), [("libx264", "h264", H264), ("libx265", "hevc", HEVC)])
def test_video_with_a_megabyte_of_zeros_behind_it_is_read_whole(
    reader: FileCineReader, path: Path, codec: str, container: str, syntax: str
) -> None:
    video = encode_video(speckle(12, 64, 96), container, codec)
    write_encapsulated(path, video_header(12, 64, 96), [video + bytes(1 << 20)], syntax=syntax)
    assert len(read(reader, path)) == 12


def test_video_shorter_than_its_header_is_rejected(reader: FileCineReader, path: Path) -> None:
    header = video_header(13, 64, 96)
    write_encapsulated(path, header, [encode_video(speckle(12, 64, 96), "h264")], syntax=H264)
    assert refusal(reader, path) == "pixel_data_too_short"


def test_video_of_another_size_or_none_is_rejected(reader: FileCineReader, path: Path) -> None:
    header = video_header(3, 48, 96)
    write_encapsulated(path, header, [encode_video(speckle(3, 64, 96), "h264")], syntax=H264)
    assert refusal(reader, path) == "frame_size_mismatch"
    write_encapsulated(path, header, [b"#EXTM3U\nfile:///etc/passwd\n" * 40], syntax=H264)
    assert refusal(reader, path) == "frame_corrupt"


def test_decoder_starts_though_standard_error_is_closed(path: Path) -> None:
    write_encapsulated(path, video_header(2, 240, 320), [encode_video(speckle(2, 240, 320), "h264")], syntax=H264)
    script = (
        "import sys; from pathlib import Path; from service.adapters.cine_decoder import FileCineReader\n"
        "with FileCineReader(timeout_seconds=20).warm().open(Path(sys.argv[1])) as cine: print(len(list(cine.frames())))"
    )
    command = ["/bin/sh", "-c", 'exec "$0" "$@" 2>&-', sys.executable, "-c", script, str(path)]
    ended = subprocess.run(command, stdout=subprocess.PIPE, check=False, timeout=60)
    assert (ended.returncode, ended.stdout) == (0, b"2\n")


def test_video_with_a_blank_picture_of_any_grey_is_read_whole(reader: FileCineReader, path: Path) -> None:
    pixels = speckle(12, 240, 320)
    pixels[5:8] = 165
    write_encapsulated(path, video_header(12, 240, 320), [encode_video(pixels, "h264", crf="0")], syntax=H264)
    assert len(read(reader, path)) == 12


def test_video_with_a_message_that_is_cut_short_is_read_whole(reader: FileCineReader, path: Path) -> None:
    message = bytes.fromhex("0000000106 05ff11") + bytes(range(1, 17)) + b"\x80"  # SEI, user data of 272 bytes (H.264 D.1)
    video = message + encode_video(speckle(12, 240, 320), "h264")
    write_encapsulated(path, video_header(12, 240, 320), [video], syntax=H264)
    assert len(read(reader, path)) == 12

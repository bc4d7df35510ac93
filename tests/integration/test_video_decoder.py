"""Videos through the decoder process: whole ones are read, and of a broken one nothing that its decoder made up."""

import os
import socket
import subprocess
import sys
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

from service.adapters.cine_decoder import FileCineReader
from service.adapters.video_frames import decode_video
from service.core.cine import Pixels
from service.errors import InputRejected
from tests.cine_files import (
    H264,
    HEVC,
    MPEG_2,
    encode_video,
    header_of,
    speckle,
    write_encapsulated,
)
from tests.integration.cine_reader_parts import cine_path, read, refusal, split, warm_reader

reader = pytest.fixture(scope="module")(warm_reader)
path = pytest.fixture(cine_path)


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

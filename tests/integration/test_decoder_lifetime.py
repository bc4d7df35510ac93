"""The decoder process: replaced when it dies, hangs or has done its share; flat memory and speed."""

import signal
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import simplejpeg

from service.adapters.cine_decoder import FileCineReader
from service.errors import InputRejected
from tests.cine_files import (
    EXPLICIT,
    JPEG,
    JPEG_2000,
    LOSSLESS,
    encode,
    header_of,
    speckle,
    write_encapsulated,
    write_native,
)
from tests.integration.cine_reader_parts import MEGABYTE, cine_path, open_and_count, peak_rss, read, warm_reader
from tests.running import decoders

reader = pytest.fixture(scope="module")(warm_reader)
path = pytest.fixture(cine_path)


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

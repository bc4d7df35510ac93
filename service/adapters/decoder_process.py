"""The decoder: a process of its own that opens one stored file after another and gives its frames (`python -m`).

Everything that a hostile file can reach happens here: header, fragments, codecs. Its arguments are the descriptors of
the request socket and the answer pipe, and the bytes of memory it may have.
"""

import contextlib
import hashlib
import os
import select
import socket
import sys
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import imagecodecs
import numpy as np
import pydicom

from service.adapters.decoder_protocol import CINE_HEADER, MAXIMUM_REQUEST_BYTES, encode_head, write_all
from service.adapters.decoder_sandbox import enter_sandbox, limit_cpu
from service.adapters.dicom_header import read_header
from service.adapters.pixel_source import PixelSource, VideoFragments, open_pixels
from service.adapters.video_complaints import Complaints
from service.adapters.video_frames import decode_video, forbid_other_formats, keep_pictures_on_the_heap
from service.core.cine import CineHeader, Pixels
from service.core.cine_header import read_cine_header
from service.core.native_samples import native_samples
from service.core.pixel_format import read_pixel_format
from service.core.pixels import decode_luminance, decode_picture, rgb_luminance
from service.errors import InputRejected

_HASH_CHUNK_BYTES = 1 << 20
_CODECS = ("jpeg8_decode", "jpegls_decode", "jpeg2k_decode", "packbits_decode")


def main() -> None:
    """Serve until the worker hangs up."""
    requests = socket.socket(fileno=int(sys.argv[1]))
    answers = int(sys.argv[2])
    warnings.simplefilter("ignore")
    pydicom.config.logger.disabled = True
    forbid_other_formats()
    keep_pictures_on_the_heap()
    for name in _CODECS:
        getattr(imagecodecs, name)  # loads the library now, while files can still be opened
    _warm_up()
    # What codecs print about a file stays here; what kept this process from starting is seen.
    complaints = Complaints()
    is_filtered = enter_sandbox(memory_bytes=int(sys.argv[3]))
    with contextlib.suppress(OSError):
        write_all(answers, encode_head({"ready": True, "is_filtered": is_filtered}, 0))
        _Server(requests, answers, complaints).serve()


def _warm_up() -> None:
    """Run what imports or opens something on its first call."""
    for decode in (imagecodecs.jpeg8_decode, imagecodecs.jpegls_decode, imagecodecs.jpeg2k_decode):
        with contextlib.suppress(Exception):
            decode(b"\xff\xd8\xff\xd9")


class _Digest:
    """SHA-256 of the pixel data value, made beside the decoding; reading again what was just read comes from the page cache."""

    def __init__(self, descriptor: int, value_range: tuple[int, int]) -> None:
        self._descriptor = descriptor
        self._range = value_range
        self._hash = hashlib.sha256()
        self._is_cancelled = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Once; more calls do nothing."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, daemon=True)
            self._thread.start()

    def result(self) -> str:
        """Hexadecimal; waits for it."""
        self.start()
        if self._thread is not None:
            self._thread.join()
        return self._hash.hexdigest()

    def cancel(self) -> None:
        """Stop and wait, so that the descriptor may be closed."""
        self._is_cancelled = True
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        position, end = self._range
        while position < end and not self._is_cancelled:
            chunk = os.pread(self._descriptor, min(_HASH_CHUNK_BYTES, end - position), position)
            if not chunk:
                return
            self._hash.update(chunk)
            position += len(chunk)


@dataclass(frozen=True, slots=True)
class _OpenFile:
    """One stored file: its header, where its frames lie, and the digest of its pixel data."""

    descriptor: int
    header: CineHeader
    source: PixelSource
    digest: _Digest
    complaints: Complaints


class _Server:
    """Answers one request at a time."""

    def __init__(self, requests: socket.socket, answers: int, complaints: Complaints) -> None:
        self._requests = requests
        self._answers = answers
        self._complaints = complaints
        self._file: _OpenFile | None = None

    def serve(self) -> None:
        """Until the socket closes. What goes wrong with a file becomes a `rejected` answer with its reason."""
        while (request := self._receive()) is not None:
            descriptors, words = request
            try:
                self._answer(words, descriptors)
            except OSError as error:
                if isinstance(error, BrokenPipeError):
                    return
                self._say(rejected="file_unreadable", message="The stored file cannot be read")
            except InputRejected as error:
                self._say(rejected=error.reason, message=str(error))
            except MemoryError:
                self._say(rejected="decoder_out_of_memory", message="The instance needs more memory than decoding is given")
            except RecursionError:
                self._say(rejected="header_too_deep", message="The data set's sequences are nested too deep")
            except Exception as error:  # noqa: BLE001 - a stranger's file may break anything; the name of the error says what
                reason = "header_invalid" if words[0] == "open" else "decoding_failed"
                self._say(rejected=reason, message=f"The instance cannot be read ({type(error).__name__})")

    def _receive(self) -> tuple[list[int], list[str]] | None:
        data, descriptors, _, _ = socket.recv_fds(self._requests, MAXIMUM_REQUEST_BYTES, 1)
        return (descriptors, data.decode().split()) if data else None

    def _answer(self, words: list[str], descriptors: list[int]) -> None:
        if words[0] == "stop":  # the pass it meant has already ended
            return
        limit_cpu(float(words[1]))
        if words[0] == "open":
            self._close()
            self._open(descriptors[0])
        elif words[0] == "frames":
            self._frames(int(words[2]))
        elif words[0] == "pictures":
            self._pictures(int(words[2]))
        elif words[0] == "picture":
            self._picture(int(words[2]))
        elif words[0] == "samples":
            self._samples(int(words[2]))
        elif words[0] == "digest":
            self._say(pixel_sha256=self._opened().digest.result())
        else:
            self._close()
            self._say(closed=True)

    def _open(self, descriptor: int) -> None:
        try:
            dataset, syntax, offset = read_header(descriptor)
            header = read_cine_header(dataset)
            pixel_format = read_pixel_format(dataset, transfer_syntax_uid=syntax, rows=header.rows, columns=header.columns)
            source = open_pixels(
                descriptor,
                dataset,
                pixel_format,
                offset=offset,
                number_of_frames=header.number_of_frames,
                is_implicit=syntax == pydicom.uid.ImplicitVRLittleEndian,
            )
        except BaseException:
            os.close(descriptor)
            raise
        self._file = _OpenFile(descriptor, header, source, _Digest(descriptor, source.value_range), self._complaints)
        payload = CINE_HEADER.dump_json(header)
        write_all(self._answers, encode_head({"opened": True}, len(payload)), payload)

    def _frames(self, first: int) -> None:
        """Luminance of every frame from `first`."""
        opened = self._opened()
        opened.digest.start()
        if self._send_all(_luminances(opened, first)):
            self._say(end=True, pixel_sha256=opened.digest.result())

    def _pictures(self, first: int) -> None:
        """RGB of every whole frame from `first`."""
        if self._send_all(_whole_frames(self._opened(), first)):
            self._say(end=True)

    def _send_all(self, frames: Iterator[tuple[int, Pixels]]) -> bool:
        """Looks for `stop` between them; False when it came."""
        for number, pixels in frames:
            if select.select([self._requests], [], [], 0)[0]:
                self._say(stopped=True)
                return False
            whole = np.ascontiguousarray(pixels)
            write_all(self._answers, encode_head({"frame": number}, whole.size), whole.data)
        return True

    def _picture(self, number: int) -> None:
        opened = self._opened()
        pixels = np.ascontiguousarray(_picture(opened, number))
        write_all(self._answers, encode_head({"picture": number}, pixels.size), pixels.data)

    def _samples(self, number: int) -> None:
        """Of one frame, as it would be stored uncompressed."""
        source = self._opened().source
        if isinstance(source, VideoFragments):
            raise InputRejected("A video has no frames that stand alone", reason="video")
        samples, is_ycbcr = native_samples(source.read_frame(number), source.pixel_format)
        write_all(self._answers, encode_head({"samples": number, "is_ycbcr": is_ycbcr}, len(samples)), samples)

    def _opened(self) -> _OpenFile:
        if self._file is None:
            raise InputRejected("No file is open", reason="decoder_protocol")
        return self._file

    def _close(self) -> None:
        if self._file is not None:
            self._file.digest.cancel()
            os.close(self._file.descriptor)
            self._file = None

    def _say(self, **head: Any) -> None:  # noqa: ANN401 - JSON
        write_all(self._answers, encode_head(head, 0))


def _luminances(opened: _OpenFile, first: int) -> Iterator[tuple[int, Pixels]]:
    """Frames from `first`, cropped to the region."""
    box = opened.header.region.box
    if isinstance(opened.source, VideoFragments):
        for number, frame in _video(opened, opened.source):
            if number >= first:
                cropped = frame[box.y0 : box.y1, box.x0 : box.x1]
                yield number, rgb_luminance(cropped)
        return
    for number in range(first, opened.header.number_of_frames + 1):
        yield number, decode_luminance(opened.source.read_frame(number), opened.source.pixel_format, box)


def _whole_frames(opened: _OpenFile, first: int) -> Iterator[tuple[int, Pixels]]:
    """RGB, from `first`; a video is decoded once."""
    if isinstance(opened.source, VideoFragments):
        yield from ((number, frame) for number, frame in _video(opened, opened.source) if number >= first)
        return
    for number in range(first, opened.header.number_of_frames + 1):
        yield number, decode_picture(opened.source.read_frame(number), opened.source.pixel_format)


def _picture(opened: _OpenFile, wanted: int) -> Pixels:
    """One whole frame; in a video all before it are decoded too, since it does not stand alone."""
    if isinstance(opened.source, VideoFragments):
        return next(frame for number, frame in _video(opened, opened.source) if number == wanted)
    return decode_picture(opened.source.read_frame(wanted), opened.source.pixel_format)


def _video(opened: _OpenFile, source: VideoFragments) -> Iterator[tuple[int, Pixels]]:
    """All frames, numbered from 1."""
    header = opened.header
    frames = decode_video(
        source.open_stream,
        frames=header.number_of_frames,
        rows=header.rows,
        columns=header.columns,
        take_printed=opened.complaints.take,
    )
    return enumerate(frames, start=1)


if __name__ == "__main__":
    main()

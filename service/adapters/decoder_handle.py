"""The worker's end of one decoder process."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

import service
from service.adapters.decoder_protocol import CINE_HEADER, MAXIMUM_HEAD_BYTES, Hangup, Reader, Silence
from service.core.cine import CineHeader, Frame, Pixels
from service.errors import InputRejected, Unavailable

_PIPE_BYTES = 1 << 20
_START_SECONDS = 60.0
_STOP_SECONDS = 10.0
_FCNTL_SET_PIPE_SIZE = 1031
#: Three samples of 16 bits.
_MOST_BYTES_A_PIXEL = 6
#: Passed on to the decoder; nothing else is, so that no secret of the worker's environment reaches it.
_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH")


class DecoderCrashed(Exception):
    """The process died without an answer; by itself or by a stranger's hand."""


class Decoder:
    """One process, one file at a time. Not for use by several threads at once."""

    def __init__(self, *, memory_bytes: int, timeout_seconds: float) -> None:
        self._timeout_seconds = timeout_seconds
        self._is_ready = False
        #: False when the process could not lock its system calls; known once it is ready.
        self.is_filtered = False
        self.files_opened = 0
        self._requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._answers, their_answers = os.pipe()
        with contextlib.suppress(OSError):  # a smaller pipe only means less decoded ahead
            _enlarge(self._answers)
        try:
            self._process = _start(theirs.fileno(), their_answers, memory_bytes)
        except OSError as error:
            self._requests.close()
            os.close(self._answers)
            raise Unavailable("The decoder process cannot be started", reason="decoder_unavailable") from error
        finally:
            theirs.close()
            os.close(their_answers)
        self._reader = Reader(self._answers)

    @property
    def process_id(self) -> int:
        """The process's number, for measuring."""
        return self._process.pid

    def is_alive(self) -> bool:
        """False once it has died."""
        return self._process.poll() is None

    def wait_until_ready(self) -> None:
        """Until it has loaded its codecs and locked itself in. Raises Unavailable."""
        if self._is_ready:
            return
        self._reader.seconds_left = _START_SECONDS
        try:
            head, _ = self._reader.read_head()
        except (Hangup, Silence) as error:
            self.kill()
            raise Unavailable("The decoder process does not start", reason="decoder_unavailable") from error
        self._is_ready = head.get("ready") is True
        self.is_filtered = head.get("is_filtered") is True

    def open(self, path: Path) -> CineHeader:
        """Raises InputRejected, DecoderCrashed."""
        self.files_opened += 1
        with path.open("rb") as file:
            self._request("open", descriptor=file.fileno())
        _, payload_bytes = self._answer()
        payload = bytearray(_bounded(payload_bytes, MAXIMUM_HEAD_BYTES))
        self._fill(memoryview(payload))
        try:
            return CINE_HEADER.validate_json(bytes(payload))
        except ValidationError as error:
            raise DecoderCrashed from error

    def frames(self, header: CineHeader, first: int) -> Iterator[Frame | str]:
        """Frames from `first` in order, then the SHA-256 of the pixel data. Closing the iterator stops the pass."""
        self._request("frames", first)
        box = header.region.box
        with self._stopped_early():
            for number in range(first, header.number_of_frames + 1):
                yield Frame(number, self._array("frame", number, (box.height, box.width)))
            head, _ = self._answer()
        yield _hexadecimal(head)

    def pictures(self, header: CineHeader, first: int) -> Iterator[Pixels]:
        """Whole frames from `first` in order, (rows, columns, 3) RGB. Closing the iterator stops the pass."""
        self._request("pictures", first)
        with self._stopped_early():
            for number in range(first, header.number_of_frames + 1):
                yield self._array("frame", number, (header.rows, header.columns, 3))
            self._answer()

    def picture(self, header: CineHeader, number: int) -> Pixels:
        """Raises InputRejected, DecoderCrashed."""
        self._request("picture", number)
        return self._array("picture", number, (header.rows, header.columns, 3))

    def samples(self, header: CineHeader, number: int) -> tuple[bytes, bool]:
        """Of one frame as stored uncompressed, and whether colour is Y'CbCr. Raises InputRejected, DecoderCrashed."""
        self._request("samples", number)
        head, payload_bytes = self._answer()
        samples = bytearray(_bounded(payload_bytes, header.rows * header.columns * _MOST_BYTES_A_PIXEL))
        if head.get("samples") != number:
            raise DecoderCrashed
        self._fill(memoryview(samples))
        return bytes(samples), head.get("is_ycbcr") is True

    def pixel_sha256(self) -> str:
        """Raises InputRejected, DecoderCrashed."""
        self._request("digest")
        return _hexadecimal(self._answer()[0])

    def close_file(self) -> None:
        """Ready for the next file. Raises InputRejected, DecoderCrashed."""
        self._request("close")
        self._answer()

    def kill(self) -> None:
        """End it at once; more calls do nothing."""
        with contextlib.suppress(OSError):
            self._process.kill()
        self._process.wait()
        self._requests.close()
        if self._answers >= 0:
            os.close(self._answers)
            self._answers = -1

    @contextlib.contextmanager
    def _stopped_early(self) -> Iterator[None]:
        """A pass that is left before its end is stopped; one that failed has ended by itself."""
        try:
            yield
        except (InputRejected, DecoderCrashed):
            raise
        except BaseException:
            self._stop()
            raise

    def _stop(self) -> None:
        """End a pass that nobody reads any more; a process that does not listen is ended instead."""
        try:
            self._requests.send(b"stop")
            self._reader.seconds_left = _STOP_SECONDS
            while True:
                head, payload_bytes = self._reader.read_head()
                if "frame" not in head:
                    return
                self._reader.read_into(memoryview(bytearray(_bounded(payload_bytes, 1 << 30))))
        except (OSError, Hangup, Silence, DecoderCrashed):
            self.kill()

    def _request(self, word: str, number: int = 0, *, descriptor: int | None = None) -> None:
        self._reader.seconds_left = self._timeout_seconds
        message = f"{word} {self._timeout_seconds} {number}".encode()
        try:
            socket.send_fds(self._requests, [message], [] if descriptor is None else [descriptor])
        except OSError as error:
            raise DecoderCrashed from error

    def _answer(self) -> tuple[dict[str, Any], int]:
        try:
            head, payload_bytes = self._reader.read_head()
        except Silence as error:
            self.kill()
            raise self._timed_out() from error
        except Hangup as error:
            raise self._died() from error
        if "rejected" in head:
            raise InputRejected(str(head.get("message")), reason=str(head["rejected"]))
        return head, payload_bytes

    def _array(self, kind: str, number: int, shape: tuple[int, ...]) -> Pixels:
        head, payload_bytes = self._answer()
        pixels = np.empty(shape, np.uint8)
        if head.get(kind) != number or payload_bytes != pixels.size:
            raise DecoderCrashed
        self._fill(pixels.data.cast("B"))
        return pixels

    def _fill(self, view: memoryview) -> None:
        try:
            self._reader.read_into(view)
        except Silence as error:
            self.kill()
            raise self._timed_out() from error
        except Hangup as error:
            raise self._died() from error

    def _died(self) -> Exception:
        self.kill()
        return self._timed_out() if self._process.returncode == -signal.SIGXCPU else DecoderCrashed()

    def _timed_out(self) -> InputRejected:
        return InputRejected(
            f"Decoding took longer than {self._timeout_seconds:g} seconds, which the settings allow", reason="decoder_timeout"
        )


def _start(requests: int, answers: int, memory_bytes: int) -> subprocess.Popen[bytes]:
    """The same interpreter, with an environment of its own; it sets its limits itself before it reads a file."""
    root = str(Path(service.__file__).resolve().parents[1])
    environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    one_thread = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MALLOC_ARENA_MAX"), "1")
    # OPENCV_FFMPEG_LOGLEVEL must not be set, to whatever: OpenCV would then print FFmpeg's errors to standard output.
    quiet = {"OPENCV_LOG_LEVEL": "SILENT"}
    command = [sys.executable, "-P", "-m", "service.adapters.decoder_process", str(requests), str(answers), str(memory_bytes)]
    return subprocess.Popen(  # noqa: S603 - our own module
        command,
        env={**environment, **one_thread, **quiet, "PYTHONPATH": root},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        pass_fds=(requests, answers),
    )


def _enlarge(pipe: int) -> None:
    import fcntl  # noqa: PLC0415 - there is none outside Linux

    fcntl.fcntl(pipe, _FCNTL_SET_PIPE_SIZE, _PIPE_BYTES)


def _bounded(payload_bytes: int, maximum: int) -> int:
    if payload_bytes > maximum:
        raise DecoderCrashed
    return payload_bytes


def _hexadecimal(head: dict[str, Any]) -> str:
    digest = head.get("pixel_sha256")
    if not isinstance(digest, str):
        raise DecoderCrashed
    return digest

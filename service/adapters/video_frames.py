"""Frames of an MPEG-2, H.264 or HEVC stream (PS3.5 8.2.5 to 8.2.12), by the LGPL FFmpeg inside OpenCV's wheel."""

import contextlib
import ctypes
import io
import os
import re
from collections.abc import Callable, Iterator

import cv2
import numpy as np

from service.adapters.transport_stream import is_out_of_step
from service.core.cine import Pixels
from service.errors import InputRejected

#: FFmpeg would otherwise try every format it knows, playlists that name other files included.
_FORMATS = "h264,hevc,mpegvideo,m4v,mpegts,mpeg,mov"

#: No coded picture of these codecs holds 23 zero bits in a row: zero bytes stand before a start code, or were lost.
#: Streams of a constant rate are filled up with zeros by the megabyte: a run is looked at once, from its first byte.
_LOST_BYTES = re.compile(rb"(?<!\0)\0{3,}+[^\1]")
#: A picture is shown at most so many places before its place in the stream; two were measured, more than four are not expected.
_MOST_REORDERED = 4
#: What decoders print at the level of errors about pictures that are whole is no complaint.
_COMPLAINT = re.compile(
    rb"^\[(?:h264|hevc|mpeg[124]video|mpegvideo|mpeg4|swscaler) @ [^\]]*\] (?!mmco|interlaced frame in progressive|SEI type)",
    re.MULTILINE,
)
#: libswscale converts no picture whose decoder says that it is of two fields; OpenCV gives its buffer all the same.
_INTERLACED = b"Cannot convert interlaced"
#: Of this much, printed about one picture, some may be lost: what is printed comes through a pipe.
_MUCH_PRINTED = 1 << 15
#: glibc's mallopt(3): its parameters by number, and what fills memory that was just taken, so that no old picture stands there.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_PERTURB = -1, -3, -6
_LARGEST_HEAP_BLOCK = 32 << 20
_UNFILLED = 0xA5


def forbid_other_formats() -> None:
    """Tell FFmpeg, through OpenCV's variable, which containers it may find; once, when the process starts."""
    os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = f"format_whitelist;{_FORMATS}|protocol_whitelist;none"


def keep_pictures_on_the_heap() -> None:
    """Blocks as large as pictures are taken where `_unfilled_is_marked` reaches them, not fresh from the kernel; once, at start.

    That is what glibc comes to by itself after the first large block that is given back.
    """
    libc = ctypes.CDLL(None)
    libc.mallopt(_M_MMAP_THRESHOLD, _LARGEST_HEAP_BLOCK)
    libc.mallopt(_M_TRIM_THRESHOLD, 2 * _LARGEST_HEAP_BLOCK)


def decode_video(
    open_stream: Callable[[], io.BufferedIOBase], *, frames: int, rows: int, columns: int, take_printed: Callable[[], bytes]
) -> Iterator[Pixels]:
    """As many frames as wanted, RGB (rows, columns, 3) uint8 in display order, as far as the stream is whole.

    A stream may hold more, as encoders write whole groups. Pictures after a broken one are made from it, so that it is the last
    word. Raises InputRejected for it, when there are fewer, when no decoder takes the stream, when it is interlaced, and when the
    size differs.
    """
    if is_out_of_step(open_stream()):
        raise _corrupt()
    with _unfilled_is_marked(), contextlib.ExitStack() as opened:
        stream = open_stream()  # OpenCV keeps no reference to it
        capture = _open(stream)
        opened.callback(capture.release)
        packets = _Packets(open_stream(), frames)
        opened.callback(packets.close)
        size = (int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)), int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)))
        if size != (rows, columns):
            raise InputRejected(
                f"The video is {size[1]}x{size[0]} pixels, the header says {columns}x{rows}", reason="frame_size_mismatch"
            )
        take_printed()  # while it was opened; what is wrong with its frames is said again
        for number in range(frames):
            frame = _next(capture)
            _refuse_complained(take_printed())
            packets.check_next()
            if frame is None:
                raise _too_short(number, frames)
            if frame.shape != (rows, columns, 3):
                raise InputRejected("A video frame changes its size", reason="frame_size_mismatch")
            if number == 0 and _is_unfilled(frame):  # later ones would repeat the one before
                raise _corrupt()
            yield frame[..., ::-1]


@contextlib.contextmanager
def _unfilled_is_marked() -> Iterator[None]:
    """Meanwhile memory that is taken is filled with one byte: what stood there, of another file perhaps, is never seen."""
    libc = ctypes.CDLL(None)
    libc.mallopt(_M_PERTURB, _UNFILLED ^ 0xFF)
    try:
        yield
    finally:
        libc.mallopt(_M_PERTURB, 0)


def _is_unfilled(frame: Pixels) -> bool:
    """Whether nothing was written into the buffer, whatever was said of it."""
    return frame[0, 0, 0] == _UNFILLED and bool((frame == _UNFILLED).all())


def _refuse_complained(printed: bytes) -> None:
    """Raises InputRejected."""
    if _INTERLACED in printed:
        raise InputRejected(
            "The video is interlaced, each picture of two half pictures at different times; export it as progressive video",
            reason="video_interlaced",
        )
    if _COMPLAINT.search(printed) or len(printed) > _MUCH_PRINTED:
        raise _corrupt()


class _Packets:
    """The coded pictures, in the stream's order, undecoded: decoders of arithmetic codes seldom notice what they make up."""

    def __init__(self, stream: io.BufferedIOBase, wanted: int) -> None:
        self._stream = stream  # OpenCV keeps no reference to it
        self._capture = _open(stream, cv2.CAP_PROP_FORMAT, -1)
        self._wanted = wanted
        self._seen = 0
        self._is_over = False

    def check_next(self) -> None:
        """One more; the first time, all that may be shown before it too, and one, for what is cut off is the last.

        Raises InputRejected when one is broken, and when the stream ends too early.
        """
        for _ in range(1 if self._seen else _MOST_REORDERED + 2):
            self._check()

    def close(self) -> None:
        """Give up what it holds."""
        self._capture.release()

    def _check(self) -> None:
        packet = None if self._is_over else _next(self._capture)  # OpenCV dies of a packet after the last
        if packet is None:
            self._is_over = True
            if self._seen < self._wanted:
                raise _too_short(self._seen, self._wanted)
            return
        self._seen += 1
        if _LOST_BYTES.search(packet.data):
            raise _corrupt()


def _open(stream: io.BufferedIOBase, *options: int) -> cv2.VideoCapture:
    try:
        capture: cv2.VideoCapture = cv2.VideoCapture(stream, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1, *options])  # type: ignore[call-overload]  # OpenCV's stubs lack streams
    except cv2.error as error:
        raise InputRejected("The video stream cannot be read", reason="frame_corrupt") from error
    if not capture.isOpened():
        raise InputRejected("The video stream cannot be read", reason="frame_corrupt")
    return capture


def _next(capture: cv2.VideoCapture) -> Pixels | None:
    try:
        is_frame, frame = capture.read()
    except cv2.error as error:
        raise _corrupt() from error
    return np.asarray(frame, np.uint8) if is_frame else None


def _corrupt() -> InputRejected:
    return InputRejected("A video frame is corrupt", reason="frame_corrupt")


def _too_short(number: int, frames: int) -> InputRejected:
    return InputRejected(f"The video ends after {number} of {frames} frames", reason="pixel_data_too_short")

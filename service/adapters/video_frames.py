"""Frames of an MPEG-2, H.264 or HEVC stream (PS3.5 8.2.5 to 8.2.12), by the LGPL FFmpeg inside OpenCV's wheel."""

import io
import os
from collections.abc import Iterator

import cv2
import numpy as np

from service.core.cine import Pixels
from service.errors import InputRejected

#: FFmpeg would otherwise try every format it knows, playlists that name other files included.
_FORMATS = "h264,hevc,mpegvideo,m4v,mpegts,mpeg,mov"


def forbid_other_formats() -> None:
    """Tell FFmpeg, through OpenCV's variable, which containers it may find; once, when the process starts."""
    os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = f"format_whitelist;{_FORMATS}|protocol_whitelist;none"


def decode_video(stream: io.BufferedIOBase, *, rows: int, columns: int) -> Iterator[Pixels]:
    """RGB (rows, columns, 3) uint8 in display order. Raises InputRejected when no decoder takes it or the size differs."""
    capture = _open(stream)
    try:
        size = (int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)), int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)))
        if size != (rows, columns):
            raise InputRejected(
                f"The video is {size[1]}x{size[0]} pixels, the header says {columns}x{rows}", reason="frame_size_mismatch"
            )
        while (frame := _next(capture)) is not None:
            if frame.shape != (rows, columns, 3):
                raise InputRejected("A video frame changes its size", reason="frame_size_mismatch")
            yield frame[..., ::-1]
    finally:
        capture.release()


def _open(stream: io.BufferedIOBase) -> cv2.VideoCapture:
    try:
        capture: cv2.VideoCapture = cv2.VideoCapture(stream, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])  # type: ignore[call-overload]  # OpenCV's stubs lack streams
    except cv2.error as error:
        raise InputRejected("The video stream cannot be read", reason="frame_corrupt") from error
    if not capture.isOpened():
        raise InputRejected("The video stream cannot be read", reason="frame_corrupt")
    return capture


def _next(capture: cv2.VideoCapture) -> Pixels | None:
    try:
        is_frame, frame = capture.read()
    except cv2.error as error:
        raise InputRejected("A video frame is corrupt", reason="frame_corrupt") from error
    return np.asarray(frame, np.uint8) if is_frame else None

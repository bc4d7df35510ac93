"""Frames as a cart or a capture card sends them live, to luminance."""

from typing import Literal

import numpy as np
import simplejpeg

from service.core.cine import Box, Pixels
from service.core.measure.colour import has_colour_overlay
from service.errors import InputRejected

#: Pixels along a side; a capture card gives no more.
LARGEST_SIDE = 4096
SMALLEST_SIDE = 32
#: A progressive picture has about ten; each costs the decoder a pass over all of it.
_START_OF_SCAN, _MOST_SCANS = b"\xff\xda", 16
FrameFormat = Literal["jpeg", "raw"]


def decode_frame(payload: bytes | memoryview, how: FrameFormat, *, rows: int | None, columns: int | None) -> Pixels:
    """(rows, columns) uint8. Raw frames are luminance row by row; of a JPEG the header says the size.

    Raises InputRejected for what is no such frame, or too large a one.
    """
    return _raw(payload, rows or 0, columns or 0) if how == "raw" else _jpeg(payload)


def refuse_live_colour(payload: bytes | memoryview, sector: Box) -> None:
    """Raises InputRejected (`colour_overlay`) when colour lies over that part of a JPEG frame; a quarter of its pixels tell."""
    data = bytes(payload)
    rows, columns, *_ = simplejpeg.decode_jpeg_header(data)
    picture = simplejpeg.decode_jpeg(data, colorspace="RGB", fastdct=True, min_height=rows // 4, min_width=columns // 4)
    down, across = picture.shape[0] / rows, picture.shape[1] / columns
    x0, x1 = (round(side * across) for side in (sector.x0, sector.x1))
    y0, y1 = (round(side * down) for side in (sector.y0, sector.y1))
    if x0 < x1 and y0 < y1 and has_colour_overlay(picture, Box(x0, y0, x1, y1)):
        said = "Colour lies over the picture (Doppler, elastography): switch it off."
        raise InputRejected(said, reason="colour_overlay")


def _raw(payload: bytes | memoryview, rows: int, columns: int) -> Pixels:
    if len(payload) != rows * columns:
        said = f"A raw frame of {rows} x {columns} has {rows * columns} bytes; this one has {len(payload)}."
        raise InputRejected(said, reason="frame_size")
    return np.frombuffer(payload, np.uint8).reshape(rows, columns)


def _jpeg(payload: bytes | memoryview) -> Pixels:
    data = bytes(payload)
    if data.count(_START_OF_SCAN) > _MOST_SCANS:
        raise InputRejected(f"A JPEG frame has at most {_MOST_SCANS} scans.", reason="frame_corrupt")
    try:
        rows, columns, *_ = simplejpeg.decode_jpeg_header(data)
        if not SMALLEST_SIDE <= min(rows, columns) <= max(rows, columns) <= LARGEST_SIDE:
            said = f"A frame has {SMALLEST_SIDE} to {LARGEST_SIDE} pixels a side; this one is {columns} x {rows}."
            raise InputRejected(said, reason="frame_size")
        grey = simplejpeg.decode_jpeg(data, colorspace="GRAY", strict=True)
    except ValueError as error:
        raise InputRejected("The frame is no JPEG that can be read.", reason="frame_corrupt") from error
    return np.asarray(grey, np.uint8)[..., 0]

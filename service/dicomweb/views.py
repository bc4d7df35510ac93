"""How a picture is to be shown (PS3.18 8.3.5): quality, viewport and window."""

import io
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from fastapi import Query
from PIL import Image

from service.api.problems import Problem
from service.core.cine import Pixels

PICTURE_TYPES = ("image/jpeg", "image/png")
_LARGEST_SIDE = 4096
_BYTE_MAXIMUM = 255
_THUMBNAIL_SIDE = 128
_FUNCTIONS = ("linear", "linear-exact", "sigmoid")


@dataclass(frozen=True, slots=True)
class Window:
    """Centre and width in stored values (PS3.3 C.11.2.1.2)."""

    centre: float
    width: float
    function: str


@dataclass(frozen=True, slots=True)
class View:
    """`size` is what the picture must fit into, (columns, rows); `part` what is shown of the frame, (x, y, columns, rows)."""

    quality: int = 90
    size: tuple[int, int] | None = None
    part: tuple[int, int, int, int] | None = None
    window: Window | None = None


def read_view(
    quality: Annotated[int, Query(ge=1, le=100, description="Of JPEG.")] = 90,
    viewport: Annotated[str | None, Query(max_length=64, description="vw,vh or vw,vh,sx,sy,sw,sh")] = None,
    window: Annotated[str | None, Query(max_length=64, description="centre,width,function in stored values")] = None,
) -> View:
    """The parameters of a rendered resource. Raises Problem (400)."""
    size, part = _read_viewport(viewport)
    return View(quality, size, part, _read_window(window))


def read_thumbnail_view(viewport: Annotated[str | None, Query(max_length=64, description="vw,vh")] = None) -> View:
    """The parameters of a thumbnail. Raises Problem (400)."""
    size, _ = _read_viewport(viewport)
    return View(size=size or (_THUMBNAIL_SIDE, _THUMBNAIL_SIDE))


def encode(pixels: Pixels, view: View, media_type: str, *, bits_stored: int | None, is_colour: bool) -> bytes:
    """One frame, (rows, columns, 3) uint8, as JPEG or PNG. Raises Problem (400) for a window or part that it cannot have."""
    shown = pixels if view.window is None else _windowed(pixels, view.window, bits_stored or 8, is_colour=is_colour)
    picture = _fitted(Image.fromarray(shown), view)
    buffer = io.BytesIO()
    if media_type == "image/png":
        picture.save(buffer, "PNG", compress_level=1)
    else:
        picture.save(buffer, "JPEG", quality=view.quality)
    return buffer.getvalue()


def _read_viewport(text: str | None) -> tuple[tuple[int, int] | None, tuple[int, int, int, int] | None]:
    if text is None:
        return None, None
    fields = text.split(",")
    if len(fields) not in (2, 6) or not all(field.strip().isascii() and field.strip().isdigit() for field in fields):
        raise _wrong("viewport is vw,vh or vw,vh,sx,sy,sw,sh in whole pixels")
    numbers = [int(field) for field in fields]
    if not all(1 <= side <= _LARGEST_SIDE for side in numbers[:2]) or any(number > 1 << 16 for number in numbers):
        raise _wrong(f"a viewport has sides of 1 to {_LARGEST_SIDE} pixels")
    part = (numbers[2], numbers[3], numbers[4], numbers[5]) if len(numbers) > 2 else None  # noqa: PLR2004 - with a part
    return (numbers[0], numbers[1]), part


def _read_window(text: str | None) -> Window | None:
    if text is None:
        return None
    centre, *rest = text.split(",")
    try:
        width, function = rest
        window = Window(float(centre), float(width), function.strip().lower())
    except ValueError:
        window = Window(0, 0, "")
    if window.function not in _FUNCTIONS or not (np.isfinite(window.centre) and 1 <= window.width <= 1 << 20):
        raise _wrong(f"window is centre,width,function with a width of 1 or more and one of {', '.join(_FUNCTIONS)}")
    return window


def _windowed(pixels: Pixels, window: Window, bits_stored: int, *, is_colour: bool) -> Pixels:
    if is_colour:
        raise _wrong("a window is for grey images")
    stored = np.arange(256) * (((1 << bits_stored) - 1) / _BYTE_MAXIMUM)  # (256,) the value behind each grey
    if window.function == "sigmoid":
        # At the ends of what a float holds it is black or white all the same.
        exponent = np.clip(-4 * (stored - window.centre) / window.width, -700, 700)
        table = _BYTE_MAXIMUM / (1 + np.exp(exponent))
    else:
        inset = 0.5 if window.function == "linear" else 0.0
        width = max(window.width - 2 * inset, 1e-6)
        table = ((stored - (window.centre - inset)) / width + 0.5) * _BYTE_MAXIMUM
    shown: Pixels = np.rint(np.clip(table, 0, _BYTE_MAXIMUM)).astype(np.uint8)[pixels]
    return shown


def _fitted(picture: Image.Image, view: View) -> Image.Image:
    """Cut, then scaled with its proportions to fit the viewport."""
    if view.part is not None:
        x, y, columns, rows = view.part
        if not (columns and rows and x + columns <= picture.width and y + rows <= picture.height):
            raise _wrong(f"the part reaches out of the picture of {picture.width} x {picture.height} pixels")
        picture = picture.crop((x, y, x + columns, y + rows))
    if view.size is None:
        return picture
    scale = min(view.size[0] / picture.width, view.size[1] / picture.height)
    fitted = max(round(picture.width * scale), 1), max(round(picture.height * scale), 1)
    return picture.resize(fitted, Image.Resampling.BILINEAR)


def _wrong(said: str) -> Problem:
    return Problem(400, f"The picture cannot be made so: {said}.", reason="view")

"""The scanner's screen round the sector: border, grey bar, depth ticks and burned-in text, all outside the calibrated region."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

Pixels = npt.NDArray[np.uint8]

ROWS, COLUMNS = 480, 640
_BORDER = 24
_INK = 200


@dataclass(frozen=True, slots=True)
class Screen:
    """The still part of every frame, and where the sector goes (first column and row; width and height of the sector)."""

    still: Pixels  # (480, 640)
    left: int
    top: int
    width: int
    height: int

    def with_sector(self, sector: Pixels) -> Pixels:
        """One whole frame (480, 640) uint8."""
        frame = self.still.copy()
        frame[self.top : self.top + self.height, self.left : self.left + self.width] = sector[: self.height, : self.width]
        return frame


def draw_screen(sector_shape: tuple[int, int], mm_per_pixel: float, lines: tuple[str, ...]) -> Screen:
    """`lines` are burned in beside the sector, as scanners do with names and settings. Raises ValueError when it does not fit."""
    height, width = sector_shape
    left, top = (COLUMNS - width) // 2 + 20, (ROWS - height) // 2 + 14
    if left + width > COLUMNS - 4 or top + height > ROWS - 4:
        raise ValueError(f"a sector of {width} x {height} pixels does not fit into {COLUMNS} x {ROWS}")
    picture = Image.new("L", (COLUMNS, ROWS), _BORDER)
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(11)
    for row, line in enumerate(lines[:2]):
        draw.text((8 + 260 * row, 6), line, fill=_INK, font=font)
    for row, line in enumerate(lines[2:]):
        draw.text((6, 60 + 16 * row), line, fill=_INK, font=font)
    _grey_bar(draw, left - 26, top + height // 2)
    _depth_ticks(draw, left + width + 3, top, height, mm_per_pixel)
    draw.rectangle([left, top, left + width - 1, top + height - 1], fill=0)
    return Screen(np.asarray(picture), left, top, width, height)


def _grey_bar(draw: ImageDraw.ImageDraw, x: int, y: int) -> None:
    for step in range(100):
        draw.line([x, y + step, x + 10, y + step], fill=255 - 2 * step)


def _depth_ticks(draw: ImageDraw.ImageDraw, x: int, top: int, height: int, mm_per_pixel: float) -> None:
    for tick in range(int(height * mm_per_pixel / 5) + 1):
        y = top + round(tick * 5 / mm_per_pixel)
        if y < top + height:
            draw.line([x, y, x + (8 if tick % 2 == 0 else 4), y], fill=_INK)

"""Colour laid over a B-mode picture: flow, tissue velocity or elasticity. What lies under it cannot be read as echo intensity."""

import numpy as np

from service.core.cine import Box, Cine, Pixels
from service.errors import NotMeasurable

#: Flow comes and goes with the pulse: so many frames are looked at, from the first to the last.
_FRAMES = 7

#: Value from which on a pixel shows anything, and saturation (both as in HSV) from which on it shows a colour.
_BRIGHT = 60
_COLOURED = 0.4
#: Less is a mark or a caption. More may be a grey map that is tinted as a whole, which is still B-mode: all hues are alike then.
_SMALLEST_SHARE = 0.02
_LARGEST_SHARE = 0.8
#: Length of the mean of unit vectors in the hues' directions.
_ONE_HUE = 0.9


def has_colour_overlay(picture: Pixels, box: Box) -> bool:
    """Whether part of what is bright inside `box` of an RGB picture (rows, columns, 3) is coloured, or all of it in many hues."""
    inside = picture[box.y0 : box.y1, box.x0 : box.x1]
    strongest, weakest = inside.max(2), inside.min(2)
    bright = strongest >= _BRIGHT
    if not bright.any():
        return False
    coloured = bright & (strongest - weakest >= _COLOURED * strongest.astype(np.float32))
    share = coloured.sum() / bright.sum()
    return bool(_SMALLEST_SHARE <= share <= _LARGEST_SHARE or (share > _LARGEST_SHARE and not _is_one_hue(inside[coloured])))


def _is_one_hue(colours: Pixels) -> bool:
    """Of (n, 3) RGB colours, none of them grey."""
    red, green, blue = colours.astype(np.float32).T
    hue = (red - (green + blue) / 2) + 1j * np.sqrt(3) / 2 * (green - blue)
    return bool(np.abs(np.mean(hue / np.abs(hue))) >= _ONE_HUE)


def refuse_colour(cine: Cine, sector: Box) -> None:
    """Raises NotMeasurable (`colour_overlay`) when colour lies over the sector of the region in one of the frames looked at."""
    if not cine.is_colour:
        return
    region = cine.region.box
    box = Box(region.x0 + sector.x0, region.y0 + sector.y0, region.x0 + sector.x1, region.y0 + sector.y1)
    for number in sorted({round(place) for place in np.linspace(1, cine.number_of_frames, _FRAMES)}):
        if has_colour_overlay(cine.picture(number), box):
            raise NotMeasurable(
                f"Colour lies over the B-mode picture in frame {number} (Doppler, elastography): send the cine without it.",
                reason="colour_overlay",
            )

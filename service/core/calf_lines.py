"""The three aponeuroses of a calf in one frame: what bounds gastrocnemius and soleus, for their patches.

The two upper lines are those of the network of muscle segmentation. The third, the deep edge of the soleus, is fainter and was
not what that network was made for: below the second line the picture is straightened along it, and the best path from side to
side is taken (Viterbi), through what the network calls an aponeurosis and what is brighter than its surroundings.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from service.core.cine import Pixels
from service.core.measure.aponeuroses import NARROWEST_LINE, Trace, trace_lines
from service.core.measure.plane import Curve, Floats, fit_curve
from service.core.muscle_strip import best_path, ridges
from service.core.preprocess import Placement

#: Two lines nearer than this share of the sector's height are one.
_LEAST_GAP = 0.06
#: Mean probability of muscle belly between the first two lines.
_LEAST_BELLY = 0.3
#: The straightened picture below the second line, in which the third is looked for.
_ROWS, _COLUMNS = 128, 64
#: Lines are traced over this share of a column's map where the network is sure of them; how much that counts beside brightness.
_SURENESS = 2.0
#: Mean along the path of probability and brightness, below which there is no third line.
_LEAST_RESPONSE = 3.0
#: The third line turns against the second by less than so many degrees, or the two bound no muscle.
_LARGEST_TURN_DEG = 20.0


class NoLines(StrEnum):
    """Why a frame's lines could not be told; stable words for programs."""

    NO_GASTROCNEMIUS = "no_gastrocnemius"
    NO_BELLY = "no_muscle_belly"
    NO_SOLEUS = "no_deep_edge_of_soleus"
    CROSSED = "aponeuroses_not_of_two_muscles"


@dataclass(frozen=True, slots=True)
class CalfLines:
    """Rows of the region at the sector's columns (3, sector's width), from the skin down, pixel centres at whole numbers."""

    rows: Floats
    #: Mean probability along each of the first two lines, and what along the third spoke for it.
    sureness: tuple[float, float, float]


def find_calf_lines(image: Pixels, masks: Pixels, placement: Placement) -> CalfLines | NoLines:
    """From the model's input (S, S) and its maps (3, S, S) of aponeurosis, fascicle and belly x 255."""
    bounds = _first_muscle(masks, placement)
    if isinstance(bounds, NoLines):
        return bounds
    first, second = bounds
    upper, middle = _centre(first), _centre(second)
    found = _third_line(image, masks[0], middle, placement)
    if found is None:
        return NoLines.NO_SOLEUS
    deep, response = found
    if abs(deep.mean_angle_deg() - middle.mean_angle_deg()) > _LARGEST_TURN_DEG:
        return NoLines.CROSSED
    rows = np.stack([_in_region(line, placement) for line in (upper, middle, deep)])
    if np.diff(rows, axis=0).min() <= 0:
        return NoLines.CROSSED
    return CalfLines(rows, (first.probability, second.probability, response))


def find_muscle_lines(masks: Pixels, placement: Placement) -> Floats | NoLines:
    """Of the first muscle alone (2, sector's width), as in `CalfLines`, where no second one is looked for."""
    bounds = _first_muscle(masks, placement)
    return bounds if isinstance(bounds, NoLines) else np.stack([_in_region(_centre(line), placement) for line in bounds])


def _first_muscle(masks: Pixels, placement: Placement) -> tuple[Trace, Trace] | NoLines:
    first, second = _upper_lines(masks[0], placement)
    if first is None or second is None:
        return NoLines.NO_GASTROCNEMIUS
    return (first, second) if _belly_between(masks[2], first, second, placement) >= _LEAST_BELLY else NoLines.NO_BELLY


def _upper_lines(mask: Pixels, placement: Placement) -> tuple[Trace | None, Trace | None]:
    """The first line from the skin, and the first one that is clearly below it."""
    traces = [trace for trace in trace_lines(mask, placement) if trace.share >= NARROWEST_LINE]
    if not traces:
        return None, None
    first, *others = traces
    least = _LEAST_GAP * placement.height
    top = float(np.median(first.lower))
    return first, next((trace for trace in others if float(np.median(trace.upper)) - top >= least), None)


def _belly_between(belly: Pixels, first: Trace, second: Trace, placement: Placement) -> float:
    columns = np.arange(placement.left, placement.left + placement.width)
    top, bottom = (np.interp(columns, trace.columns, edge) for trace, edge in ((first, first.lower), (second, second.upper)))
    rows = np.arange(belly.shape[0])[:, None]
    inside = (rows > top) & (rows < bottom)
    return float(belly[:, columns][inside].mean()) / 255 if inside.any() else 0.0


def _centre(trace: Trace) -> Curve:
    return fit_curve(trace.columns, (trace.upper + trace.lower) / 2)


def _third_line(image: Pixels, mask: Pixels, middle: Curve, placement: Placement) -> tuple[Curve, float] | None:
    """The deep edge of the soleus on the model's plane, and the mean response along it; None where nothing stands out."""
    columns = placement.left + (np.arange(_COLUMNS) + 0.5) * placement.width / _COLUMNS - 0.5
    top = middle.at(columns)
    start = _LEAST_GAP * placement.height
    deepest = placement.top + placement.height - 1 - float(top.max()) - start
    if deepest < start:
        return None
    down = start + (np.arange(_ROWS) + 0.5) * deepest / _ROWS
    places = np.stack(np.broadcast_arrays(top + down[:, None], columns))  # (2, ROWS, COLUMNS)
    shown, probability = (_sampled(picture, places) for picture in (image, mask))
    response = np.asarray(ridges(shown) + _SURENESS * probability / 255, np.float32)
    path = best_path(response)
    along = float(response[path, np.arange(_COLUMNS)].mean())
    if along < _LEAST_RESPONSE:
        return None
    return fit_curve(columns, top + down[path]), along


def _sampled(picture: Pixels, places: Floats) -> npt.NDArray[np.float32]:
    return np.asarray(ndimage.map_coordinates(picture.astype(np.float32), places, order=1, mode="nearest"), np.float32)


def _in_region(line: Curve, placement: Placement) -> Floats:
    """The line's rows at the columns of the sector."""
    box = placement.box
    corner = np.array([[box.x0, 0.0], [box.x1 - 1.0, 0.0]])
    left, right = placement.to_model(corner)[:, 0]
    across = np.linspace(left, right, box.width)
    return placement.to_region(np.stack([across, line.at(across)], axis=1))[:, 1]

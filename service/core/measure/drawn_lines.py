"""Two aponeuroses as a person drew them become the architecture of that frame, by the geometry that measures traced ones."""

from collections.abc import Sequence

import numpy as np

from service.core.measure.aponeuroses import Aponeuroses
from service.core.measure.architecture import FrameArchitecture, bound_one_muscle, gaps_between
from service.core.measure.fascicles import measure_fascicles, no_fragments
from service.core.measure.plane import Curve, Scale, fit_curve
from service.errors import InputRejected

Points = Sequence[tuple[float, float]]

#: A drawn line is read at so many columns, so that where its points lie close counts no more than where they do not.
_SAMPLES = 33
#: Along the image, in pixels; less is no line.
_SHORTEST = 8.0


def measure_lines(
    frame: int, superficial: Points, deep: Points, *, scale: Scale, fascicle_angle_deg: float | None
) -> FrameArchitecture:
    """The architecture between two lines, (column, row) in pixels of the stored frame; lengths in the scale's unit.

    `fascicle_angle_deg` is the frame's, positive rising to the right; without it pennation and length stay None. Nothing tells
    how much of a fascicle was seen, nor how bright the belly is. Raises InputRejected for lines that cannot bound a muscle.
    """
    drawn = Aponeuroses(
        superficial=_curve("superficial", superficial, scale),
        deep=_curve("deep", deep, scale),
        share=1.0,
        probability=1.0,
        lines=2,
    )
    if drawn.end <= drawn.start:
        raise InputRejected("The two lines lie beside each other: draw both over the same columns.", reason="lines_apart")
    gaps = gaps_between(drawn)
    if not bound_one_muscle(drawn, gaps, drawn.end - drawn.start):
        said = "The two lines cannot bound one muscle: the deep one must lie below the superficial one and run nearly as it does."
        raise InputRejected(said, reason="lines_not_of_one_muscle")
    along = None if fascicle_angle_deg is None else measure_fascicles(no_fragments(), fascicle_angle_deg, drawn)
    return FrameArchitecture(
        number=frame,
        thickness=float(gaps.mean()),
        gaps=tuple(map(float, gaps)),
        superficial_angle_deg=drawn.superficial.mean_angle_deg(),
        deep_angle_deg=drawn.deep.mean_angle_deg(),
        fascicle_angle_deg=fascicle_angle_deg,
        pennation_deg=along.pennation_deg if along else None,
        fascicle_length=along.length if along else None,
    )


def _curve(which: str, points: Points, scale: Scale) -> Curve:
    """The parabola through a drawn line. No point of it is an outlier: the person put it there."""
    ordered = sorted(points)
    columns, rows = np.array(ordered, np.float64).T  # (N,)
    if columns[-1] - columns[0] < _SHORTEST:
        raise InputRejected(f"The {which} line is too short: draw it across the muscle.", reason="line_too_short")
    x = np.linspace(columns[0], columns[-1], _SAMPLES)
    return fit_curve(x * scale.x, np.interp(x, columns, rows) * scale.y, rounds=1)

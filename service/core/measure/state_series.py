"""The states of a calf smoothed over the cine, in the network's own numbers.

An activity is told as its square root. Smoothed as such and read afterwards, its course and its band stay within what can be: a
band that is moved with a course of percentages loses a muscle at rest, whose band ends at 0.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from service.core.measure.calf_states import STATES, FrameStates
from service.core.measure.smoothing import smooth

#: One a frame; None where the frame was not read.
Values = Sequence[float | None]


def smoothed(frames: Sequence[FrameStates], times: Values) -> tuple[FrameStates, ...]:
    """The frames with the course of each state in place of its mean, also where a frame near was read.

    `times`, one a frame, are seconds; without them frames count as evenly spaced. The deviations stay as they are.
    """
    known = tuple(time for time in times if time is not None)
    seconds = known if len(known) == len(times) else None
    curves = [_course([_at(frame, state) for frame in frames], seconds) for state in range(len(STATES))]
    means = [None if None in states else np.array(states, np.float64) for states in zip(*curves, strict=True)]
    return tuple(replace(frame, mean=mean) for frame, mean in zip(frames, means, strict=True))


def _at(frame: FrameStates, state: int) -> float | None:
    return None if frame.mean is None else float(frame.mean[state])


def _course(values: Values, seconds: tuple[float, ...] | None) -> Values:
    """As they are where they are too few."""
    curve = smooth(values, [1.0] * len(values), seconds)
    return values if curve is None else curve.values

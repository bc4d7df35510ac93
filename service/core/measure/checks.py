"""Which frames of a cine cannot be true: geometry that contradicts itself, and jumps that tissue does not make.

A doubted frame keeps its numbers as they were read, and takes no part in what is said of the cine.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from service.core.measure.architecture import FrameArchitecture
from service.core.measure.plane import Floats
from service.core.measure.smoothing import Smoothed, smooth

#: The gap in the middle differs from the mean of those beside it by at most this share of it: lines bend, but not so.
_LARGEST_BEND = 0.25
#: A straight fascicle between straight aponeuroses is as long as measured within this factor.
_LENGTH_FACTOR = 1.5
#: A jump lies outside the smooth curve by so many standard deviations of one measurement, and by as much as stands below.
_JUMP_DEVIATIONS = 6.0
#: More frames in a row outside the curve are a movement that it did not follow.
_LONGEST_JUMP = 3
#: How far a muscle may have moved is known for so long, seconds: after more, frames in between tell.
_LONGEST_STEP = 0.1
#: A course comes back after at most so many impossible frames; keeps long cines quick.
_LONGEST_DETOUR = 500


@dataclass(frozen=True, slots=True)
class Movement:
    """What a quantity does not do in one muscle: `smallest` is the least jump that is one, `fastest` a change a second."""

    smallest: float
    fastest: float
    #: Both are shares of the quantity's median.
    is_relative: bool = False


#: By a wide margin quicker than muscle moves: unloaded fascicles shorten by about 10 of their lengths a second at most.
ANGLE = Movement(smallest=5.0, fastest=250.0)
THICKNESS = Movement(smallest=0.15, fastest=3.0, is_relative=True)
LENGTH = Movement(smallest=0.15, fastest=10.0, is_relative=True)


class Doubt(StrEnum):
    """Why a frame's numbers are impossible; stable words for programs."""

    LINES_OUT_OF_ORDER = "aponeuroses_out_of_order"
    LINES_JUMP = "aponeuroses_jump"
    FASCICLES_TURNED = "pennation_turned_over"
    FASCICLES_JUMP = "fascicles_jump"
    LENGTH_CONTRADICTED = "length_contradicts_thickness_and_angles"


#: Doubts about the lines concern every number of the frame, the others those of the fascicles only.
OF_LINES = frozenset({Doubt.LINES_OUT_OF_ORDER, Doubt.LINES_JUMP})
Doubts = Mapping[int, frozenset[Doubt]]
_Read = Callable[[FrameArchitecture], float | None]


def find_doubts(frames: Sequence[FrameArchitecture], seconds: Sequence[float] | None) -> Doubts:
    """The doubts about each doubtful frame, by its index; jumps are looked for among frames that are possible by themselves."""
    found: dict[int, set[Doubt]] = {}
    sense = _sense(frames)
    for index, frame in enumerate(frames):
        found.setdefault(index, set()).update(_by_itself(frame, sense))
    for doubt, reads in _JUMPS.items():
        for read, movement in reads:
            values = [None if found[index] & _blind_to(doubt) else read(frame) for index, frame in enumerate(frames)]
            for index in find_jumps(values, seconds, movement):
                found[index].add(doubt)
    return {index: frozenset(doubts) for index, doubts in found.items() if doubts}


def _blind_to(doubt: Doubt) -> set[Doubt]:
    """Whoever looks for a jump of lines does not look at fascicles."""
    return set(OF_LINES if doubt in OF_LINES else Doubt)


def _sense(frames: Sequence[FrameArchitecture]) -> float:
    """+1 where fascicles rise to the right of the deep aponeurosis in most frames, -1 where they fall."""
    return float(np.sign(sum(np.sign(lean) for frame in frames if (lean := _lean(frame)) is not None))) or 1.0


def _lean(frame: FrameArchitecture) -> float | None:
    if frame.fascicle_angle_deg is None or frame.deep_angle_deg is None:
        return None
    return frame.fascicle_angle_deg - frame.deep_angle_deg


def _by_itself(frame: FrameArchitecture, sense: float) -> set[Doubt]:
    lean = _lean(frame)
    doubts = {
        Doubt.LINES_OUT_OF_ORDER: _is_out_of_order(frame.gaps),
        Doubt.FASCICLES_TURNED: lean is not None and lean * sense < 0,
        Doubt.LENGTH_CONTRADICTED: _is_length_contradicted(frame),
    }
    return {doubt for doubt, holds in doubts.items() if holds}


def _is_out_of_order(gaps: Sequence[float]) -> bool:
    """Lines that converge narrow the belly from one end to the other, and its middle lies between."""
    if not gaps:
        return False
    first, middle, last = gaps
    return abs(middle - (first + last) / 2) > _LARGEST_BEND * middle


def _is_length_contradicted(frame: FrameArchitecture) -> bool:
    expected = straight_length(frame)
    if expected is None or frame.fascicle_length is None:
        return False
    return not 1 / _LENGTH_FACTOR <= frame.fascicle_length / expected <= _LENGTH_FACTOR


def straight_length(frame: FrameArchitecture) -> float | None:
    """Of a straight fascicle through the belly's middle between straight aponeuroses; infinite where it misses one of them."""
    fascicle, superficial, deep = frame.fascicle_angle_deg, frame.superficial_angle_deg, frame.deep_angle_deg
    if not frame.gaps or fascicle is None or superficial is None or deep is None:
        return None
    return length_between(frame.gaps[1], fascicle_deg=fascicle, superficial_deg=superficial, deep_deg=deep)


def length_between(gap: float, *, fascicle_deg: float, superficial_deg: float, deep_deg: float) -> float:
    """The same of a gap in the middle and three angles from the image's horizontal; in the unit of the gap."""
    fascicle, superficial, deep = np.tan(np.radians(np.array((fascicle_deg, superficial_deg, deep_deg), np.float64)))
    rise = np.array([fascicle - superficial, fascicle - deep])
    if rise[0] * rise[1] <= 0:
        return float("inf")
    return float(gap / 2 * np.sum(1 / np.abs(rise)) * np.hypot(1, fascicle))


def find_jumps(values: Sequence[float | None], seconds: Sequence[float] | None, movement: Movement) -> list[int]:
    """Indices of values (N,) that lie far outside the smooth curve, or off the longest course that a muscle can take."""
    curve = smooth(values, [1.0] * len(values), seconds)
    if curve is None:
        return []
    size = float(np.median([abs(value) for value in values if value is not None])) if movement.is_relative else 1.0
    smallest, fastest = movement.smallest * size, movement.fastest * size
    slack = max(smallest, _JUMP_DEVIATIONS * max(curve.noise))
    off = _off_course(values, seconds, fastest, slack) if seconds is not None else []
    course = [None if index in off else value for index, value in enumerate(values)]
    curve = smooth(course, [1.0] * len(course), seconds) if off else curve
    if curve is None:
        return off
    outside = [index for index, value in enumerate(course) if value is not None and _is_outside(curve, index, value, smallest)]
    return sorted({*off, *_short_runs(outside)})


def _short_runs(indices: Sequence[int]) -> list[int]:
    runs: list[list[int]] = []
    for index in indices:
        if runs and index == runs[-1][-1] + 1:
            runs[-1].append(index)
        else:
            runs.append([index])
    return [index for run in runs if len(run) <= _LONGEST_JUMP for index in run]


def _is_outside(curve: Smoothed, index: int, value: float, smallest: float) -> bool:
    level, deviation = curve.values[index], curve.deviations[index]
    if level is None or deviation is None:
        return False
    distance = abs(value - level)
    return distance > smallest and distance > _JUMP_DEVIATIONS * float(np.hypot(deviation, curve.noise[index]))


def _off_course(values: Sequence[float | None], seconds: Sequence[float], fastest: float, slack: float) -> list[int]:
    """Indices outside the longest succession of values in which none is further from the one before than time allows."""
    known = [index for index, value in enumerate(values) if value is not None]
    y: Floats = np.array([value for value in values if value is not None], np.float64)
    t: Floats = np.asarray(seconds, np.float64)[known]
    if np.all(np.abs(np.diff(y)) <= fastest * np.minimum(np.diff(t), _LONGEST_STEP) + slack):
        return []
    length, before = np.ones(len(y), np.intp), np.full(len(y), -1, np.intp)
    for place in range(1, len(y)):
        past = slice(max(0, place - _LONGEST_DETOUR), place)
        reachable = np.abs(y[past] - y[place]) <= fastest * np.minimum(t[place] - t[past], _LONGEST_STEP) + slack
        if reachable.any():
            before[place] = past.start + np.where(reachable, length[past], 0).argmax()
            length[place] = length[before[place]] + 1
    place, on_course = int(length.argmax()), set()
    while place >= 0:
        on_course.add(place)
        place = int(before[place])
    return [index for place, index in enumerate(known) if place not in on_course]


#: What is looked at for each jump, and how it moves.
_JUMPS: Mapping[Doubt, tuple[tuple[_Read, Movement], ...]] = {
    Doubt.LINES_JUMP: (
        (lambda frame: frame.thickness, THICKNESS),
        (lambda frame: frame.superficial_angle_deg, ANGLE),
        (lambda frame: frame.deep_angle_deg, ANGLE),
    ),
    Doubt.FASCICLES_JUMP: ((lambda frame: frame.pennation_deg, ANGLE), (lambda frame: frame.fascicle_length, LENGTH)),
}

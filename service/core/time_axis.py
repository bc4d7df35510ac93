"""When each frame was acquired (PS3.3 C.7.6.5 and C.7.6.6), or the reason why that is not known."""

from itertools import accumulate
from typing import Literal

from pydicom.dataset import Dataset

from service.core.attribute_values import is_present, read_number, read_numbers
from service.core.cine import TimeAxis

_FRAME_TIME = 0x00181063
_FRAME_TIME_VECTOR = 0x00181065
_MS_PER_SECOND = 1000.0
#: Between two frames of a cine; longer is a sweep or an error, not a time axis.
_MAXIMUM_FRAME_TIME_MS = 60_000.0
_MAXIMUM_RATE_HZ = 100_000.0


def read_time_axis(dataset: Dataset, *, number_of_frames: int) -> TimeAxis:
    """FrameTime or FrameTimeVector, as Frame Increment Pointer says; a display rate only as nominal, with the reason."""
    if number_of_frames == 1:
        return TimeAxis(seconds=(0.0,), source="single frame")
    pointed = _pointed(dataset)
    if pointed == _FRAME_TIME_VECTOR:
        axis = _from_vector(dataset, number_of_frames)
    elif pointed == _FRAME_TIME:
        axis = _from_frame_time(dataset, number_of_frames)
    else:
        axis = TimeAxis(seconds=None, source="none", reason=_no_pointer(dataset))
    return axis if axis.seconds is not None else _nominal(dataset, number_of_frames, axis.reason or "")


def _pointed(dataset: Dataset) -> int | None:
    """The time attribute that Frame Increment Pointer names; without a pointer, the one that is there."""
    pointers = read_numbers(dataset, "FrameIncrementPointer")
    if pointers is None and not is_present(dataset, "FrameIncrementPointer"):
        present = [
            tag
            for tag, keyword in ((_FRAME_TIME_VECTOR, "FrameTimeVector"), (_FRAME_TIME, "FrameTime"))
            if is_present(dataset, keyword)
        ]
        return present[0] if len(present) == 1 else None
    known = [int(tag) for tag in pointers or () if tag in (_FRAME_TIME, _FRAME_TIME_VECTOR)]
    return known[0] if known else None


def _no_pointer(dataset: Dataset) -> str:
    if not is_present(dataset, "FrameIncrementPointer"):
        return "FrameIncrementPointer is absent, and not exactly one of FrameTime and FrameTimeVector is there"
    return "FrameIncrementPointer names neither FrameTime nor FrameTimeVector"


def _from_frame_time(dataset: Dataset, number_of_frames: int) -> TimeAxis:
    step_ms = read_number(dataset, "FrameTime")
    if step_ms is None:
        return TimeAxis(seconds=None, source="none", reason="FrameTime is absent or malformed")
    if not 0 < step_ms <= _MAXIMUM_FRAME_TIME_MS:
        return TimeAxis(seconds=None, source="none", reason=f"FrameTime is {step_ms:g} ms")
    seconds = tuple(index * step_ms / _MS_PER_SECOND for index in range(number_of_frames))
    return TimeAxis(seconds=seconds, source="FrameTime")


def _from_vector(dataset: Dataset, number_of_frames: int) -> TimeAxis:
    """Increments between frames; the first counts from nothing and is often, but not always, 0."""
    steps_ms = read_numbers(dataset, "FrameTimeVector")
    reason = None
    if steps_ms is None:
        reason = "FrameTimeVector is absent or malformed"
    elif len(steps_ms) != number_of_frames:
        reason = f"FrameTimeVector has {len(steps_ms)} values for {number_of_frames} frames"
    elif any(not 0 < step <= _MAXIMUM_FRAME_TIME_MS for step in steps_ms[1:]):
        reason = "FrameTimeVector holds an increment that is not above 0 and below a minute"
    if steps_ms is None or reason is not None:
        return TimeAxis(seconds=None, source="none", reason=reason)
    seconds = tuple(total / _MS_PER_SECOND for total in accumulate(steps_ms[1:], initial=0.0))
    return TimeAxis(seconds=seconds, source="FrameTimeVector")


def _nominal(dataset: Dataset, number_of_frames: int, reason: str) -> TimeAxis:
    """A rate meant for display, which need not be the acquisition's."""
    rates: tuple[Literal["CineRate", "RecommendedDisplayFrameRate"], ...] = ("CineRate", "RecommendedDisplayFrameRate")
    for source in rates:
        rate = read_number(dataset, source)
        if rate is not None and 0 < rate <= _MAXIMUM_RATE_HZ:
            seconds = tuple(index / rate for index in range(number_of_frames))
            return TimeAxis(
                seconds=seconds,
                source=source,
                is_nominal=True,
                reason=f"{reason}; {source} is a display rate, so times are nominal",
            )
    return TimeAxis(seconds=None, source="none", reason=reason)

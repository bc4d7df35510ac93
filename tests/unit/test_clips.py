"""From a cine to a video network's clips: rate, windows, and what cannot be read."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

from service.core.cine import Box, Calibration, Cine, Frame, Pixels, Region, TimeAxis
from service.core.clips import ClipShape, clips_of, frames_at_rate
from service.errors import NotMeasurable

SHAPE = ClipShape(frames=4, size=16, rate_hz=10.0, stride=2)


def axis(*seconds: float) -> TimeAxis:
    return TimeAxis(seconds=seconds, source="FrameTimeVector")


def evenly(count: int, rate_hz: float) -> TimeAxis:
    return TimeAxis(seconds=tuple(index / rate_hz for index in range(count)), source="FrameTime")


def banded(grey: int, upper: int = 10, lower: int = 36) -> Pixels:
    frame = np.full((48, 64), grey, np.uint8)
    frame[[upper, upper + 1, lower, lower + 1]] = 240
    return frame


def cine(greys: Sequence[int], time_axis: TimeAxis) -> Cine:
    """Each frame is of one grey between two bright lines, 64 x 48 pixels."""
    pixels = [banded(grey) for grey in greys]
    return Cine(
        sop_instance_uid="1.2.3",
        number_of_frames=len(greys),
        rows=48,
        columns=64,
        region=Region(None, Box(0, 0, 64, 48), Calibration(None, None, "none"), "the whole frame"),
        time_axis=time_axis,
        frames=lambda: (Frame(number, one) for number, one in enumerate(pixels, start=1)),
        picture=lambda number: np.stack([pixels[number - 1]] * 3, axis=-1),
        pixel_sha256=lambda: "0" * 64,
    )


def test_clips_of_a_cine_at_the_clip_rate_slide_by_the_stride() -> None:
    clips = list(clips_of(cine(range(10, 19), evenly(9, 10.0)), SHAPE))
    assert [clip.frame_numbers for clip in clips] == [(1, 2, 3, 4), (3, 4, 5, 6), (5, 6, 7, 8)]
    assert clips[1].pixels.shape == (4, 16, 16)
    assert [int(frame[8, 8]) for frame in clips[1].pixels] == [12, 13, 14, 15]


def test_clips_show_the_muscle_alone_and_say_where_it_lies() -> None:
    (clip,) = clips_of(cine([0] * 4, evenly(4, 10.0)), SHAPE)
    assert set(np.unique(clip.pixels)) == {1}  # black tissue; the fasciae are left out
    corners = clip.strip.to_region(np.array([(-0.5, -0.5), (15.5, 15.5)]))
    assert corners[:, 0].tolist() == pytest.approx([-0.5, 63.5], abs=1.5)  # three rows a column, nearly all of it
    assert 11 < corners[0, 1] < 15
    assert 31 < corners[1, 1] < 36


def test_clips_of_windows_without_two_fasciae_are_left_out_and_counted() -> None:
    whole = cine(range(10, 18), evenly(8, 10.0))
    noise = np.random.default_rng(0)
    lifted = [Frame(n, noise.integers(10, 90, (48, 64), dtype=np.uint8)) for n in range(1, 5)]
    clips = clips_of(replace(whole, frames=lambda: iter([*lifted, *list(whole.frames())[4:]])), SHAPE)
    assert [clip.frame_numbers for clip in clips][-1] == (5, 6, 7, 8)
    assert clips.without_muscle >= 1


@pytest.mark.parametrize("rate_hz", [8.0, 25.0, 50.0])
def test_clips_of_another_frame_rate_take_the_nearest_frames(rate_hz: float) -> None:
    time_axis = evenly(round(2 * rate_hz), rate_hz)
    wanted = frames_at_rate(time_axis, SHAPE)
    assert time_axis.seconds is not None
    off = np.abs(np.array(time_axis.seconds)[wanted] - np.arange(len(wanted)) / SHAPE.rate_hz)
    assert off.max() <= 0.5 / rate_hz + 1e-9


def test_clips_of_an_uneven_time_axis_follow_the_clock_not_the_count() -> None:
    assert frames_at_rate(axis(0.0, 0.02, 0.04, 0.1, 0.2, 0.3), SHAPE).tolist() == [0, 3, 4, 5]


def test_clips_of_equal_cines_are_equal() -> None:
    first, second = (list(clips_of(cine(range(40, 52), evenly(12, 12.0)), SHAPE)) for _ in range(2))
    assert [one.pixels.tobytes() for one in first] == [one.pixels.tobytes() for one in second]


def test_clips_are_made_when_asked_for() -> None:
    asked = 0

    def counted() -> TimeAxis:
        return evenly(1000, 10.0)

    long = cine([7] * 1000, counted())
    for clip in islice(clips_of(long, SHAPE), 3):
        asked = clip.frame_numbers[-1]
    assert asked == 8


@pytest.mark.parametrize(
    ("time_axis", "reason"),
    [
        (TimeAxis(seconds=None, source="none", reason="FrameTime is absent"), "no_time_axis"),
        (evenly(3, 10.0), "cine_too_short"),
        (evenly(6, 5.0), "frame_rate_too_low"),
        (TimeAxis(seconds=(0.0,), source="single frame"), "cine_too_short"),
    ],
)
def test_clips_of_a_cine_that_shows_no_movement_are_refused_with_the_reason(time_axis: TimeAxis, reason: str) -> None:
    with pytest.raises(NotMeasurable) as refused:
        clips_of(cine([7] * 6, time_axis), SHAPE)
    assert refused.value.reason == reason


def test_clips_of_a_cine_without_a_frame_are_refused() -> None:
    with pytest.raises(NotMeasurable) as refused:
        clips_of(cine([], evenly(6, 10.0)), SHAPE)
    assert refused.value.reason == "no_frames"

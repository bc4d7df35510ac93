"""The time axis."""

from typing import Any

import pytest
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from service.core.cine import TimeAxis
from service.core.time_axis import read_time_axis

TIME, VECTOR = 0x00181063, 0x00181065


def read(frames: int = 4, /, **attributes: Any) -> TimeAxis:
    dataset = Dataset()
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return read_time_axis(dataset, number_of_frames=frames)


def test_frame_time_gives_even_steps() -> None:
    axis = read(FrameIncrementPointer=TIME, FrameTime="40")
    assert axis.seconds == pytest.approx((0, 0.04, 0.08, 0.12))
    assert (axis.source, axis.is_nominal, axis.reason) == ("FrameTime", False, None)
    assert axis.at(2) == pytest.approx(0.04)


@pytest.mark.parametrize("first", ["0", "33"])
def test_frame_time_vector_counts_from_the_first_frame(first: str) -> None:
    axis = read(FrameIncrementPointer=VECTOR, FrameTimeVector=[first, "10", "20", "30"])
    assert axis.seconds == pytest.approx((0, 0.01, 0.03, 0.06))
    assert axis.source == "FrameTimeVector"


def test_pointer_chooses_between_the_two() -> None:
    both = {"FrameTime": "40", "FrameTimeVector": ["0", "10", "10", "10"]}
    assert read(FrameIncrementPointer=TIME, **both).source == "FrameTime"
    assert read(FrameIncrementPointer=[VECTOR, 0x00540080], **both).source == "FrameTimeVector"
    ambiguous = read(**both)
    assert ambiguous.seconds is None
    assert "FrameIncrementPointer is absent" in (ambiguous.reason or "")


def test_absent_pointer_takes_the_only_time_there_is() -> None:
    assert read(FrameTime="40").source == "FrameTime"


@pytest.mark.parametrize(
    ("attributes", "word"),
    [
        ({"FrameIncrementPointer": TIME}, "FrameTime is absent"),
        ({"FrameIncrementPointer": TIME, "FrameTime": "0"}, "FrameTime is 0 ms"),
        ({"FrameIncrementPointer": TIME, "FrameTime": "-5"}, "FrameTime is -5 ms"),
        ({"FrameIncrementPointer": VECTOR, "FrameTimeVector": ["0", "1"]}, "2 values for 4 frames"),
        ({"FrameIncrementPointer": VECTOR, "FrameTimeVector": ["0", "10", "-10", "10"]}, "increment"),
        ({"FrameIncrementPointer": VECTOR, "FrameTime": "40"}, "FrameTimeVector is absent"),
        ({"FrameIncrementPointer": 0x00540080}, "names neither"),
        ({}, "absent"),
    ],
)
def test_unusable_time_gives_the_reason(attributes: dict[str, Any], word: str) -> None:
    axis = read(**attributes)
    assert axis.seconds is None
    assert axis.source == "none"
    assert word in (axis.reason or "")
    assert axis.at(1) is None


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("value", [b"abc", b"1e999", b"nan", b"\xff\xfe", b"40\\41", b""])
def test_malformed_frame_time_gives_a_reason_and_no_crash(value: bytes) -> None:
    dataset = Dataset()
    dataset.FrameIncrementPointer = TIME
    tag = Tag("FrameTime")
    dataset[tag] = RawDataElement(tag, "DS", len(value), value, value_tell=0, is_implicit_VR=False, is_little_endian=True)
    axis = read_time_axis(dataset, number_of_frames=4)
    assert axis.seconds is None
    assert axis.reason == "FrameTime is absent or malformed"


@pytest.mark.parametrize("source", ["CineRate", "RecommendedDisplayFrameRate"])
def test_display_rate_is_only_nominal_and_says_so(source: str) -> None:
    axis = read(FrameIncrementPointer=TIME, **{source: "25"})
    assert axis.seconds == pytest.approx((0, 0.04, 0.08, 0.12))
    assert axis.is_nominal
    assert axis.source == source
    assert "nominal" in (axis.reason or "")


def test_single_frame_is_at_zero() -> None:
    assert read(1) == TimeAxis(seconds=(0.0,), source="single frame")

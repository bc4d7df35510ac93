"""The choice of the calibrated tissue region."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from service.core.cine import Box, Region
from service.core.regions import choose_region
from tests.cine_files import region

ROWS, COLUMNS = 480, 640


def choose(*items: Dataset, **attributes: Any) -> Region:
    dataset = Dataset()
    if items:
        dataset.SequenceOfUltrasoundRegions = Sequence(items)
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return choose_region(dataset, rows=ROWS, columns=COLUMNS)


def test_single_tissue_region_gives_its_box_and_scale() -> None:
    chosen = choose(region(10, 20, 109, 219, PhysicalDeltaX=0.02, PhysicalDeltaY=0.03))
    assert chosen.index == 1
    assert chosen.box == Box(10, 20, 110, 220)
    assert chosen.calibration.mm_per_pixel_x == pytest.approx(0.2)
    assert chosen.calibration.mm_per_pixel_y == pytest.approx(0.3)
    assert chosen.calibration.source == "SequenceOfUltrasoundRegions[1]"


def test_negative_delta_is_an_orientation_not_a_scale() -> None:
    chosen = choose(region(0, 0, 99, 99, PhysicalDeltaX=-0.052, PhysicalDeltaY=0.052))
    assert chosen.calibration.mm_per_pixel_x == pytest.approx(0.52)
    assert chosen.calibration.is_known


def test_several_tissue_regions_give_the_largest_in_the_image_and_say_why() -> None:
    spectrum = region(0, 0, 639, 479, RegionDataType=3, RegionSpatialFormat=3)
    small, large = region(0, 0, 99, 99), region(100, 0, 399, 299)
    outside = region(1000, 1000, 3000, 3000)
    chosen = choose(spectrum, small, large, outside)
    assert chosen.index == 3
    assert "largest" in chosen.why
    assert "region 1 is PW spectral Doppler" in chosen.why
    assert "region 2 is a smaller tissue region" in chosen.why
    assert "region 4 lies outside the image" in chosen.why


def test_largest_is_judged_by_what_lies_in_the_image() -> None:
    mostly_outside, inside = region(600, 0, 5000, 479), region(0, 0, 299, 299)
    assert choose(mostly_outside, inside).index == 2


def test_region_beyond_the_image_is_clipped_and_its_scale_not_believed() -> None:
    chosen = choose(region(84, 31, 1190, 828))
    assert chosen.box == Box(84, 31, COLUMNS, ROWS)
    assert not chosen.calibration.is_known
    assert "resized or cropped" in (chosen.calibration.reason or "")


def test_region_that_ends_at_the_number_of_columns_keeps_its_scale() -> None:
    chosen = choose(region(0, 0, COLUMNS, ROWS))
    assert chosen.box == Box(0, 0, COLUMNS, ROWS)
    assert chosen.calibration.is_known


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"PhysicalUnitsXDirection": 4}, "PhysicalUnitsXDirection is 4"),
        ({"PhysicalUnitsYDirection": None}, "PhysicalUnitsYDirection is absent"),
        ({"PhysicalDeltaX": None}, "PhysicalDeltaX is absent"),
        ({"PhysicalDeltaX": float("nan")}, "PhysicalDeltaX is absent or malformed"),
        ({"PhysicalDeltaY": 0.0}, "no plausible scale"),
        ({"PhysicalDeltaY": 1e300}, "no plausible scale"),
    ],
)
def test_unusable_scale_keeps_the_region_in_pixels_with_the_reason(changes: dict[str, Any], word: str) -> None:
    chosen = choose(region(0, 0, 99, 99, **changes))
    assert chosen.index == 1
    assert chosen.calibration.mm_per_pixel_x is None
    assert chosen.calibration.mm_per_pixel_y is None
    assert word in (chosen.calibration.reason or "")


@pytest.mark.parametrize(
    "changes",
    [
        {"RegionDataType": 4, "RegionSpatialFormat": 3},
        {"RegionDataType": 10, "RegionSpatialFormat": 4},
        {"RegionSpatialFormat": 2},
        {"RegionDataType": None},
        {"RegionLocationMaxX1": None},
        {"RegionLocationMinX0": 99, "RegionLocationMaxX1": 3},
        {"RegionLocationMinX0": 97},
    ],
)
def test_region_that_cannot_be_measured_in_leaves_the_whole_frame_in_pixels(changes: dict[str, Any]) -> None:
    chosen = choose(region(0, 0, 99, 99, **changes))
    assert chosen.index is None
    assert chosen.box == Box(0, 0, COLUMNS, ROWS)
    assert not chosen.calibration.is_known
    assert "region 1" in chosen.why


def test_no_regions_gives_the_whole_frame_and_pixel_spacing_is_not_trusted() -> None:
    chosen = choose(PixelSpacing=["0.1", "0.1"])
    assert chosen.index is None
    assert not chosen.calibration.is_known
    assert chosen.calibration.source == "none"
    assert "PixelSpacing is not trusted" in (chosen.calibration.reason or "")
    assert "PixelSpacing" not in (choose().calibration.reason or "")


CORNER = st.integers(-(2**31), 2**32 - 1)


@pytest.mark.filterwarnings("ignore")
@given(x0=CORNER, y0=CORNER, x1=CORNER, y1=CORNER, delta=st.floats(), kind=st.integers(0, 20), unit=st.integers(0, 13))
def test_any_region_gives_a_box_inside_the_image(x0: int, y0: int, x1: int, y1: int, delta: float, kind: int, unit: int) -> None:
    item = region(x0, y0, x1, y1, PhysicalDeltaX=delta, RegionDataType=kind, PhysicalUnitsXDirection=unit)
    chosen = choose(item)
    box = chosen.box
    assert 0 <= box.x0 < box.x1 <= COLUMNS
    assert 0 <= box.y0 < box.y1 <= ROWS
    assert chosen.calibration.is_known or chosen.calibration.reason

"""Both muscles straightened: what lies between two lines fills a patch, and the lengths are millimetres."""

import numpy as np
import pytest

from service.core.calf_patches import COLUMNS, ROWS, SCALARS, calf_patches
from service.core.cine import Box

HEIGHT, WIDTH, MM = 300, 260, 0.15
SECTOR = Box(20, 10, 240, 290)


def _lines(*depths: float, slope: float = 0.0) -> np.ndarray:
    return np.stack([depth + slope * (np.arange(SECTOR.width) - SECTOR.width / 2) for depth in depths])


def _layered(lines: np.ndarray) -> np.ndarray:
    """50 above the first line, 90 and 170 in the muscles, 30 below, whatever the slope."""
    rows = np.arange(HEIGHT)[:, None]
    inside = sum((rows >= line[None]).astype(int) for line in lines)
    frame = np.zeros((HEIGHT, WIDTH), np.uint8)
    frame[:, SECTOR.x0 : SECTOR.x1] = np.array([50, 90, 170, 30], np.uint8)[inside]
    return frame


@pytest.mark.parametrize("slope", [0.0, 0.1, -0.08])
def test_patches_hold_their_own_muscle_alone_whatever_the_slope(slope: float) -> None:
    lines = _lines(60, 150, 230, slope=slope)
    patches = calf_patches(_layered(lines), SECTOR, lines, (MM, MM))
    assert patches.pixels.shape == (2, ROWS, COLUMNS)
    assert patches.pixels.dtype == np.uint8
    assert [np.unique(patch).tolist() for patch in patches.pixels] == [[90], [170]]


def test_scalars_are_lengths_in_millimetres() -> None:
    lines = _lines(60, 150, 230)
    scalars = dict(zip(SCALARS, calf_patches(_layered(lines), SECTOR, lines, (MM, MM)).scalars.tolist(), strict=True))
    assert scalars == pytest.approx(
        {
            "gastrocnemius_thickness": 90 * MM,
            "soleus_thickness": 80 * MM,
            "fat": 50.5 * MM,
            "pixels_per_mm": 1 / MM,
            "width": 220 * MM,
        },
        rel=1e-5,
    )


def test_scalars_of_a_picture_without_a_scale_are_unknown() -> None:
    lines = _lines(60, 150, 230)
    frame = _layered(lines)
    without, with_scale = (calf_patches(frame, SECTOR, lines, scale) for scale in (None, (MM, MM)))
    assert np.isnan(without.scalars).all()
    assert (without.pixels == with_scale.pixels).all()
    with pytest.raises(ValueError, match="nearer than 16 pixels"):
        calf_patches(frame, SECTOR, _lines(60, 70, 230), None)


def test_patches_of_one_muscle_are_its_own_and_nothing_of_another() -> None:
    lines = _lines(60, 150, 230)
    frame = _layered(lines)
    one, both = calf_patches(frame, SECTOR, lines[:2], (MM, MM), muscles=1), calf_patches(frame, SECTOR, lines, (MM, MM))
    assert (one.pixels[0] == both.pixels[0]).all()
    assert not one.pixels[1].any()
    assert np.isnan(one.scalars).tolist() == [name == "soleus_thickness" for name in SCALARS]
    with pytest.raises(ValueError, match="two lines over 220 columns"):
        calf_patches(frame, SECTOR, lines, (MM, MM), muscles=1)


def test_patch_of_a_finer_picture_of_the_same_calf_is_the_same() -> None:
    lines = _lines(60, 150, 230)
    frame = np.tile(np.linspace(20, 220, HEIGHT).astype(np.uint8)[:, None], (1, WIDTH))
    coarse = calf_patches(frame, SECTOR, lines, (MM, MM))
    finer = Box(SECTOR.x0 * 2, SECTOR.y0 * 2, SECTOR.x1 * 2, SECTOR.y1 * 2)
    fine = calf_patches(np.repeat(np.repeat(frame, 2, 0), 2, 1), finer, np.repeat(2 * lines + 0.5, 2, 1), (MM / 2, MM / 2))
    assert np.abs(fine.pixels.astype(int) - coarse.pixels.astype(int)).max() <= 1
    assert fine.scalars[:3] == pytest.approx(coarse.scalars[:3], rel=1e-5)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (_lines(60, 150, 230)[:, :-1], "three lines over 220 columns"),
        (_lines(60, 150), "three lines over 220 columns"),
        (_lines(60, 150, 295), "leaves the sector"),
        (_lines(5, 150, 230), "leaves the sector"),
        (_lines(60, 75, 230), "nearer than 3 mm"),
        (_lines(60, 230, 150), "cross"),
    ],
    ids=["too short", "only two", "below", "above", "thin", "crossed"],
)
def test_lines_that_fit_no_two_muscles_are_refused_with_what_is_wrong(lines: np.ndarray, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        calf_patches(np.full((HEIGHT, WIDTH), 80, np.uint8), SECTOR, lines, (MM, MM))

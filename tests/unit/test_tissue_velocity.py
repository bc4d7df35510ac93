"""Velocity from B-mode: a drawn texture that moves by known micrometres."""

import numpy as np
import pytest
from scipy import ndimage

from service.core.measure.tissue_velocity import tissue_velocity

MM_PER_PIXEL, RATE = 0.1, 250.0
SIDE = 128


def moving(
    velocity_mm_s: np.ndarray[tuple[int, ...], np.dtype[np.float64]], frames: int = 12
) -> list[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]:
    """Frames of a texture; each column moves down with its own velocity (SIDE,)."""
    texture = ndimage.gaussian_filter(np.random.default_rng(1).standard_normal((SIDE, SIDE)), (2.0, 2.0), mode="wrap")
    texture = 120 + 40 * texture / texture.std()
    rows, columns = np.mgrid[:SIDE, :SIDE].astype(np.float64)
    step = velocity_mm_s / MM_PER_PIXEL / RATE
    shown = [
        ndimage.map_coordinates(texture, (rows - number * step, columns), order=3, mode="grid-wrap") for number in range(frames)
    ]
    return [np.clip(np.rint(one), 0, 255).astype(np.uint8) for one in shown]


def measured(frames: list[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return tissue_velocity(frames, mm_per_pixel=MM_PER_PIXEL, frame_rate_hz=RATE, shape=(16, 16))


@pytest.mark.parametrize("velocity_mm_s", [-1.0, -0.2, 0.2, 1.0])
def test_velocity_of_tissue_that_moves_as_one_is_measured_with_its_sign(velocity_mm_s: float) -> None:
    found = measured(moving(np.full(SIDE, velocity_mm_s)))
    assert found.shape == (12, 16, 16)
    assert found[:, 2:-2, 2:-2].mean() == pytest.approx(velocity_mm_s, rel=0.08)


def test_velocity_of_tissue_at_rest_is_none() -> None:
    assert np.abs(measured(moving(np.zeros(SIDE)))).max() < 1e-6


def test_velocity_is_found_where_the_tissue_moves() -> None:
    across = np.where(np.arange(SIDE) < SIDE // 2, 0.5, -0.5)
    found = measured(moving(across)).mean((0, 1))
    assert found[:5] == pytest.approx(0.5, abs=0.08)
    assert found[-5:] == pytest.approx(-0.5, abs=0.08)


def test_velocity_where_nothing_is_seen_is_none() -> None:
    flat: list[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]] = [np.full((SIDE, SIDE), 30, np.uint8)] * 8
    assert np.array_equal(measured(flat), np.zeros((8, 16, 16), np.float32))


def test_fewer_than_five_frames_are_refused() -> None:
    with pytest.raises(ValueError, match="4 frames are too few for velocity: at least 5 are needed"):
        measured(moving(np.zeros(SIDE), 4))

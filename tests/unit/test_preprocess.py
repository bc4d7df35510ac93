"""Finding the sector, placing it in the model input, and coming back."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.cine import Box
from service.core.preprocess import MODEL_SIZE, find_sector, model_input, model_labels, place
from simulator.calf import simulate_calf
from simulator.console import draw_screen
from simulator.dicom import screen_frames


def _speckle(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).rayleigh(40, (height, width)).clip(0, 255).astype(np.uint8)


def test_find_sector_console_with_text_gives_the_sector_alone() -> None:
    cine = simulate_calf(11, 2)
    screen = draw_screen(cine.make(0).sector.shape[:2], cine.mm_per_pixel, ("NAME^PATIENT", "01/01/2026", "FR 25", "D 4.6"))
    box = find_sector(list(screen_frames(cine)))
    assert abs(box.x0 - screen.left) <= 6
    assert abs(box.x1 - screen.left - screen.width) <= 6
    assert abs(box.y0 - screen.top) <= 6
    assert abs(box.y1 - screen.top - screen.height) <= 6


def test_find_sector_sector_filling_the_frame_keeps_the_frame() -> None:
    assert find_sector([_speckle(300, 400)]) == Box(0, 0, 400, 300)


def test_find_sector_flat_frame_keeps_the_frame() -> None:
    assert find_sector([np.full((120, 160), 30, np.uint8)]) == Box(0, 0, 160, 120)


def test_find_sector_small_sector_in_black_console_found() -> None:
    frame = np.zeros((480, 640), np.uint8)
    frame[100:300, 200:420] = _speckle(200, 220)
    box = find_sector([frame])
    assert abs(box.x0 - 200) <= 5
    assert abs(box.y0 - 100) <= 5
    assert abs(box.x1 - 420) <= 5
    assert abs(box.y1 - 300) <= 5


def test_find_sector_no_frames_raises() -> None:
    with pytest.raises(ValueError, match="at least one"):
        find_sector([])


@given(
    x0=st.integers(0, 300),
    y0=st.integers(0, 200),
    width=st.integers(20, 900),
    height=st.integers(20, 700),
    point=st.tuples(st.floats(-50, 900), st.floats(-50, 900)),
)
def test_placement_to_model_and_back_is_the_identity(
    x0: int, y0: int, width: int, height: int, point: tuple[float, float]
) -> None:
    placement = place(Box(x0, y0, x0 + width, y0 + height))
    points = np.array([point])
    assert np.allclose(placement.to_region(placement.to_model(points)), points, atol=1e-6)
    assert max(placement.width, placement.height) == MODEL_SIZE


def test_placement_corners_lie_on_the_sectors_corners() -> None:
    placement = place(Box(100, 50, 500, 250))
    corner = np.array([[placement.left - 0.5, placement.top - 0.5]])
    assert np.allclose(placement.to_region(corner), [[99.5, 49.5]])


def test_model_input_bright_spot_comes_back_where_it_was() -> None:
    frame = np.full((480, 640), 20, np.uint8)
    frame[200:206, 410:416] = 255
    placement = place(Box(120, 40, 560, 460))
    image = model_input(frame, placement)
    rows, columns = np.nonzero(image > 128)
    middle = np.array([[columns.mean(), rows.mean()]])
    assert np.allclose(placement.to_region(middle), [[412.5, 202.5]], atol=1.0)


def test_model_input_padding_is_zero_and_sector_is_not() -> None:
    frame = np.zeros((200, 400), np.uint8)
    placement = place(Box(0, 0, 400, 200))
    image = model_input(frame, placement)
    inside = np.zeros_like(image, np.bool_)
    inside[placement.top : placement.top + placement.height, placement.left : placement.left + placement.width] = True
    assert (image[inside] >= 1).all()
    assert (image[~inside] == 0).all()


def test_model_labels_keep_the_area_of_a_line_one_pixel_wide() -> None:
    mask = np.zeros((512, 512), np.bool_)
    mask[np.arange(100, 400), np.arange(100, 400)] = True
    placement = place(Box(0, 0, 512, 512))
    share = model_labels(mask, placement).astype(np.float64) / 255
    assert share.sum() * 4 == pytest.approx(mask.sum(), rel=0.02)


def test_model_input_640x480_takes_little_time() -> None:
    frame, placement = _speckle(480, 640), place(Box(0, 0, 640, 480))
    fastest = float("inf")
    for _ in range(20):
        started = time.perf_counter()
        model_input(frame, placement)
        fastest = min(fastest, time.perf_counter() - started)
    assert fastest < 0.005  # 1.5 ms on an idle core

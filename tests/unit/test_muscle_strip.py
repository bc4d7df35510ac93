"""The muscle between two fasciae, found and straightened."""

import numpy as np
import numpy.typing as npt
import pytest

from service.core.cine import Box, Pixels
from service.core.muscle_strip import Strip, find_strips
from simulator.nuisance import simulate_nuisance
from simulator.trapezius import simulate_trapezius

HEIGHT, WIDTH, SIZE = 240, 320, 32
SECTOR = Box(10, 20, 310, 230)


def speckle(seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(20, 90, (HEIGHT, WIDTH), dtype=np.uint8)


def rows_of(line: float, tilt: float) -> npt.NDArray[np.float64]:
    """Of a tilted line, one a column."""
    return np.asarray(line + tilt * (np.arange(WIDTH) - WIDTH / 2), np.float64)


def scanned(upper: float, lower: float, tilt: float = 0.0, seed: int = 0) -> Pixels:
    """Speckle and two bright lines four rows thick."""
    picture, row = speckle(seed), np.arange(HEIGHT)[:, None]
    for line in (upper, lower):
        picture[np.abs(row - rows_of(line, tilt)) <= 2] = 230
    return picture


@pytest.mark.parametrize("tilt", [-0.1, 0.0, 0.1])
def test_find_strips_of_tilted_muscle_lies_between_the_fasciae(tilt: float) -> None:
    strips = find_strips([scanned(80, 160, tilt, seed) for seed in range(4)], SECTOR, SIZE)
    columns = np.stack([np.linspace(0, SIZE - 1, 9), np.zeros(9)], axis=-1)
    for strip in strips:
        top, bottom = (strip.to_region(columns + np.array([0, down])) for down in (-0.5, SIZE - 0.5))
        for edge, wanted in ((top, 80 + 0.1 * 80), (bottom, 160 - 0.1 * 80)):
            assert edge[:, 1] == pytest.approx(np.interp(edge[:, 0], np.arange(WIDTH), rows_of(wanted, tilt)), abs=3)


@pytest.mark.parametrize(("lower", "expected"), [(230, 1), (160, 2), (130, 3)])
def test_find_strips_of_thin_muscle_are_more_and_span_the_sector(lower: float, expected: int) -> None:
    strips = find_strips([scanned(80, lower)], SECTOR, SIZE)
    assert len(strips) == expected
    assert strips[0].part.x0 - SECTOR.x0 == SECTOR.x1 - strips[-1].part.x1 <= 0.15 * SECTOR.width
    for strip in strips:
        assert strip.part.width == pytest.approx(min(3 * 0.8 * (lower - 80), SECTOR.width), rel=0.1)


def test_strips_of_a_sector_that_is_cut_off_at_the_sides_show_fibres_as_long() -> None:
    frame = scanned(80, 180)
    whole, cut = (find_strips([frame], box, SIZE) for box in (SECTOR, Box(25, 20, 295, 230)))
    assert whole[0].part.width == pytest.approx(cut[0].part.width, abs=4)


def test_straightened_tilted_muscle_is_that_of_a_level_one() -> None:
    pictures = []
    for tilt in (0.0, 0.1):
        frame = scanned(80, 160, tilt)
        row = np.arange(HEIGHT)[:, None] - rows_of(0, tilt)
        frame[np.abs(row - 120) <= 4] = 150  # a streak in the middle of the muscle
        strip, *_ = find_strips([frame], SECTOR, SIZE)
        pictures.append(strip.straighten(frame).astype(np.float64).mean(1))
    assert [int(picture.argmax()) for picture in pictures] == pytest.approx([SIZE // 2] * 2, abs=2)
    assert np.corrcoef(*pictures)[0, 1] > 0.9


def test_straighten_keeps_the_mean_of_what_it_shrinks_and_never_gives_the_value_of_padding() -> None:
    frame = speckle()
    strip = Strip(Box(0, 0, WIDTH, HEIGHT), np.full(SIZE, 40.3, np.float32), np.full(SIZE, 200.7, np.float32))
    assert strip.straighten(frame).mean() == pytest.approx(frame[40:201].mean(), abs=1)
    assert strip.straighten(np.zeros_like(frame)).min() == 1


def test_strip_of_a_sector_narrower_than_the_picture_is_made_wider() -> None:
    frame = scanned(80, 160)
    (strip,) = find_strips([frame], Box(100, 20, 120, 230), SIZE)
    assert strip.straighten(frame).shape == (SIZE, SIZE)


def test_find_strips_of_a_sector_of_a_few_rows_takes_no_part_without_width() -> None:
    for lower in (85, 88, 92):
        for strip in find_strips([scanned(82, lower)], Box(10, 80, 310, 80 + 2 * (lower - 80)), SIZE):
            assert strip.part.width >= 1
            assert strip.straighten(scanned(82, lower)).shape == (SIZE, SIZE)


@pytest.mark.parametrize("lines", [(), (120.0,)])
def test_find_strips_without_two_lines_finds_none(lines: tuple[float, ...]) -> None:
    frame = speckle()
    for line in lines:
        frame[np.abs(np.arange(HEIGHT) - line) <= 2] = 230
    assert find_strips([frame], SECTOR, SIZE) == ()


def test_find_strips_finds_the_simulated_trapezius_and_not_a_probe_in_air() -> None:
    for seed in (1, 6, 11):
        sector = simulate_trapezius(seed, 1).make(0).sector
        assert find_strips([sector], Box(0, 0, sector.shape[1], sector.shape[0]), SIZE)
    found = [find_strips([one], Box(0, 0, one.shape[1], one.shape[0]), SIZE) for one in map(simulate_nuisance, range(12))]
    assert sum(not strips for strips in found) >= len(found) // 2

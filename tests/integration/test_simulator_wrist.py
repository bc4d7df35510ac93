"""Simulated wrists: planes, poses, what lies between, examinations and DICOM files."""

from pathlib import Path

import numpy as np
import pydicom
import pytest
from scipy import ndimage

from service.core.wrist_planes import NO_PLANE, PLANES, STRUCTURES, Plane, structure_number
from simulator.dicom import write_cine
from simulator.wrist import Kind, Volunteer, draw_volunteer, wrist_frame
from simulator.wrist_examination import WristTruth, simulate_wrist
from simulator.wrist_section import Pose, cut
from simulator.wrist_shapes import Bone, Oval
from simulator.write import simulate
from tests.dciodvfy import complaints

_PIECE_PIXELS = 25


@pytest.fixture(scope="module")
def volunteer() -> Volunteer:
    return draw_volunteer(3)


def pieces(labels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], name: str) -> int:
    """Separate areas of a structure, specks left out."""
    found, count = ndimage.label(labels == structure_number(name))
    sizes = ndimage.sum_labels(np.ones_like(found), found, range(1, count + 1)) if count else []
    return int(np.sum(np.asarray(sizes) >= _PIECE_PIXELS))


@pytest.mark.parametrize("plane", PLANES, ids=lambda plane: plane.name)
def test_plane_held_well_shows_all_that_it_requires(volunteer: Volunteer, plane: Plane) -> None:
    frame = wrist_frame(volunteer, 1, "well", plane.name)
    assert frame.plane == plane.name
    assert frame.sector.std() > 10
    for name, count in plane.required:
        assert pieces(frame.labels, name) >= count, name


def test_every_structure_is_shown_by_some_plane(volunteer: Volunteer) -> None:
    shown = {number for plane in PLANES for number in np.unique(wrist_frame(volunteer, 1, "well", plane.name).labels)}
    assert shown == set(range(len(STRUCTURES) + 1))


def test_frame_of_equal_arguments_is_equal_and_of_another_volunteer_is_not(volunteer: Volunteer) -> None:
    one, same = (wrist_frame(volunteer, 4, "badly", "S11") for _ in range(2))
    assert np.array_equal(one.sector, same.sector)
    assert np.array_equal(one.labels, same.labels)
    other = wrist_frame(draw_volunteer(4), 4, "badly", "S11")
    assert one.sector.shape[1] == other.sector.shape[1]
    assert not np.array_equal(one.sector[:150], other.sector[:150])


@pytest.mark.parametrize("kind", ["between", "elsewhere"])
def test_frame_between_planes_or_elsewhere_is_no_plane(volunteer: Volunteer, kind: Kind) -> None:
    assert {wrist_frame(volunteer, number, kind, "S5").plane for number in range(6)} == {NO_PLANE}


def test_tendon_is_darker_when_the_probe_is_tilted_and_the_bone_less_so(volunteer: Volunteer) -> None:
    person, grid = volunteer.person, volunteer.grid
    shapes = (Bone("radius", ((-12, 8), (0, 7.6), (12, 8))), Oval("extensor_digitorum", "tendon across", (0, 4), (8, 3)))
    power = {}
    for tilt in (0.0, 12.0):
        section = cut(person, shapes, Pose(tilt_deg=tilt), grid, (0.0, 0.0))
        power[tilt] = [
            float((np.abs(section.scatter[section.labels == structure_number(name)]) ** 2).mean())
            for name in ("extensor_digitorum", "radius")
        ]
    assert power[12.0][0] < 0.2 * power[0.0][0]
    assert power[12.0][1] > 0.5 * power[0.0][1]


def test_bone_leaves_a_shadow(volunteer: Volunteer) -> None:
    person, grid = volunteer.person, volunteer.grid
    bare, shaded = (
        np.abs(cut(person, shapes, Pose(), grid, (0.0, 0.0)).scatter[-40:, 120:190]).mean()
        for shapes in ((), (Bone("radius", ((-12, 8), (12, 8))),))
    )
    assert shaded < 0.1 * bare


def test_what_runs_along_leaves_the_picture_when_the_probe_turns(volunteer: Volunteer) -> None:
    nerve = wrist_frame(volunteer, 1, "well", "S10").labels == structure_number("median_nerve")
    assert np.ptp(np.flatnonzero(nerve.any(0))) > 300  # nearly the whole width
    turned = [wrist_frame(volunteer, number, "badly", "S10") for number in range(30)]
    far = [f for f in turned if abs(f.pose.turn_deg) > 6]
    assert far
    widths = [np.count_nonzero((f.labels == structure_number("median_nerve")).any(0)) for f in far]
    assert max(widths) < 300


def test_examination_visits_all_planes_with_at_least_a_fifth_between_them() -> None:
    examination = simulate_wrist(11)
    planes = list(examination.truth.plane)
    assert len(planes) == examination.number_of_frames
    assert set(planes) == {*(plane.name for plane in PLANES), None}
    assert planes.count(None) / len(planes) >= 0.2
    held = next(index for index in range(len(planes)) if planes[index : index + 10] == ["S11"] * 10)
    assert examination.make(held + 8).plane == "S11"


def test_grade_of_an_examination_is_a_where_the_probe_is_held_still_and_worse_on_the_way() -> None:
    examination = simulate_wrist(11)
    grades = np.array([one or "-" for one in examination.truth.grade]).reshape(len(PLANES), -1)
    assert (grades[:, 6:18] == "A").all()
    assert set(grades[:, :5].ravel()) & {"B", "C"}
    assert [one is None for one in examination.truth.grade] == [one is None for one in examination.truth.plane]


def test_truth_of_an_examination_has_the_nerve_of_the_published_size() -> None:
    truths = [simulate_wrist(seed, 1).truth for seed in range(1, 21)]
    assert np.mean([truth.median_nerve_area_mm2 for truth in truths]) == pytest.approx(8.7, abs=1.0)
    assert np.mean([truth.median_nerve_flattening for truth in truths]) == pytest.approx(2.66, abs=0.4)


def test_devices_of_both_groups_have_frequencies_of_their_own() -> None:
    common, held_out = (
        [draw_volunteer(seed, group).device.frequency_mhz for seed in range(1, 6)] for group in ("common", "held-out")
    )
    assert min(common) >= 10.8
    assert max(common) <= 18
    assert max(held_out) < min(common)


def test_simulate_writes_an_examination_that_the_validator_passes(tmp_path: Path) -> None:
    (path,) = simulate("wrist", tmp_path, n=1, seed=2, transfer_syntax="jpeg", number_of_frames=3)
    truth = WristTruth.model_validate_json(path.with_suffix(".truth.json").read_text())
    assert len(truth.plane) == len(truth.grade) == len(truth.tilt_deg) == 3
    read = pydicom.dcmread(path)
    assert read.BodyPartExamined == "WRIST"
    assert read.AnatomicRegionSequence[0].CodeValue == "74670003"
    write_cine(simulate_wrist(2, 3), tmp_path / "again.dcm", "jpeg")
    assert (tmp_path / "again.dcm").read_bytes() == path.read_bytes()
    assert complaints(path) == []

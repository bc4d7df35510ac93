"""Grades of pictures whose structures are drawn by hand, and of simulated ones whose structures are known."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from service.core.cine import Box
from service.core.measure.plane import Scale
from service.core.measure.wrist_grading import Seen, faults_of, missing_structures
from service.core.measure.wrist_structures import structures_in
from service.core.preprocess import model_input, model_numbers, place
from service.core.quality import Fault, Grade, grade_of
from service.core.wrist_planes import PLANES, structure_number
from simulator.wrist import draw_volunteer, wrist_frame

SIZE = 192
#: Compartment VI asks for the ulna and one tendon.
PLANE = PLANES[3]
BONE, TENDON = structure_number("ulna"), structure_number("extensor_carpi_ulnaris")
SURE = 255


def seen(
    *,
    bone: tuple[int, int] | None = (40, 150),
    tendon: tuple[int, int] | None = (80, 110),
    tendon_grey: int = 120,
    rows: tuple[int, int] = (60, 110),
    gap: int = 0,
    sure: int = SURE,
    unit: Any = "mm",
) -> Seen:
    """A tendon over a bone with a bright surface, in grey 60; columns and rows in model pixels."""
    placement = place(Box(0, 0, 372, 250), SIZE)
    image = model_input(np.full((250, 372), 60, np.uint8), placement)
    numbers = np.zeros((SIZE, SIZE), np.uint8)
    if bone is not None:
        numbers[rows[1] : rows[1] + 8, slice(*bone)] = BONE
        image[rows[1], slice(*bone)] = 250
        image[rows[1] - 3 : rows[1] + 4, bone[0] : bone[0] + gap] = 60
    if tendon is not None:
        numbers[rows[0] : rows[0] + 14, slice(*tendon)] = TENDON
        image[rows[0] : rows[0] + 14, slice(*tendon)] = tendon_grey
    return Seen(PLANE, image, numbers, placement, Scale(0.2, 0.2, unit), structures_in(numbers, np.full_like(numbers, sure)))


def reasons(picture: Seen, usual: dict[str, float] | None = None) -> list[str]:
    return [fault.reason for fault in faults_of(picture, usual or {})]


def test_picture_that_shows_all_as_it_should_is_graded_a() -> None:
    assert reasons(seen()) == []
    assert grade_of(faults_of(seen(), {})) is Grade.A


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"tendon_grey": 58}, "tendons_dark"),
        ({"gap": 40}, "bone_interrupted"),
        ({"bone": (5, 75), "tendon": (10, 40)}, "off_centre"),
        ({"bone": (112, 186), "tendon": (150, 180)}, "off_centre"),
        ({"rows": (60, 76)}, "too_deep"),
        ({"rows": (147, 100)}, "too_shallow"),
    ],
)
def test_picture_with_one_fault_is_graded_b_and_says_which(changes: dict[str, Any], reason: str) -> None:
    faults = faults_of(seen(**changes), {})
    assert [fault.reason for fault in faults] == [reason]
    assert grade_of(faults) is Grade.B


def test_bone_that_goes_on_to_the_lower_edge_is_not_cut_off() -> None:
    assert "too_shallow" not in reasons(seen(rows=(90, 153)))


@pytest.mark.parametrize("changes", [{"tendon": None}, {"sure": 150}])
def test_picture_without_a_required_structure_is_graded_c_and_names_it(changes: dict[str, Any]) -> None:
    picture = seen(**changes)
    assert "extensor_carpi_ulnaris" in missing_structures(picture)
    faults = faults_of(picture, {})
    assert "missing_extensor_carpi_ulnaris" in [fault.reason for fault in faults]
    assert "Extensor carpi ulnaris".lower() in " ".join(fault.text for fault in faults)
    assert grade_of(faults) is Grade.C


@pytest.mark.parametrize(
    ("usual", "expected"),
    [(16.8, []), (40.0, ["size_extensor_carpi_ulnaris"]), (8.0, ["size_extensor_carpi_ulnaris"])],
)
def test_size_is_judged_against_the_usual_one_where_there_is_a_scale(usual: float, expected: list[str]) -> None:
    areas = {"extensor_carpi_ulnaris": usual}
    assert reasons(seen(), areas) == expected
    assert reasons(seen(unit="{pixels}"), areas) == []


def test_structure_that_is_required_twice_is_missing_when_seen_once() -> None:
    numbers = np.zeros((SIZE, SIZE), np.uint8)
    numbers[60:80, 40:90] = structure_number("phalanx")
    structures = structures_in(numbers, np.full_like(numbers, SURE))
    base = seen()
    assert "phalanx" in missing_structures(Seen(PLANES[8], base.image, numbers, base.placement, base.scale, structures))


def test_joint_between_two_required_pieces_is_no_interruption_and_a_third_gap_is() -> None:
    base, phalanx = seen(), structure_number("phalanx")
    numbers = np.zeros((SIZE, SIZE), np.uint8)
    numbers[100:112, 20:90] = numbers[100:112, 125:175] = phalanx
    image = np.where(numbers > 0, np.uint8(250), base.image)

    def graded(image: npt.NDArray[np.uint8], numbers: npt.NDArray[np.uint8]) -> list[str]:
        structures = structures_in(numbers, np.full_like(numbers, SURE))
        return reasons(Seen(PLANES[8], image, numbers, base.placement, base.scale, structures))

    assert "bone_interrupted" not in graded(image, numbers)
    numbers[100:112, 40:75], image[100:112, 40:75] = 0, 60
    assert "bone_interrupted" in graded(image, numbers)


def test_specks_are_no_pieces() -> None:
    numbers = np.zeros((SIZE, SIZE), np.uint8)
    numbers[10:12, 10:12] = BONE
    assert structures_in(numbers, np.full_like(numbers, SURE)) == {}


def test_three_faults_or_a_grave_one_make_a_c() -> None:
    light, grave = Fault(reason="light", text="light"), Fault(reason="grave", text="grave", is_grave=True)
    assert [grade_of([light] * count) for count in range(4)] == [Grade.A, Grade.B, Grade.B, Grade.C]
    assert grade_of([grave]) is Grade.C


def test_simulated_pictures_held_well_are_graded_better_than_those_held_badly() -> None:
    volunteer = draw_volunteer(5)
    share = {}
    for kind in ("well", "badly"):
        grades = []
        for number, plane in enumerate(PLANES):
            frame = wrist_frame(volunteer, number, "well" if kind == "well" else "badly", plane.name)
            placement = place(Box(0, 0, frame.sector.shape[1], frame.sector.shape[0]), SIZE)
            image, numbers = model_input(frame.sector, placement), model_numbers(frame.labels, placement)
            structures = structures_in(numbers, np.full_like(numbers, SURE))
            picture = Seen(plane, image, numbers, placement, Scale(0.19, 0.19, "mm"), structures)
            grades.append(grade_of(faults_of(picture, {})))
        share[kind] = np.mean([grade is Grade.A for grade in grades])
    assert share["well"] >= 0.7
    assert share["well"] > share["badly"]

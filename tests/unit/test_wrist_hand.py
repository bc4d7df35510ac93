"""The analysis through its public door: simulated pictures and the answers of a network that knows them, findings out."""

import weakref
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest

from service.core.analyses.analysis import ModelSpec, Tensors
from service.core.analyses.wrist_hand import SIZE, WristHand
from service.core.cine import Box, Frame
from service.core.findings import Finding, FindingKind, ModelUsed
from service.core.measure.wrist_frames import GradedFrame, Nerve
from service.core.measure.wrist_second_look import cut, round_nerve
from service.core.measure.wrist_structures import structures_in
from service.core.measure.wrist_study import Tick, examinations, study_findings
from service.core.preprocess import place
from service.core.quality import Grade
from service.core.wrist_planes import PLANES, STRUCTURES, structure_number
from simulator.wrist import Volunteer, draw_volunteer, median_nerve_mm2
from tests.wrist_parts import Numbers, analyse, cine_of, knowing, pictures, well


@pytest.fixture(scope="module")
def volunteer() -> Volunteer:
    return draw_volunteer(11)


def named(findings: Sequence[Finding], name: str) -> list[Finding]:
    return [finding for finding in findings if finding.name == name]


def test_examination_gives_each_plane_its_best_frame_and_names_those_that_are_missing(volunteer: Volunteer) -> None:
    shown = pictures(volunteer, *well("S11", 5), *well("S2", 6))
    found = analyse(shown)
    planes = named(found, "standard_plane")
    assert [finding.value for finding in planes] == ["S2", "S11"]
    for finding in planes:
        assert finding.kind is FindingKind.CLASSIFICATION
        assert finding.flags[0] in {"grade_a", "grade_b", "grade_c"}
        (frame,) = finding.evidence.frames
        assert shown[frame - 1].plane == finding.value
        assert {line.label for line in finding.evidence.lines} <= set(STRUCTURES)
        assert {line.frame for line in finding.evidence.lines} == {frame}
    (quality,) = named(found, "image_quality")
    assert quality.kind is FindingKind.QUALITY
    assert quality.text.startswith("Of 11 frames ")
    assert [one.frame for one in quality.shown_frames] == list(range(1, 12))
    last = quality.shown_frames[-1]
    assert (last.plane, last.grade) == ("S2", planes[0].flags[0].removeprefix("grade_").upper())
    assert {"radius", "lister_tubercle"} <= set(last.structures)
    assert all((one.grade is None) == (one.plane is None) for one in quality.shown_frames)
    (together,) = study_findings(found)
    assert together.value == pytest.approx(100 * 2 / 15)
    assert len(together.flags) == 13
    assert "S5 Dorsal longitudinal wrist" in together.text


def ticks_of(findings: Sequence[Finding]) -> dict[str, Tick]:
    (examination,) = examinations(findings)
    return {tick.plane.name: tick for tick in examination.ticks}


def test_each_hand_has_a_checklist_of_its_own(volunteer: Volunteer) -> None:
    (left,) = named(analyse(pictures(volunteer, *well("S2", 3))), "standard_plane")
    assert left.site is not None
    right = left.model_copy(update={"site": left.site.model_copy(update={"laterality": "right"}), "value": "S4"})
    together = study_findings([left, right])
    assert [one.site and one.site.laterality for one in together] == ["left", "right"]
    assert ["missing_s4" in one.flags for one in together] == [True, False]
    assert ["missing_s2" in one.flags for one in together] == [False, True]


def test_best_picture_of_a_plane_comes_from_whichever_cine_shows_it_better(volunteer: Volunteer) -> None:
    (good,) = named(analyse(pictures(volunteer, *well("S2", 3))), "standard_plane")
    worse = good.model_copy(update={"flags": ("grade_c", "off_centre"), "probability": 1.0})
    for given in ([good, worse], [worse, good]):
        assert ticks_of(given)["S2"].best is good
    ticks = ticks_of([good, worse])
    assert (ticks["S5"].best, ticks["S5"].grade) == (None, None)


def test_nerve_is_within_a_tenth_of_its_truth_and_outlined_on_the_best_frame(volunteer: Volunteer) -> None:
    found = analyse(pictures(volunteer, *well("S11", 6)))
    (area,), (flattening,) = named(found, "median_nerve_area"), named(found, "median_nerve_flattening")
    assert area.value == pytest.approx(median_nerve_mm2(volunteer), rel=0.1)
    assert area.unit == "mm2"
    assert area.flags == ("nerve_outline_uncertain",)
    assert (area.reference_range or "").endswith("Roll 2023")
    assert flattening.reference_range is None
    assert area.range is not None
    assert area.range[0] <= float(str(area.value)) <= area.range[1]
    assert flattening.value == pytest.approx(volunteer.hand.nerve_flattening, rel=0.25)
    (outline,) = area.evidence.lines
    assert outline.label == "median_nerve"
    assert outline.frame == area.evidence.frames[0]
    assert outline.points[0] == outline.points[-1]
    assert "median of 6 frames" in area.text


def test_nerve_is_measured_and_outlined_as_the_second_look_draws_it(volunteer: Volunteer) -> None:
    shown = pictures(volunteer, *well("S11", 4), *well("S2", 4))
    once, thinner = analyse(shown), analyse(shown, at_second_look=without_its_upper_edge)
    (before,), (after,) = named(once, "median_nerve_area"), named(thinner, "median_nerve_area")
    assert 0.8 * float(str(before.value)) < float(str(after.value)) < 0.95 * float(str(before.value))
    assert lowest(after) == pytest.approx(lowest(before), abs=0.01)
    assert highest(after) > highest(before) + 0.5
    (plane,) = [finding for finding in named(thinner, "standard_plane") if finding.value == "S11"]
    (outline,) = [line for line in plane.evidence.lines if line.label == "median_nerve"]
    assert outline == after.evidence.lines[0]
    (quality, quality_once) = (named(found, "image_quality")[0] for found in (thinner, once))
    assert quality == quality_once


@pytest.mark.parametrize("drawn", ["nothing", "elsewhere", "half"])
def test_first_look_holds_where_the_second_shows_no_nerve_or_another_one(volunteer: Volunteer, drawn: str) -> None:
    def at_second_look(numbers: Numbers) -> Numbers:
        nerve = numbers == structure_number("median_nerve")
        rest = np.where(nerve, np.uint8(0), numbers)
        if drawn == "elsewhere":
            rest[np.roll(nerve, 90, axis=0)] = structure_number("median_nerve")
        if drawn == "half":
            rest[nerve & (np.arange(SIZE) > np.flatnonzero(nerve.any(0)).mean())] = structure_number("median_nerve")
        return rest

    found = analyse(pictures(volunteer, *well("S11", 3)), at_second_look=at_second_look)
    (area,) = named(found, "median_nerve_area")
    assert area.value == pytest.approx(median_nerve_mm2(volunteer), rel=0.1)
    (outline,) = area.evidence.lines
    assert outline.points[0] == outline.points[-1]


@pytest.mark.parametrize(("left", "wanted"), [(0, (40, 190)), (100, (103, 253)), (180, (140, 290))])
def test_second_look_stays_inside_the_sector(left: int, wanted: tuple[int, int]) -> None:
    placement = place(Box(40, 10, 290, 160), SIZE)
    numbers = np.zeros((SIZE, SIZE), np.uint8)
    numbers[90:98, left : left + 12] = structure_number("median_nerve")
    found = structures_in(numbers, numbers)
    frame = GradedFrame(1, PLANES[10], 0.9, Grade.B, (), found, Nerve(8.0, 2.0))
    closer = round_nerve(frame, placement)
    assert closer is not None
    looked_at = np.argwhere(cut(np.ones((320, 320), np.uint8), closer))[:, ::-1]
    first, last = closer.to_region(np.stack([looked_at.min(0) - 0.5, looked_at.max(0) + 0.5])) + 0.5
    assert (first[0], last[0]) == pytest.approx(wanted, abs=2)
    assert (first[1], last[1]) == pytest.approx((10, 160), abs=0.5)
    assert round_nerve(replace(frame, grade=Grade.C), placement) is None


def test_frames_that_wait_for_their_answer_are_not_kept_whole(volunteer: Volunteer) -> None:
    shown = pictures(volunteer, *well("S11", 9))
    alive: list[weakref.ref[Numbers]] = []
    waiting: list[int] = []

    def frames() -> Iterator[Frame]:
        for number, one in enumerate(shown, start=1):
            pixels = one.sector.copy()
            alive.append(weakref.ref(pixels))
            yield Frame(number, pixels)

    def infer(model: ModelSpec, batches: Iterable[Tensors]) -> Iterator[Tensors]:
        ahead = list(batches)
        waiting.append(sum(one() is not None for one in alive))
        return knowing(shown)(model, ahead)

    model = ModelUsed(name="wrist_hand", version="1", sha256="cd" * 32, evidence="simulated")
    found = WristHand(frames_per_batch=2).analyse(replace(cine_of(shown), frames=frames), infer, lambda _: model)
    assert named(found, "median_nerve_area")
    # The first four, in which the sector is found, wait together.
    assert waiting[0] <= 4


def without_its_upper_edge(numbers: Numbers) -> Numbers:
    """The uppermost pixel of the nerve in each column taken away."""
    nerve = numbers == structure_number("median_nerve")
    below = np.roll(nerve, 1, axis=0)
    return np.where(nerve & ~below, np.uint8(0), numbers)


def lowest(finding: Finding) -> float:
    return max(y for _, y in finding.evidence.lines[0].points)


def highest(finding: Finding) -> float:
    return min(y for _, y in finding.evidence.lines[0].points)


def test_cine_without_a_scale_has_neither_area_nor_flattening_of_the_nerve(volunteer: Volunteer) -> None:
    found = analyse(pictures(volunteer, *well("S11", 3)), is_calibrated=False)
    assert named(found, "standard_plane")
    assert named(found, "median_nerve_area") == named(found, "median_nerve_flattening") == []


def test_cine_that_shows_no_plane_is_not_measured_and_says_so(volunteer: Volunteer) -> None:
    (finding,) = analyse(pictures(volunteer, ("elsewhere", "S1"), ("elsewhere", "S1"), ("elsewhere", "S1")))
    assert finding.kind is FindingKind.NOT_MEASURED
    assert finding.flags == ("no_standard_plane", "grade_c")


def test_still_picture_is_graded_too(volunteer: Volunteer) -> None:
    found = analyse(pictures(volunteer, ("well", "S4")))
    assert [finding.value for finding in named(found, "standard_plane")] == ["S4"]


def test_findings_have_identifiers_of_their_own_and_the_same_each_time(volunteer: Volunteer) -> None:
    shown = pictures(volunteer, *well("S11", 3), *well("S12", 4))
    first, again = analyse(shown), analyse(shown)
    assert len({finding.finding_id for finding in first}) == len(first)
    assert first == again

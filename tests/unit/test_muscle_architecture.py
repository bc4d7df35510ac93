"""The analysis through its public door: a cine and a network's answers in, findings out."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pytest

from service.core.analyses.analysis import ModelSpec, Tensors
from service.core.analyses.muscle_architecture import MODEL, MuscleArchitecture
from service.core.cine import Calibration, Cine, Frame, Pixels
from service.core.findings import Finding, FindingKind
from service.core.measure.intervals import load_calibration
from service.errors import NotMeasurable
from tests.analysed_contraction import analyse_contraction, contraction_findings, with_weights
from tests.phantoms import CALIBRATED, Masks, Muscle, cine_of, described, muscle_cine, scripted

NAMES = [
    "thickness",
    "pennation_angle",
    "fascicle_angle",
    "superficial_aponeurosis_angle",
    "deep_aponeurosis_angle",
    "fascicle_length",
    "fascicle_extrapolated_share",
    "thickness_at_25_percent",
    "thickness_at_50_percent",
    "thickness_at_75_percent",
    "echo_intensity",
    "contraction_count",
    "pennation_excursion",
    "fascicle_excursion",
    "shortening_velocity",
    "image_quality",
]
NOTHING: Masks = np.zeros((3, 256, 256), np.uint8)
PENNATIONS = (14.0, 17.0, 20.0, 23.0, 26.0)


def contraction() -> list[Muscle]:
    return [Muscle(fascicle_angle_deg=angle, deep_angle_deg=0.0) for angle in PENNATIONS]


def analyse(cine: Cine, answers: Iterable[Masks]) -> dict[str, Finding]:
    findings = MuscleArchitecture().analyse(cine, scripted(answers), described)
    assert len({finding.finding_id for finding in findings}) == len(findings)
    return {finding.name: finding for finding in findings}


def of(muscles: list[Muscle], **options: bool | int) -> dict[str, Finding]:
    return analyse(muscle_cine(muscles, **options), [muscle.answer() for muscle in muscles])  # type: ignore[arg-type]  # of mixed types


def test_cine_of_a_contraction_gives_each_measurement_with_its_series() -> None:
    found = of(contraction())
    assert list(found) == NAMES
    pennation = found["pennation_angle"]
    assert pennation.value == pytest.approx(20, abs=0.8)
    assert pennation.range == pytest.approx((14, 26), abs=1.0)
    assert pennation.series is not None
    assert pennation.series.values == pytest.approx(PENNATIONS, abs=1.0)
    assert pennation.series.time_seconds == pytest.approx((0, 0.04, 0.08, 0.12, 0.16))
    assert found["thickness"].value == pytest.approx(18, abs=0.3)
    assert found["thickness"].unit == "mm"
    assert found["fascicle_length"].value == pytest.approx(18 / np.sin(np.radians(20)), rel=0.06)
    unseen = found["fascicle_extrapolated_share"]
    assert unseen.unit == "%"
    assert isinstance(unseen.value, float)
    assert 0 < unseen.value < 100
    assert found["image_quality"].value == pytest.approx(100)
    assert found["image_quality"].kind is FindingKind.QUALITY


def test_cine_of_a_whole_contraction_gives_its_course_and_its_numbers() -> None:
    found = {finding.name: finding for finding in contraction_findings()}
    (one,) = found["contraction_count"].contractions
    assert found["contraction_count"].value == pytest.approx(1)
    assert one.has_ended
    assert one.rest_frame <= 3
    assert 7 <= one.peak_frame <= 10
    assert one.rest_seconds is not None
    assert one.pennation.excursion == pytest.approx(12, abs=1.5)
    excursion = found["pennation_excursion"]
    assert excursion.value == pytest.approx(one.pennation.excursion, abs=1e-3)
    assert excursion.interval is not None
    assert excursion.interval.low < 12 < excursion.interval.high
    assert excursion.evidence.frames == (one.rest_frame, one.peak_frame)
    assert found["fascicle_excursion"].value == pytest.approx(18 / np.sin(np.radians(14)) - 18 / np.sin(np.radians(26)), rel=0.15)
    assert found["shortening_velocity"].unit == "mm/s"
    assert "thickness_excursion" not in found
    series = found["pennation_angle"].series
    assert series is not None
    assert len(series.smoothed) == len(series.low) == len(series.high) == len(series.values)
    assert series.left_out == ()


def test_cine_with_one_impossible_frame_keeps_its_value_and_leaves_it_out() -> None:
    muscles = [Muscle(deep_angle_deg=0.0)] * 10
    odd = Muscle(deep_angle_deg=0.0, thickness_mm=26.0)
    answers = [muscle.answer() for muscle in muscles]
    answers[4] = odd.answer()
    found = analyse(muscle_cine([*muscles[:4], odd, *muscles[5:]]), answers)
    thickness = found["thickness"]
    assert thickness.series is not None
    assert thickness.series.values[4] == pytest.approx(26, abs=0.5)
    assert thickness.series.left_out == (5,)
    assert thickness.range == pytest.approx((18, 18), abs=0.3)
    assert thickness.evidence.frames[0] != 5
    assert "impossible_frames_left_out" in thickness.flags
    assert "9 of 10 frames" in thickness.text
    assert "aponeuroses_jump" in found["image_quality"].flags
    assert "In 1, an aponeurosis jumps as tissue cannot" in found["image_quality"].text


def test_cine_of_a_muscle_at_rest_says_that_there_is_no_contraction() -> None:
    found = of([Muscle(deep_angle_deg=0.0)] * 8)
    count = found["contraction_count"]
    assert count.value == pytest.approx(0)
    assert count.text.startswith("No contraction")
    assert count.contractions == ()
    assert "pennation_excursion" not in found


def test_single_frame_has_no_course_and_no_contractions() -> None:
    found = of([Muscle()])
    assert found["thickness"].series is not None
    assert found["thickness"].series.smoothed == ()
    assert "contraction_count" not in found


def test_contraction_without_scale_or_time_has_no_velocity() -> None:
    muscles = [Muscle(fascicle_angle_deg=float(angle), deep_angle_deg=0.0) for angle in np.linspace(14, 26, 8)]
    assert "shortening_velocity" not in of(muscles, is_calibrated=False)
    cine = cine_of([muscle.draw()[0] for muscle in muscles], Calibration(0.1, 0.1, CALIBRATED), frame_seconds=None)
    found = analyse(cine, [muscle.answer() for muscle in muscles])
    assert found["contraction_count"].value == pytest.approx(1)
    assert found["contraction_count"].contractions[0].rest_seconds is None
    assert "shortening_velocity" not in found


def test_thickness_at_three_positions_follows_the_lines_and_has_the_mean_as_thickness() -> None:
    found = of([Muscle(superficial_angle_deg=2.0, deep_angle_deg=-2.0)])
    positions = [found[f"thickness_at_{share}_percent"].value for share in (25, 50, 75)]
    assert all(isinstance(value, float) for value in positions)
    left, middle, right = (float(str(value)) for value in positions)
    assert left < middle < right
    assert found["thickness"].value == pytest.approx((left + middle + right) / 3)


def test_finding_can_be_traced_to_frame_region_scale_and_model() -> None:
    finding = of(contraction())["fascicle_length"]
    evidence = finding.evidence
    assert evidence.sop_instance_uid == "2.25.4711"
    assert len(evidence.frames) == len(evidence.time_seconds) == 1
    assert evidence.region_index == 1
    assert evidence.calibration is not None
    assert evidence.calibration.mm_per_pixel_x == pytest.approx(0.1)
    assert evidence.pixel_sha256 == "ab" * 32
    assert finding.model == described(MODEL)
    assert finding.site is not None
    assert finding.site.laterality == "left"
    assert finding.interval is None
    assert {line.label for line in evidence.lines} == {"superficial_aponeurosis", "deep_aponeurosis", "fascicle"}


def test_lines_of_evidence_lie_on_the_stored_frame_where_they_were_drawn() -> None:
    muscle = Muscle(deep_angle_deg=-3)
    evidence = of([muscle], left=120)["thickness"].evidence
    deep = next(line for line in evidence.lines if line.label == "deep_aponeurosis")
    columns, rows = np.array(deep.points).T
    x_mm = (columns - 120 + 0.5) * 0.1 - muscle.width_mm / 2
    expected = (muscle.superficial_mm + muscle.thickness_mm - x_mm * np.tan(np.radians(-3))) / 0.1 - 0.5
    assert rows == pytest.approx(expected, abs=2)
    assert columns.min() < 130
    assert columns.max() > 555


def test_identifiers_are_the_same_for_the_same_instance() -> None:
    first, second = of(contraction()), of(contraction())
    assert [finding.finding_id for finding in first.values()] == [finding.finding_id for finding in second.values()]
    assert first == second


def test_cine_without_scale_gives_pixels_and_says_so() -> None:
    found = of([Muscle()], is_calibrated=False)
    thickness = found["thickness"]
    assert thickness.unit == "{pixels}"
    assert thickness.value == pytest.approx(180, abs=3)
    assert "not_calibrated" in thickness.flags
    assert thickness.evidence.calibration is not None
    assert thickness.evidence.calibration.mm_per_pixel_x is None
    assert thickness.evidence.calibration.reason == "the cine has no calibrated region"
    assert found["pennation_angle"].value == pytest.approx(20, abs=0.8)
    assert "square_pixels_assumed" in found["pennation_angle"].flags


def test_cine_without_time_has_a_series_without_times() -> None:
    cine = cine_of([Muscle().draw()[0]] * 2, Calibration(0.1, 0.1, CALIBRATED), frame_seconds=None)
    series = analyse(cine, [Muscle().answer()] * 2)["thickness"].series
    assert series is not None
    assert series.time_seconds == (None, None)


def test_frames_that_show_nothing_are_null_counted_and_said() -> None:
    muscles = contraction()
    answers = [muscle.answer() for muscle in muscles]
    answers[1], answers[3] = NOTHING, NOTHING
    found = analyse(muscle_cine(muscles), answers)
    series = found["thickness"].series
    assert series is not None
    assert [value is None for value in series.values] == [False, True, False, True, False]
    assert "some_frames_not_measured" in found["thickness"].flags
    assert "3 of 5 frames" in found["thickness"].text
    assert found["image_quality"].value == pytest.approx(60)
    assert found["image_quality"].flags == ("grade_b", "no_aponeuroses")
    assert "Grade B: fascicles were measured in 60% of the frames" in found["image_quality"].text
    assert found["thickness"].evidence.frames[0] in {1, 3, 5}


def noise() -> Masks:
    return np.random.default_rng(5).integers(0, 256, (3, 256, 256)).astype(np.uint8)


def only_lines() -> Masks:
    masks = Muscle().answer()
    return np.stack([masks[0], np.zeros_like(masks[1]), masks[2]])


def without_belly() -> Masks:
    masks = Muscle().answer()
    return np.stack([masks[0], masks[1], np.zeros_like(masks[2])])


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (NOTHING, "no_aponeuroses"),
        (np.full((3, 256, 256), 255, np.uint8), "no_aponeuroses"),
        (noise(), "no_aponeuroses"),
        (without_belly(), "no_muscle_belly"),
    ],
    ids=["blank", "full", "noise", "no belly"],
)
def test_input_that_is_no_muscle_gives_one_not_measured_with_the_reason(answer: Masks, reason: str) -> None:
    cine = muscle_cine([Muscle()] * 3)
    findings = MuscleArchitecture().analyse(cine, scripted([answer] * 3), described)
    assert [(finding.name, finding.kind) for finding in findings] == [("not_measured", FindingKind.NOT_MEASURED)]
    assert findings[0].flags == (reason, "grade_c")
    assert findings[0].value is None
    assert findings[0].series is None
    assert findings[0].text.startswith("Not measured: ")


def test_lines_without_fascicles_in_any_frame_are_not_believed_to_be_muscle() -> None:
    (finding,) = analyse(muscle_cine([Muscle()] * 2), [only_lines()] * 2).values()
    assert (finding.name, finding.flags) == ("not_measured", ("no_coherent_fascicles", "grade_c"))
    assert "two lines were found in 2 of 2 frames" in finding.text


def test_muscle_without_visible_fascicles_in_some_frames_gives_its_thickness_in_all() -> None:
    found = analyse(muscle_cine([Muscle()] * 3), [Muscle().answer(), only_lines(), Muscle().answer()])
    thickness, pennation = found["thickness"].series, found["pennation_angle"].series
    assert thickness is not None
    assert pennation is not None
    assert [value is None for value in thickness.values] == [False] * 3
    assert [value is None for value in pennation.values] == [False, True, False]
    assert "some_frames_not_measured" in found["pennation_angle"].flags


def test_contraction_of_weights_without_calibration_has_no_interval() -> None:
    found = {finding.name: finding for finding in analyse_contraction("cd" * 32)}
    excursion = found["pennation_excursion"]
    assert excursion.interval is None
    assert "interval_from_simulation" not in excursion.flags
    assert excursion.text.startswith("Pennation excursion 1")
    (one,) = found["contraction_count"].contractions
    assert (one.pennation.low, one.shortening_velocity_high) == (None, None)


@pytest.mark.parametrize("is_calibrated", [True, False])
def test_excursion_of_what_leans_on_the_pictures_aspect_needs_a_scale_for_its_interval(*, is_calibrated: bool) -> None:
    findings = analyse_contraction(load_calibration().weights_sha256, is_calibrated=is_calibrated)
    found = {finding.name: finding for finding in findings}
    assert (found["pennation_excursion"].interval is not None) is is_calibrated
    assert ("interval_from_simulation" in found["pennation_excursion"].flags) is is_calibrated


@pytest.mark.parametrize("is_calibrated", [True, False])
def test_interval_of_what_leans_on_the_pictures_aspect_needs_a_scale(*, is_calibrated: bool) -> None:
    cine = muscle_cine([Muscle()] * 2, is_calibrated=is_calibrated)
    weights = load_calibration().weights_sha256
    findings = MuscleArchitecture().analyse(cine, scripted([Muscle().answer()] * 2), lambda model: with_weights(model, weights))
    found = {finding.name: finding.interval is not None for finding in findings}
    assert (found["thickness"], found["pennation_angle"], found["fascicle_length"]) == (True, is_calibrated, is_calibrated)


def test_muscle_in_one_frame_of_many_is_not_believed() -> None:
    muscles = [Muscle()] * 12
    found = analyse(muscle_cine(muscles), [Muscle().answer(), *[NOTHING] * 11])
    assert list(found) == ["not_measured"]


def test_cine_without_frames_is_not_measurable() -> None:
    cine = cine_of([Muscle().draw()[0]], Calibration(0.1, 0.1, CALIBRATED))
    empty = Cine(**{name: getattr(cine, name) for name in cine.__slots__} | {"frames": lambda: iter(())})
    with pytest.raises(NotMeasurable) as caught:
        MuscleArchitecture().analyse(empty, scripted([]), described)
    assert caught.value.reason == "no_frames"


def in_colour(cine: Cine, numbers: Sequence[int], where: tuple[slice, slice]) -> Cine:
    """The cine as a scanner stores it in RGB, a patch red in some frames."""

    def picture(number: int) -> Pixels:
        pixels = cine.picture(number).copy()
        if number in numbers:
            pixels[where] = (230, 30, 20)
        return pixels

    return Cine(**{name: getattr(cine, name) for name in cine.__slots__} | {"picture": picture, "is_colour": True})


@pytest.mark.parametrize("numbers", [[1], [7, 8], [12]], ids=["at the start", "in the middle", "at the end"])
def test_cine_with_colour_over_its_sector_is_not_measurable(numbers: list[int]) -> None:
    muscles = [Muscle()] * 12
    cine = muscle_cine(muscles)
    middle = slice(cine.rows // 3, cine.rows // 2), slice(cine.columns // 3, cine.columns // 2)
    with pytest.raises(NotMeasurable, match="Colour lies over") as caught:
        analyse(in_colour(cine, numbers, middle), [muscle.answer() for muscle in muscles])
    assert caught.value.reason == "colour_overlay"


def test_cine_with_a_coloured_console_around_its_sector_is_measured() -> None:
    image = Muscle().draw()[0]
    screen = np.zeros((image.shape[0] + 60, image.shape[1] + 80), np.uint8)
    screen[40:-20, 40:-40] = image
    cine = in_colour(cine_of([screen], Calibration(0.1, 0.1, CALIBRATED)), [1], (slice(0, 30), slice(None)))
    assert "not_measured" not in analyse(cine, [Muscle().answer()])


def test_batches_are_made_when_asked_for_and_none_is_kept() -> None:
    image, answer = Muscle().draw()[0], Muscle().answer()
    taken = asked = 0

    def frames() -> Iterator[Frame]:
        nonlocal taken
        for number in range(1, 41):
            taken += 1
            yield Frame(number, image)

    def infer(_: ModelSpec, batches: Iterable[Tensors]) -> Iterator[Tensors]:
        nonlocal asked
        for batch in batches:
            asked += len(batch["image"])
            assert taken <= max(asked, 4)
            assert batch["image"].shape[1:] == (1, 256, 256)
            assert batch["image"].dtype == np.uint8
            yield {"masks": np.stack([answer] * len(batch["image"]))}

    cine = cine_of([image] * 40, Calibration(0.1, 0.1, CALIBRATED))
    streamed = Cine(**{name: getattr(cine, name) for name in cine.__slots__} | {"frames": frames})
    findings = MuscleArchitecture().analyse(streamed, infer, described)
    assert taken == asked == 40
    assert findings[0].series is not None
    assert len(findings[0].series.values) == 40

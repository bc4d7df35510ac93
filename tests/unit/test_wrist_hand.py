"""The analysis through its public door: simulated pictures and the answers of a network that knows them, findings out."""

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import pytest

from service.core.analyses.analysis import ModelSpec, Tensors
from service.core.analyses.wrist_hand import MODEL, SIZE, WristHand
from service.core.cine import Box, Calibration, Cine, Frame, Region, TimeAxis
from service.core.findings import Finding, FindingKind, ModelUsed
from service.core.preprocess import model_numbers, place
from service.core.wrist_planes import PLANES
from simulator.wrist import Kind, Volunteer, WristFrame, draw_volunteer, median_nerve_mm2, wrist_frame

MM = 0.1


@pytest.fixture(scope="module")
def volunteer() -> Volunteer:
    return draw_volunteer(11)


def well(plane: str, count: int) -> list[tuple[Kind, str]]:
    return [("well", plane)] * count


def pictures(volunteer: Volunteer, *wanted: tuple[Kind, str]) -> list[WristFrame]:
    return [wrist_frame(volunteer, number, kind, plane, MM) for number, (kind, plane) in enumerate(wanted)]


def cine_of(shown: Sequence[WristFrame], *, is_calibrated: bool = True) -> Cine:
    rows, columns = shown[0].sector.shape
    scale = Calibration(MM, MM, "regions") if is_calibrated else Calibration(None, None, "none", "no region")
    return Cine(
        sop_instance_uid="1.2.3",
        number_of_frames=len(shown),
        rows=rows,
        columns=columns,
        region=Region(1, Box(0, 0, columns, rows), scale, "the tissue region"),
        time_axis=TimeAxis(tuple(index / 15 for index in range(len(shown))), "FrameTime"),
        frames=lambda: (Frame(number, one.sector) for number, one in enumerate(shown, start=1)),
        picture=lambda number: np.stack([shown[number - 1].sector] * 3, axis=-1),
        pixel_sha256=lambda: "0" * 64,
        laterality="left",
    )


def knowing(shown: Sequence[WristFrame]) -> Callable[[ModelSpec, Iterable[Tensors]], Iterator[Tensors]]:
    """Answers in the order of the frames, as their truth is."""

    def infer(model: ModelSpec, batches: Iterable[Tensors]) -> Iterator[Tensors]:
        assert model is MODEL
        done = 0
        for batch in batches:
            images = batch["image"]
            assert images.dtype == np.uint8
            assert images.shape[1:] == MODEL.inputs[0].shape
            mine = shown[done : done + len(images)]
            done += len(images)
            yield {
                "plane": np.stack([sure_of(one.plane) for one in mine]),
                "structures": np.stack([as_model(one) for one in mine]),
                "sureness": np.full((len(mine), SIZE, SIZE), 240, np.uint8),
            }

    return infer


def sure_of(plane: str) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    index = next((number for number, one in enumerate(PLANES, start=1) if one.name == plane), 0)
    found = np.full(1 + len(PLANES), 0.004, np.float32)
    found[index] = 0.94
    return found


def as_model(one: WristFrame) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    rows, columns = one.sector.shape
    return model_numbers(one.labels, place(Box(0, 0, columns, rows), SIZE))


def analyse(shown: Sequence[WristFrame], *, is_calibrated: bool = True) -> list[Finding]:
    model = ModelUsed(name="wrist_hand", version="1", sha256="cd" * 32, evidence="simulated")
    cine = cine_of(shown, is_calibrated=is_calibrated)
    return list(WristHand(frames_per_batch=3).analyse(cine, knowing(shown), lambda _: model))


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
    (checklist,) = named(found, "image_quality")
    assert checklist.value == pytest.approx(100 * 2 / 15)
    assert len(checklist.flags) == 13
    assert "S5 Dorsal longitudinal wrist" in checklist.text


def test_nerve_is_within_a_tenth_of_its_truth_and_outlined_on_the_best_frame(volunteer: Volunteer) -> None:
    found = analyse(pictures(volunteer, *well("S11", 6)))
    (area,), (flattening,) = named(found, "median_nerve_area"), named(found, "median_nerve_flattening")
    assert area.value == pytest.approx(median_nerve_mm2(volunteer), rel=0.1)
    assert area.unit == "mm2"
    assert area.range is not None
    assert area.range[0] <= float(str(area.value)) <= area.range[1]
    assert flattening.value == pytest.approx(volunteer.hand.nerve_flattening, rel=0.25)
    (outline,) = area.evidence.lines
    assert outline.label == "median_nerve"
    assert outline.frame == area.evidence.frames[0]
    assert outline.points[0] == outline.points[-1]
    assert area.series is not None
    assert len(area.series.values) == 6


def test_cine_without_a_scale_has_no_area_but_the_flattening(volunteer: Volunteer) -> None:
    found = analyse(pictures(volunteer, *well("S11", 3)), is_calibrated=False)
    assert named(found, "median_nerve_area") == []
    assert named(found, "median_nerve_flattening")


def test_cine_that_shows_no_plane_is_not_measured_and_says_so(volunteer: Volunteer) -> None:
    (finding,) = analyse(pictures(volunteer, ("elsewhere", "S1"), ("elsewhere", "S1"), ("elsewhere", "S1")))
    assert finding.kind is FindingKind.NOT_MEASURED
    assert finding.flags == ("no_standard_plane",)


def test_still_picture_is_graded_too(volunteer: Volunteer) -> None:
    found = analyse(pictures(volunteer, ("well", "S4")))
    assert [finding.value for finding in named(found, "standard_plane")] == ["S4"]


def test_findings_have_identifiers_of_their_own_and_the_same_each_time(volunteer: Volunteer) -> None:
    shown = pictures(volunteer, *well("S11", 3), *well("S12", 4))
    first, again = analyse(shown), analyse(shown)
    assert len({finding.finding_id for finding in first}) == len(first)
    assert first == again

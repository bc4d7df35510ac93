"""Grades of cines of a muscle: each fault alone, and all together."""

from dataclasses import replace
from typing import Any

import pytest

from service.core.analyses.muscle_architecture import MODEL, MuscleArchitecture
from service.core.analyses.prepared import prepare
from service.core.findings import AnalysisUsed, FindingKind
from service.core.measure.architecture_findings import ArchitectureFindings
from service.core.measure.architecture_quality import cine_faults
from service.core.measure.checks import Doubt
from service.core.quality import Grade, grade_of, stated
from tests.phantoms import described, muscle_cine, scripted
from tests.unit.test_muscle_architecture import contraction

IMPOSSIBLE = frozenset({Doubt.LINES_JUMP})


@pytest.fixture(scope="module")
def frames() -> Any:
    """Ten frames of a muscle that is measured well, and mostly seen."""
    muscles = [*contraction(), *contraction()]
    analysis = MuscleArchitecture()
    prepared = prepare(muscle_cine(muscles))
    answers = scripted([muscle.answer() for muscle in muscles])
    measured = analysis.measure(prepared, answers(analysis.models[0], analysis.inputs(prepared)))
    return tuple(replace(frame, extrapolated_share=0.2) for frame in measured)


def reasons(frames: Any, doubts: dict[int, frozenset[Doubt]] | None = None) -> list[str]:
    return [fault.reason for fault in cine_faults(frames, doubts or {})]


def test_cine_measured_in_every_frame_is_graded_a(frames: Any) -> None:
    assert reasons(frames) == []
    assert stated(cine_faults(frames, {})) == " Grade A."


def test_each_fault_alone_makes_a_b_and_all_three_a_c(frames: Any) -> None:
    unseen = tuple(replace(frame, extrapolated_share=0.9) for frame in frames)
    partly = tuple(replace(frame, pennation_deg=None) if n < 3 else frame for n, frame in enumerate(unseen))
    doubts = {0: IMPOSSIBLE, 1: IMPOSSIBLE}
    assert reasons(frames, doubts) == ["impossible_frames_left_out"]
    assert reasons(unseen) == ["mostly_extrapolated"]
    assert grade_of(cine_faults(unseen, {})) is Grade.B
    assert reasons(partly, doubts) == ["some_frames_not_measured", "impossible_frames_left_out", "mostly_extrapolated"]
    assert grade_of(cine_faults(partly, doubts)) is Grade.C


def test_cine_graded_c_is_not_measured_and_says_all_faults(frames: Any) -> None:
    unseen = [replace(frame, extrapolated_share=0.9) for frame in frames]
    partly = [*(replace(frame, pennation_deg=None) for frame in unseen[:3]), *unseen[3:]]
    # A belly that is thinnest in its middle between lines that do not cross: impossible.
    first, _, last = partly[4].gaps
    partly[4:6] = [replace(frame, gaps=(first, first / 3, last)) for frame in partly[4:6]]
    cine = muscle_cine([*contraction(), *contraction()])
    prepared = prepare(cine)
    (finding,) = ArchitectureFindings(
        cine=cine,
        placement=prepared.placement,
        scale=prepared.scale,
        analysis=AnalysisUsed(name="muscle_architecture", version="test"),
        frames=tuple(partly),
        model=described(MODEL),
    ).all()
    assert finding.kind is FindingKind.NOT_MEASURED
    assert finding.flags == ("some_frames_not_measured", "impossible_frames_left_out", "mostly_extrapolated", "grade_c")
    assert finding.text.startswith("Not measured: the cine is graded C: fascicles were measured in 70% of the frames")

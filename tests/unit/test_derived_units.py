"""What follows from motor units that a person rejected or whose rate a person set, through the step that makes a draft."""

import io
from typing import Any

import pytest
from pydicom import dcmread

from service.core.carry_over import carry_over
from service.core.findings import Finding
from service.core.masks import MaskIndex, MaskKeeper, Masks
from service.core.overlays import overlay_of
from service.core.report import Report
from service.errors import InputRejected
from service.publication import as_shown
from service.records import StoredAnalysis
from service.rendering import Rendering
from tests.calf_report import calf_report, instance
from tests.motor_parts import LEFT, SIDE, TOP, UNITS, analyse, motor_cine
from tests.reviewed_report import amended

UID = "2.25.1"
SOURCE = instance(UID, rows=SIDE + TOP, columns=SIDE + LEFT, number_of_frames=512)


@pytest.fixture(scope="module")
def drawn() -> tuple[Report, Masks]:
    keeper = MaskKeeper()
    report = calf_report(findings=analyse(motor_cine(UID), keep=keeper))
    masks = keeper.kept()
    assert masks is not None
    return report, masks


@pytest.fixture
def report(drawn: tuple[Report, Masks]) -> Report:
    return drawn[0]


def units(report: Report) -> list[Finding]:
    return [finding for finding in report.findings if finding.motor_unit is not None]


def count(report: Report) -> Finding:
    return next(finding for finding in report.findings if finding.name == "motor_unit_count")


def changed(report: Report, action: str, *numbers: int, **more: Any) -> Report:
    return amended(
        report, findings=[{"action": action, "finding_id": units(report)[number - 1].finding_id, **more} for number in numbers]
    )


def test_rejected_unit_is_counted_no_more(report: Report) -> None:
    made = changed(report, "reject", 2)
    told = count(made)
    assert (told.value, told.is_computed, told.amended_by) == (2.0, True, "Dr Anna Grau")
    assert told.flags == ("computed_anew", "units_from_simulation")
    assert "Motor unit count 2, computed anew" in told.text
    assert "The software said 3." in told.text
    assert "motor unit count 2 (amended)" in made.impression
    assert "Learnt from simulated pictures only" in made.impression
    assert changed(made, "accept", 1).findings[0] == told


def test_second_rejected_unit_is_taken_from_what_was_left(report: Report) -> None:
    assert count(changed(changed(report, "reject", 2), "reject", 1)).value == 1.0
    none = changed(report, "reject", 1, 2, 3)
    assert count(none).value == 0.0
    assert "motor unit count 0 (amended)" in none.impression


def test_restored_unit_takes_back_what_followed(report: Report) -> None:
    again = changed(changed(report, "reject", 2), "restore", 2)
    assert again.findings == report.findings
    assert again.impression == report.impression
    assert again.limitations == report.limitations


def test_count_that_a_person_set_stands_beside_a_rejected_unit(report: Report) -> None:
    typed = amended(report, findings=[{"action": "set", "finding_id": count(report).finding_id, "value": 7}])
    assert count(changed(typed, "reject", 2)).value == 7.0


def test_amended_rate_of_a_unit_is_told_everywhere_and_what_rests_on_it_is_flagged(report: Report) -> None:
    made = changed(report, "set", 2, value=20.0)
    unit = units(made)[1]
    assert unit.motor_unit is not None
    assert (unit.value, unit.motor_unit.rate_hz) == (20.0, 20.0)
    assert unit.flags == ("amended", "units_from_simulation", "rests_on_amended")
    assert count(made).value == 3.0
    assert "20.0 Hz, amended rates among these." in count(made).text
    assert count(made).amended is None
    assert "Values that rest on amended ones are the software's, from before that." in made.limitations
    again = changed(made, "restore", 2)
    assert again.findings == report.findings


def test_masks_stay_beside_a_version_in_which_a_rate_was_amended(drawn: tuple[Report, Masks]) -> None:
    report, masks = drawn
    analysis = StoredAnalysis(
        instance_id=1,
        sop_instance_uid=UID,
        analysis_name="motor_units",
        analysis_version="1.0.0",
        state="done",
        why="by default",
        findings=report.findings,
        masks=masks.to_bytes(),
    )
    assert as_shown(analysis, changed(report, "set", 2, value=20.0), {}).masks == analysis.masks


def test_viewer_has_no_outline_of_a_rejected_unit_and_no_area_when_all_are(drawn: tuple[Report, Masks]) -> None:
    report, masks = drawn
    index = MaskIndex(masks.layout, {256: (0, 1)}, {})
    for rejected, left in (((2,), 2), ((1, 2, 3), 0)):
        findings = changed(report, "reject", *rejected).findings
        told = overlay_of("motor_units", findings, index, dict(masks.frames), {}, range(256, 257))
        assert sum(len(frame.lines) for frame in told.frames) == left
        assert told.grid is None


def test_rate_that_no_motor_unit_has_is_refused(report: Report) -> None:
    with pytest.raises(InputRejected, match="not plausible"):
        changed(report, "set", 2, value=1000.0)


def test_amendment_of_one_unit_is_carried_over_to_that_unit(report: Report) -> None:
    made = changed(report, "reject", 2)
    carried = carry_over(made, analyse(motor_cine(UID)))
    assert carried.dropped == ()
    assert [finding.is_rejected for finding in carried.findings if finding.motor_unit] == [False, True, False]
    assert carried.findings[0].value == 2.0


def test_segmentation_and_sr_have_the_units_that_are_left(drawn: tuple[Report, Masks]) -> None:
    report, masks = drawn
    made, rendering = changed(report, "reject", 2), Rendering()
    (seg,) = rendering.segmentations(made, [SOURCE], [(UID, "motor_units", masks.to_bytes())])
    assert [item.SegmentLabel for item in dcmread(io.BytesIO(seg.content)).SegmentSequence] == ["Motor unit 1", "Motor unit 3"]
    sr = str(dcmread(io.BytesIO(rendering.structured_report(made, [SOURCE]).content)))
    assert sr.count("MU-FIRINGS") == len(UNITS) - 1
    nothing = changed(report, "reject", 1, 2, 3)
    assert rendering.segmentations(nothing, [SOURCE], [(UID, "motor_units", masks.to_bytes())]) == []

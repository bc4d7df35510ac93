"""What follows from numbers of muscle architecture that a person amended, through the step that makes a draft."""

import math
from typing import Any

import pytest

from service.core.carry_over import carry_over
from service.core.findings import Finding
from service.core.report import Report
from service.errors import Conflict, InputRejected
from tests.calf_report import calf_report, cine_findings
from tests.reviewed_report import amended

UID = "2.25.1"
#: Level lines 250 rows apart, at 0.08 mm a pixel 20 mm.
LEVEL = {"superficial": [[40, 150], [600, 150]], "deep": [[40, 400], [600, 400]]}
ANGLES = ("fascicle_angle", "superficial_aponeurosis_angle", "deep_aponeurosis_angle")
GAPS = ("thickness_at_25_percent", "thickness_at_50_percent", "thickness_at_75_percent")


def setting(name: str, value: float) -> dict[str, Any]:
    return {"action": "set", "finding_id": f"{UID}:{name}", "value": value}


def of(report: Report, name: str) -> Finding:
    return next(finding for finding in report.findings if finding.name == name)


def number(report: Report, name: str) -> float:
    value = of(report, name).value
    assert isinstance(value, float)
    return value


def with_more(*names: str) -> Report:
    """The calf report with other findings of the same cine, each with the number of the thickness."""
    findings = cine_findings()
    more = [findings[0].model_copy(update={"finding_id": f"{UID}:{name}", "name": name}) for name in names]
    return calf_report(findings=[*findings, *more])


def drawn(frame: int = 12, report: Report | None = None, **changes: Any) -> Report:
    return amended(report, findings=[], lines=[{"sop_instance_uid": UID, "frame": frame, **LEVEL, **changes}])


def straight(report: Report) -> float:
    """Of a straight fascicle between straight aponeuroses, by the thickness and the angles of a report."""
    fascicle, superficial, deep = (math.tan(math.radians(number(report, name))) for name in ANGLES)
    half = number(report, "thickness") / 2
    return (half / abs(fascicle - superficial) + half / abs(fascicle - deep)) * math.hypot(1, fascicle)


def test_typed_thickness_scales_the_measured_length() -> None:
    said = number(calf_report(), "fascicle_length")
    made = amended(findings=[setting("thickness", 20.0)])
    length = of(made, "fascicle_length")
    assert length.value == pytest.approx(said * 20.0 / number(calf_report(), "thickness"))
    assert (length.flags, length.interval, length.is_computed) == (("computed_anew",), None, True)
    assert "computed anew from what was amended by Dr Anna Grau" in length.text
    assert f"fascicle length {length.value:.1f} mm (amended)" in made.impression


@pytest.mark.parametrize("name", ["thickness", "pennation_angle", "fascicle_angle", "deep_aponeurosis_angle"])
def test_typed_number_that_hardly_differs_hardly_moves_the_length(name: str) -> None:
    made = amended(findings=[setting(name, number(calf_report(), name) + 0.001)])
    assert of(made, "fascicle_length").is_computed
    assert number(made, "fascicle_length") == pytest.approx(number(calf_report(), "fascicle_length"), rel=0.001)


def test_typed_angles_scale_the_length_as_straight_geometry_does() -> None:
    made = amended(findings=[setting("deep_aponeurosis_angle", 5.0), setting("superficial_aponeurosis_angle", 3.0)])
    share = straight(made) / straight(calf_report())
    assert number(made, "fascicle_length") == pytest.approx(number(calf_report(), "fascicle_length") * share)


def test_typed_pennation_turns_the_fascicles_and_shortens_them() -> None:
    said = amended(findings=[setting("pennation_angle", 21.0)])
    made = amended(findings=[setting("pennation_angle", 30.0)])
    assert number(made, "fascicle_angle") == pytest.approx(number(made, "deep_aponeurosis_angle") - 30)
    assert number(made, "fascicle_length") < number(said, "fascicle_length")


def test_typed_angle_of_the_deep_aponeurosis_changes_the_pennation() -> None:
    made = amended(findings=[setting("deep_aponeurosis_angle", 5.0)])
    assert number(made, "pennation_angle") == pytest.approx(abs(number(made, "fascicle_angle") - 5))


def test_typed_place_changes_the_mean_thickness() -> None:
    made = amended(with_more(*GAPS), findings=[setting(GAPS[0], 20.5)])
    assert number(made, "thickness") == pytest.approx((20.5 + 17.5 + 17.5) / 3, abs=0.1)


def test_number_that_no_formula_gives_is_flagged_and_told_among_the_limitations() -> None:
    made = amended(with_more("thickness_excursion", *GAPS), findings=[setting("thickness", 20.0)])
    for name in ("thickness_excursion", *GAPS):
        assert (of(made, name).flags, of(made, name).amended) == (("rests_on_amended",), None)
    assert of(made, "pennation_angle").flags == ()
    assert any("rest on amended ones" in sentence for sentence in made.limitations)


def test_number_that_a_person_typed_stands_beside_what_follows() -> None:
    made = amended(findings=[setting("thickness", 20.0), setting("fascicle_length", 60.0)])
    assert number(made, "fascicle_length") == 60.0


def test_rejected_thickness_leaves_the_length_flagged() -> None:
    made = amended(findings=[{"action": "reject", "finding_id": f"{UID}:thickness"}])
    assert of(made, "fascicle_length").flags == ("rests_on_amended",)


def test_restored_thickness_takes_back_what_followed() -> None:
    made = amended(with_more(*GAPS), findings=[setting("thickness", 20.0)])
    back = amended(made, findings=[{"action": "restore", "finding_id": f"{UID}:thickness"}])
    assert back.findings == with_more(*GAPS).findings


def test_number_that_follows_is_not_restored_by_itself() -> None:
    made = amended(findings=[setting("thickness", 20.0)])
    with pytest.raises(Conflict, match="follows from what was amended"):
        amended(made, findings=[{"action": "restore", "finding_id": f"{UID}:fascicle_length"}])


def test_drawn_lines_give_thickness_angles_and_the_fascicles_of_their_frame() -> None:
    made = drawn(report=with_more(*GAPS))
    angle = of(calf_report(), "fascicle_angle").series
    assert angle is not None
    seen = angle.values[11]
    assert seen is not None
    assert [number(made, name) for name in ("thickness", *GAPS)] == pytest.approx([20.0] * 4)
    assert number(made, "deep_aponeurosis_angle") == pytest.approx(0, abs=1e-6)
    assert number(made, "pennation_angle") == pytest.approx(abs(seen))
    assert number(made, "fascicle_length") == pytest.approx(20 / math.sin(math.radians(abs(seen))))
    assert of(made, "fascicle_length").evidence.frames == (12,)
    assert [line.label for line in of(made, "thickness").evidence.lines] == ["superficial_aponeurosis", "deep_aponeurosis"]
    assert "between the lines drawn in frame 12 by Dr Anna Grau" in of(made, "thickness").text
    assert of(made, "echo_intensity").flags == ("rests_on_amended",)


def test_echo_intensity_rests_on_drawn_lines_whatever_else_is_rejected() -> None:
    made = amended(drawn(), findings=[{"action": "reject", "finding_id": f"{UID}:pennation_angle", "why": "no fascicle is seen"}])
    assert of(made, "echo_intensity").flags == ("rests_on_amended",)


def test_lines_in_a_frame_without_fascicles_leave_pennation_and_length_flagged() -> None:
    made = drawn(frame=5)
    assert [of(made, name).flags for name in ("pennation_angle", "fascicle_length")] == [("rests_on_amended",)] * 2


def test_restoring_one_number_of_drawn_lines_restores_all() -> None:
    back = amended(drawn(), findings=[{"action": "restore", "finding_id": f"{UID}:deep_aponeurosis_angle"}])
    assert back.findings == calf_report().findings


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"superficial": LEVEL["deep"], "deep": LEVEL["superficial"]}, "lines_not_of_one_muscle"),
        ({"superficial": [[40, 150], [200, 150]], "deep": [[300, 400], [600, 400]]}, "lines_apart"),
        ({"deep": [[40, 400], [42, 400]]}, "line_too_short"),
        ({"frame": 61}, "no_such_frame"),
        ({"sop_instance_uid": "2.25.999"}, "no_lines"),
        ({"deep": [[40, 5000], [600, 5000]]}, "implausible"),
    ],
)
def test_lines_that_bound_no_muscle_are_refused_by_their_reason(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(InputRejected) as refused:
        drawn(**changes)
    assert refused.value.reason == reason


def test_new_analysis_keeps_drawn_lines_and_computes_what_follows() -> None:
    carried = carry_over(drawn(), cine_findings())
    assert carried.findings == drawn().findings
    assert carried.dropped == ()


def test_accepted_finding_stays_so_until_its_number_is_another_one() -> None:
    accepted = amended(findings=[{"action": "accept", "finding_id": f"{UID}:fascicle_length"}])
    assert of(accepted, "fascicle_length").accepted is not None
    assert carry_over(accepted, cine_findings()).findings == accepted.findings
    moved = amended(accepted, findings=[setting("thickness", 20.0)])
    assert of(moved, "fascicle_length").accepted is None


def test_rejected_finding_is_not_accepted() -> None:
    with pytest.raises(Conflict, match="restore it before"):
        amended(amended(), findings=[{"action": "accept", "finding_id": f"{UID}:echo_intensity"}])


def test_thickness_typed_over_drawn_lines_gives_the_length_anew() -> None:
    lines = drawn(report=with_more(*GAPS))
    made = amended(lines, findings=[setting("thickness", 30.0)])
    angle = number(made, "fascicle_angle")
    assert number(made, "fascicle_length") == pytest.approx(30 / math.sin(math.radians(abs(angle))))


def test_finding_that_is_accepted_while_its_lines_are_drawn_is_that_of_the_lines() -> None:
    lines = [{"sop_instance_uid": UID, "frame": 12, **LEVEL}]
    made = amended(findings=[{"action": "accept", "finding_id": f"{UID}:thickness"}], lines=lines)
    assert number(made, "thickness") == pytest.approx(20.0)
    assert of(made, "thickness").accepted is None

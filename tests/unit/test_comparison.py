"""Left against right, and now against earlier reports."""

from typing import Any

import pytest

from service.core.codes import GASTROCNEMIUS_MEDIAL_HEAD, SKELETAL_MUSCLE, SOLEUS
from service.core.comparison import EarlierReport, asymmetry_percent, compare
from service.core.findings import AnalysisUsed, Code, Finding, FindingKind, Interval
from service.core.report import EarlierComparison, Report, SideComparison
from tests.calf_report import MODEL, calf_report, header
from tests.compared_findings import earlier_report, measured


def sides(*findings: Finding) -> list[SideComparison]:
    return [one for one in compare(header(), findings) if isinstance(one, SideComparison)]


def changes(*findings: Finding, before: list[EarlierReport], **study: Any) -> list[EarlierComparison]:
    return [one for one in compare(header(**study), findings, before) if isinstance(one, EarlierComparison)]


def interval(low: float, high: float, level: float = 0.95) -> Interval:
    return Interval(low=low, high=high, level=level)


def test_sides_of_one_quantity_give_difference_left_minus_right_and_asymmetry() -> None:
    (one,) = sides(measured(18.0, "left", uid="2.25.1"), measured(20.0, "right", uid="2.25.2"))
    assert (one.name, one.unit, one.left.value, one.right.value, one.difference) == ("thickness", "mm", 18.0, 20.0, -2.0)
    assert one.asymmetry_percent == pytest.approx(10.0)
    assert (one.left.finding_ids, one.right.finding_ids) == (("2.25.1:thickness",), ("2.25.2:thickness",))
    assert one.text == (
        "Thickness: left 18.0 mm, right 20.0 mm; left minus right \N{MINUS SIGN}2.0 mm (asymmetry 10 %). "
        "The muscle is not coded: whether both are of the same one is not known. "
        "Medians over all frames: whether the muscle was at rest or contracted is not considered."
    )


def test_sides_with_several_cines_compare_their_medians() -> None:
    several = [measured(value, "left", uid=f"2.25.{value}") for value in (17.0, 18.0, 25.0)]
    (one,) = sides(*several, measured(18.0, "right"))
    assert (one.left.value, one.difference, one.asymmetry_percent) == (18.0, 0.0, 0.0)
    assert len(one.left.finding_ids) == 3


def test_sides_of_all_quantities_come_in_fixed_order_without_echo_intensity() -> None:
    names = ("echo_intensity", "fascicle_length", "pennation_angle", "thickness", "fascicle_angle")
    found = [measured(20.0, side, name=name) for name in names for side in ("right", "left")]
    assert [one.name for one in sides(*found)] == ["thickness", "pennation_angle", "fascicle_length"]


@pytest.mark.parametrize("name", ["thickness", "pennation_angle", "fascicle_length"])
def test_sides_of_which_one_is_not_calibrated_are_not_compared(name: str) -> None:
    assert sides(measured(18.0, "left", name=name), measured(18.0, "right", name=name, calibrated=False)) == []


@pytest.mark.parametrize("side", ["left", "bilateral", None])
def test_sides_without_a_right_one_are_not_compared(side: str | None) -> None:
    assert sides(measured(18.0, "left"), measured(18.0, side, uid="2.25.2")) == []


@pytest.mark.parametrize(
    "change",
    [
        {"kind": FindingKind.NOT_MEASURED, "value": None},
        {"value": float("nan")},
        {"analysis": AnalysisUsed(name="a", version="1")},
    ],
)
def test_sides_of_which_one_is_no_number_of_the_analysis_are_not_compared(change: dict[str, Any]) -> None:
    assert sides(measured(18.0, "left"), measured(18.0, "right").model_copy(update=change)) == []


def test_sides_of_one_coded_muscle_name_it() -> None:
    (one,) = sides(measured(18.0, "left", muscle=SOLEUS), measured(20.0, "right", muscle=SOLEUS))
    assert one.muscle == SOLEUS
    assert one.text.startswith("Thickness, musculus soleus: left 18.0 mm")
    assert "not coded" not in one.text


@pytest.mark.parametrize("other", [GASTROCNEMIUS_MEDIAL_HEAD, SKELETAL_MUSCLE, None])
def test_sides_of_another_or_an_unknown_muscle_are_not_compared_with_a_coded_one(other: Code | None) -> None:
    assert sides(measured(18.0, "left", muscle=SOLEUS), measured(20.0, "right", muscle=other)) == []


def test_sides_of_some_skeletal_muscle_count_as_not_coded() -> None:
    (one,) = sides(measured(18.0, "left", muscle=SKELETAL_MUSCLE), measured(20.0, "right"))
    assert one.muscle is None


@pytest.mark.parametrize(
    ("left", "right", "percent"), [(10.0, 8.0, 20.0), (8.0, 10.0, 20.0), (9.0, 9.0, 0.0), (-1.0, 5.0, None), (0.0, 5.0, None)]
)
def test_asymmetry_is_the_shortfall_of_the_smaller_side(left: float, right: float, percent: float | None) -> None:
    assert asymmetry_percent(left, right) == (None if percent is None else pytest.approx(percent))


@pytest.mark.parametrize(
    ("left", "right", "within"),
    [
        (interval(16.5, 19.5), interval(18.5, 21.5), True),
        (interval(16.8, 19.2), interval(18.8, 21.2), False),
        (interval(17, 18.2), interval(18.5, 21), False),
        (interval(17, 19), None, None),
        (None, None, None),
        (interval(17, 19), interval(18.5, 21, level=0.9), None),
    ],
)
def test_sides_are_judged_only_where_both_have_an_interval_of_one_level(
    *, left: Interval | None, right: Interval | None, within: bool | None
) -> None:
    (one,) = sides(measured(18.0, "left", interval=left), measured(20.0, "right", interval=right))
    assert one.is_within_uncertainty is within
    assert ("No difference is shown beyond the uncertainty" in one.text) is (within is True)


def test_change_states_then_now_date_and_per_cent() -> None:
    (one,) = changes(measured(18.9), before=[earlier_report([measured(18.0)])])
    assert (one.laterality, one.now.value, one.earlier.value, one.earlier_study.study_date) == ("left", 18.9, 18.0, "20260502")
    assert one.change == pytest.approx(0.9)
    assert one.change_percent == pytest.approx(5.0)
    assert one.text.startswith("Thickness, left: 18.9 mm, on 2026-05-02 18.0 mm; change +0.9 mm (+5 %).")


def test_change_takes_the_newest_earlier_report_that_measured_the_quantity_on_that_side() -> None:
    before = [
        earlier_report([measured(15.0)], report_id="oldest", study_instance_uid="2.25.901", study_date="20240101"),
        earlier_report([measured(16.0)], report_id="wanted", study_instance_uid="2.25.902", study_date="20250101"),
        earlier_report([measured(17.0, "right")], report_id="other side", study_instance_uid="2.25.903", study_date="20260101"),
    ]
    (one,) = changes(measured(18.0), before=before)
    assert one.earlier_study.report_id == "wanted"


def test_change_of_both_sides_is_stated_left_first() -> None:
    before = [earlier_report([measured(18.0, "right"), measured(17.0, "left")])]
    found = changes(measured(18.0, "right"), measured(18.0, "left"), before=before)
    assert [(one.laterality, one.change) for one in found] == [("left", 1.0), ("right", 0.0)]


@pytest.mark.parametrize(
    "study",
    [
        {"patient_id": "P-43"},
        {"patient_id": None},
        {"issuer_of_patient_id": "Another house"},
        {"patient_birth_date": "19700103"},
        {"patient_birth_date": None},
        {"study_instance_uid": "2.25.1001"},
        {"study_date": "20261121"},
        {"study_date": None},
        {"study_date": "2026.05.2"},
        {"study_date": "20261120", "study_time": "090000"},
        {"study_date": "20261120", "study_time": "0900"},
        {"study_date": "20261120", "study_time": "100000"},
        {"study_date": "20261120", "study_time": None},
        {"study_date": "20261120", "study_time": "morning"},
    ],
)
def test_change_from_a_report_that_is_not_earlier_or_of_another_patient_is_not_stated(study: dict[str, Any]) -> None:
    assert changes(measured(18.0), before=[earlier_report([measured(17.0)], **study)]) == []


@pytest.mark.parametrize("time", ["08", "085959", "085959.999999"])
def test_change_from_earlier_on_the_same_day_is_stated(time: str) -> None:
    before = [earlier_report([measured(17.0)], study_date="20261120", study_time=time)]
    assert len(changes(measured(18.0), before=before)) == 1


def test_change_without_a_patient_id_on_both_is_not_stated() -> None:
    assert changes(measured(18.0), before=[earlier_report([measured(17.0)], patient_id=None)], patient_id=None) == []


def test_change_of_an_identifier_by_itself_is_not_stated() -> None:
    alone: dict[str, Any] = {"patient_birth_date": None, "issuer_of_patient_id": None}
    assert changes(measured(18.0), before=[earlier_report([measured(17.0)], **alone)], **alone) == []
    issued: dict[str, Any] = {"patient_birth_date": None, "issuer_of_patient_id": "House"}
    assert len(changes(measured(18.0), before=[earlier_report([measured(17.0)], **issued)], **issued)) == 1


def test_change_of_an_unknown_side_is_not_stated() -> None:
    assert changes(measured(18.0, None), before=[earlier_report([measured(17.0, None)])]) == []


@pytest.mark.parametrize(
    ("then", "differs_in", "said"),
    [
        ({"analysis": AnalysisUsed(name="muscle_architecture", version="0.9.0")}, ("analysis",), "version of the analysis;"),
        ({"model": MODEL.model_copy(update={"version": "0"})}, ("model",), "version of the model;"),
        ({"model": MODEL.model_copy(update={"sha256": "ef" * 32})}, ("model",), "version of the model;"),
        ({"model": None}, ("model",), "version of the model;"),
        ({"model": MODEL.model_copy(update={"runtime": "openvino"})}, (), None),
    ],
)
def test_change_says_when_another_version_measured(then: dict[str, Any], differs_in: tuple[str, ...], said: str | None) -> None:
    (one,) = changes(measured(18.0), before=[earlier_report([measured(17.0, **then)])])
    assert one.differs_in == differs_in
    assert ("another version" in one.text) is bool(differs_in)
    assert said is None or f"Measured with another {said} a change may come from it." in one.text


def test_change_within_its_uncertainty_is_said_not_to_be_shown() -> None:
    before = [earlier_report([measured(17.0, interval=interval(16, 18))])]
    (one,) = changes(measured(18.0, interval=interval(17, 19)), before=before)
    assert one.is_within_uncertainty is True
    assert "No change is shown beyond the uncertainty of the measurement." in one.text


def test_comparisons_survive_their_json_and_older_json_has_none() -> None:
    report = calf_report().model_copy(
        update={"comparisons": compare(header(), [measured(18.0), measured(20.0, "right")], [earlier_report([measured(17.0)])])}
    )
    assert Report.model_validate_json(report.model_dump_json()) == report
    assert [one["kind"] for one in report.model_dump(mode="json")["comparisons"]] == ["left_right", "earlier"]
    older = report.model_dump(mode="json", exclude={"comparisons"})
    assert Report.model_validate(older).comparisons == ()

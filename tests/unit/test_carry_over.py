"""What persons had amended meets new findings of the same study."""

from typing import Any

import pytest

from service.core.carry_over import carry_over, with_words
from service.core.findings import Finding
from service.core.recompose import recompose
from service.core.report_life import Changes, amend
from service.errors import Conflict, InputRejected
from tests.calf_report import SOFTWARE, calf_report, cine_findings, not_measured
from tests.reviewed_report import amended, making, signed, withdrawn


def changed(finding: Finding, **changes: Any) -> Finding:
    return finding.model_copy(update=changes)


def elsewhere(finding: Finding, **changes: Any) -> Finding:
    return finding.model_copy(update={"evidence": finding.evidence.model_copy(update=changes)})


def test_amendment_is_made_again_of_the_same_finding_beside_what_the_software_says_now() -> None:
    thickness, *others = cine_findings()
    carried = carry_over(amended(), [changed(thickness, value=17.9, text="now"), *others])
    made = carried.findings[0]
    assert (made.value, made.amended_by, made.interval) == (18.4, "Dr Anna Grau", None)
    assert made.amended is not None
    assert (made.amended.original.value, made.amended.original.text) == (17.9, "now")
    assert carried.findings[-1].is_rejected
    assert carried.dropped == ()


@pytest.mark.parametrize(
    "other",
    [
        lambda finding: elsewhere(finding, frames=(7,)),
        lambda finding: elsewhere(finding, sop_instance_uid="2.25.9"),
        lambda finding: elsewhere(finding, calibration=None),
        lambda finding: changed(finding, unit="{pixels}"),
    ],
    ids=["other frames", "other instance", "other scale", "other unit"],
)
def test_amendment_of_what_rests_on_something_else_is_told_and_not_made(other: Any) -> None:
    thickness, *others = cine_findings()
    carried = carry_over(amended(), [other(thickness), *others])
    assert carried.findings[0].amended is None
    (told,) = carried.dropped
    assert told.startswith("Thickness had been set to 18.4 mm by Dr Anna Grau (the deep aponeurosis was taken too low)")


def test_amendments_of_a_cine_that_is_not_measured_any_more_are_all_told() -> None:
    carried = carry_over(amended(), [not_measured("2.25.1")])
    assert [told.partition(" had been")[0] for told in carried.dropped] == ["Thickness", "Echo intensity"]


def test_signed_amendments_are_carried_into_the_draft_beside_and_withdrawn_ones_are_not() -> None:
    assert carry_over(signed(), cine_findings()).findings[0].value == 18.4
    assert carry_over(withdrawn(), cine_findings()).findings == cine_findings()


def test_written_impression_and_comment_are_carried_with_a_warning() -> None:
    report = with_words(amended(impression="Thin.", comment="Seen."), calf_report())
    assert (report.impression, report.comment and report.comment.text) == ("Thin.", "Seen.")
    assert report.limitations[0].startswith("The impression was written by Dr Anna Grau before")


def test_limitations_that_do_not_follow_from_findings_stay_when_these_change() -> None:
    before = calf_report()
    before = before.model_copy(update={"limitations": ("An analysis failed.", *before.limitations, "One instance was left out.")})
    after = recompose(before, cine_findings()[:1], (), software=SOFTWARE)
    assert (after.limitations[0], after.limitations[-1]) == ("An analysis failed.", "One instance was left out.")
    assert "for thickness." in after.limitations[1]
    assert "pennation" not in " ".join(after.limitations)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 250.0, -1.0])
def test_thickness_that_no_muscle_has_is_refused(value: float) -> None:
    change = {"action": "set", "finding_id": "2.25.1:thickness", "value": value}
    changes = Changes.model_validate({"why": "because", "findings": [change]})
    with pytest.raises(
        InputRejected, match=r"Thickness (outside 0\.0 to 200\.0 mm is not plausible|must be a finite number in mm)"
    ):
        amend(calf_report(), changes, making(calf_report()), compare=lambda _: (), software=SOFTWARE)


@pytest.mark.parametrize("name", ["thickness", "fascicle_length"])
def test_length_of_nothing_is_refused(name: str) -> None:
    change = {"action": "set", "finding_id": f"2.25.1:{name}", "value": 0.0}
    changes = Changes.model_validate({"why": "because", "findings": [change]})
    with pytest.raises(InputRejected, match=r"must be above 0\."):
        amend(calf_report(), changes, making(calf_report()), compare=lambda _: (), software=SOFTWARE)


def test_reason_why_nothing_was_measured_cannot_be_amended() -> None:
    report = calf_report(findings=[not_measured("2.25.1")])
    for action in ({"action": "set", "value": 3.0}, {"action": "reject"}):
        change = {**action, "finding_id": "2.25.1:not_measured"}
        changes = Changes.model_validate({"why": "because", "findings": [change]})
        with pytest.raises(Conflict, match=r"[Nn]ot measured"):
            amend(report, changes, making(report), compare=lambda _: (), software=SOFTWARE)

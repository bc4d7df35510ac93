"""What the objects of a later version rest on: masks go on as long as the report has what their analysis said."""

import pytest

from service.core.amendment import Accept, FindingChange, Reject, SetValue, amend_finding
from service.core.findings import Finding
from service.publication import as_shown
from service.records import StoredAnalysis
from tests.calf_report import CREATED_AT, calf_report, cine_findings
from tests.reviewed_report import AUTHOR

FINDINGS = cine_findings()
FIRST = FINDINGS[0].finding_id


def masks_after(*changes: FindingChange, said: tuple[Finding, ...] = FINDINGS) -> bytes | None:
    """Of an analysis that says `said` now, in a version in which somebody changed the first finding."""
    first = FINDINGS[0]
    for change in changes:
        first = amend_finding(first, change, by=AUTHOR, at=CREATED_AT, why="measured again by hand")
    analysis = StoredAnalysis(
        instance_id=1,
        sop_instance_uid=first.evidence.sop_instance_uid,
        analysis_name="muscle_architecture",
        analysis_version="1.0.0",
        state="done",
        why="by default",
        findings=said,
        masks=b"masks",
    )
    return as_shown(analysis, calf_report(findings=[first, *FINDINGS[1:]]), {}).masks


@pytest.mark.parametrize(
    "changes",
    [
        (Accept(action="accept", finding_id=FIRST),),
        (SetValue(finding_id=FIRST, value=18.2),),
        (SetValue(finding_id=FIRST, value=18.2), Accept(action="accept", finding_id=FIRST)),
        (Reject(action="reject", finding_id=FIRST),),
    ],
    ids=["accepted", "amended", "amended and accepted", "rejected"],
)
def test_masks_of_an_analysis_stay_beside_a_version_in_which_a_person_judged_its_findings(
    changes: tuple[FindingChange, ...],
) -> None:
    assert masks_after(*changes) == b"masks"


def test_masks_of_an_analysis_that_says_something_else_by_now_are_left_out() -> None:
    later = FINDINGS[0].model_copy(update={"value": 21.0})
    assert masks_after(said=(later, *FINDINGS[1:])) is None

"""Findings of one quantity on one side, and earlier reports that hold them."""

from collections.abc import Sequence
from typing import Any

from service.core.comparison import EarlierReport
from service.core.findings import Code, Finding, FindingSite
from tests.calf_report import cine_findings, header

EARLIER_DATE = "20260502"


def measured(
    value: float,
    side: str | None = "left",
    *,
    name: str = "thickness",
    uid: str = "2.25.1",
    muscle: Code | None = None,
    calibrated: bool = True,
    **changes: Any,
) -> Finding:
    """One finding as `muscle_architecture` writes it, of a muscle that is not coded unless one is given."""
    found = next(finding for finding in cine_findings(uid, calibrated=calibrated) if finding.name == name)
    site = FindingSite.model_validate({"laterality": side, "code": muscle})
    return found.model_copy(update={"value": value, "site": site, "finding_id": f"{uid}:{name}", **changes})


def earlier_report(findings: Sequence[Finding], *, report_id: str = "earlier", **study: Any) -> EarlierReport:
    """A report of the patient of `calf_report`, half a year before it."""
    changes = {"study_instance_uid": "2.25.900", "study_date": EARLIER_DATE, **study}
    return EarlierReport(report_id=report_id, study=header(**changes), findings=tuple(findings))

"""What an analysis leaves behind besides numbers: the reason why it has none, and the picture that shows the evidence."""

from collections.abc import Sequence

from service.core.analyses.analysis import Analysis
from service.core.cine import Cine
from service.core.findings import AnalysisUsed, Evidence, Finding, FindingKind
from service.core.identifiers import derive_uid
from service.core.measure.wrist_findings import PLANE_NAME
from service.core.render.contact_sheet import contact_sheet
from service.core.render.overlay import draw_lines, shown_lines
from service.errors import SonomyoError


def not_measured(analysis: Analysis, sop_instance_uid: str, error: SonomyoError) -> Finding:
    """The finding of an instance that could not be decoded or measured at all; the reason is coded in `flags`."""
    return Finding(
        finding_id=derive_uid(sop_instance_uid, analysis.name, analysis.version, "not_measured"),
        name="not_measured",
        kind=FindingKind.NOT_MEASURED,
        analysis=AnalysisUsed(name=analysis.name, version=analysis.version),
        flags=(error.reason,),
        text=f"Not measured: {error}",
        evidence=Evidence(sop_instance_uid=sop_instance_uid),
    )


def draw_evidence(cine: Cine, findings: Sequence[Finding]) -> bytes | None:
    """A PNG of what shows the findings best, their lines drawn over it; None when nothing was measured.

    One frame, or the best frame of each standard plane side by side.
    """
    planes = [finding for finding in findings if finding.name == PLANE_NAME]
    if planes:
        return contact_sheet(cine, planes)
    lines = shown_lines(findings)
    return draw_lines(cine.picture(lines[0].frame), lines) if lines else None

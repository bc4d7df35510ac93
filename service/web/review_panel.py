"""A report as the panel beside the viewer shows it: every finding with what may be done to it, all as text."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from service.access import Principal, Role
from service.core.amendment import as_said, is_rejectable, is_settable
from service.core.compose import analysed_cines, of_all_cines
from service.core.drawn import ANALYSIS as WITH_LINES
from service.core.findings import Finding, FindingKind
from service.core.measure.wrist_findings import PLANE_NAME
from service.core.render.comparison_view import ComparisonView, comparison_views
from service.core.render.report_view import words_of_flags
from service.core.report import RESEARCH_USE, Act, Report, ReportStatus
from service.core.review_words import is_own_reason, remarks, status_words
from service.core.wording import (
    decimals,
    label,
    model_trace,
    moment,
    quantity,
    quantity_range,
    says_more_than_its_value,
    site_text,
    symbol,
    title_of,
)
from service.core.wrist_planes import PLANES

#: What a reader looks for first; the others of the same analysis are folded away.
_FIRST = {WITH_LINES: frozenset({"thickness", "pennation_angle", "fascicle_length", "contraction_count", "image_quality"})}
_NEEDS_ACCOUNT = (
    "You read this with a key or a one-time link, and that is nobody: to amend or sign, sign in to an account of your own."
)
_NEEDS_ROLE = "Your role is to read. Radiologists amend and sign."

State = Literal["software", "amended", "drawn", "computed", "rejected"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingView:
    """One finding, in words."""

    finding_id: str
    name: str
    value: str
    #: Decimals and what follows a number, so that the browser writes a new one alike; None for three digits.
    digits: int | None
    symbol: str
    #: As a field starts with it; None where nothing can be set.
    start: str | None
    #: Whether that is one, and no class.
    is_number: bool
    #: Of a class that has names.
    choices: Sequence[str]
    interval: str
    reference: str
    flags: Sequence[str]
    #: The instance and its frames that show it.
    sop_instance_uid: str
    frames: Sequence[int]
    state: State
    #: What a person made of it and what the software had said, or what is told in place of a number.
    told: str
    #: Who accepted it, and when; empty where nobody did.
    accepted_by: str
    accepted_at: str
    may_accept: bool
    may_reject: bool
    may_restore: bool
    is_first: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupView:
    """What one analysis says of one cine, or of all together."""

    title: str
    findings: Sequence[FindingView]
    #: The cine whose lines can be drawn; empty where there are none.
    lines_of: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionView:
    """One version of the list."""

    report_id: str
    version: int
    status: str
    at: str
    #: How it came about; None for what the service composed.
    act: Act | None
    #: Whether the reason is one of ours, which has a translation.
    is_own_reason: bool
    is_shown: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PanelView:
    """All that the panel shows of one version."""

    report: Report
    status: str
    banner: str
    groups: Sequence[GroupView]
    impression: Sequence[str]
    remarks: Sequence[str]
    comparisons: Sequence[ComparisonView]
    models: Sequence[str]
    versions: Sequence[VersionView]
    #: Why nothing can be done here; empty for who may.
    why_not: str
    #: Who signs; empty for nobody.
    signatory: str
    may_amend: bool
    may_sign: bool
    #: Shown as official while a draft waits, or as the draft beside an official one.
    has_draft: bool
    is_beside: bool
    becomes: str


def panel_of(report: Report, versions: Sequence[Report], principal: Principal) -> PanelView:
    """`versions` are all of the study, oldest first."""
    why_not = _why_not(report, principal)
    is_open = not why_not and report.status is not ReportStatus.CANCELLED
    return PanelView(
        report=report,
        status=status_words(report),
        banner=RESEARCH_USE,
        groups=_groups(report.findings),
        impression=report.impression.splitlines(),
        remarks=remarks(report),
        comparisons=comparison_views(report.comparisons),
        models=[model_trace(model) for model in report.provenance.models],
        versions=[_version(one, report) for one in reversed(versions)],
        why_not=why_not,
        signatory=principal.person.full_name if principal.person else "",
        may_amend=is_open and report.draft is None,
        may_sign=is_open and report.draft is None and not report.is_signed,
        has_draft=report.draft is not None,
        is_beside=report.replaces_signed and report.status is ReportStatus.PRELIMINARY,
        becomes="amended" if report.replaces_signed else "final",
    )


def _why_not(report: Report, principal: Principal) -> str:
    if not principal.role.includes(Role.RADIOLOGIST):
        return _NEEDS_ROLE
    if principal.person is None:
        return _NEEDS_ACCOUNT
    if report.status is ReportStatus.CANCELLED:
        return "This report was withdrawn. A new version comes when the study is analysed again."
    return ""


def _groups(findings: Sequence[Finding]) -> list[GroupView]:
    cines = analysed_cines(findings)
    several = len({cine.number for cine in cines}) > 1
    groups = []
    if together := of_all_cines(findings):
        groups.append(GroupView(title="All cines together", findings=[_together(finding) for finding in together]))
    for cine in cines:
        site = next(filter(None, (site_text(finding.site) for finding in cine.findings)), "")
        title = ", ".join(filter(None, (label(cine.analysis_name), site)))
        has_lines = cine.analysis_name == WITH_LINES and any(finding.name == "thickness" for finding in cine.findings)
        groups.append(
            GroupView(
                title=f"Cine {cine.number}: {title}" if several else title,
                findings=[_finding(finding) for finding in cine.findings],
                lines_of=cine.sop_instance_uid if has_lines else "",
            )
        )
    return groups


def _together(finding: Finding) -> FindingView:
    """It follows from those of the cines, so there is nothing to do to it here."""
    return _view(finding, start=None, may_reject=False)


def _finding(finding: Finding) -> FindingView:
    return _view(finding, start=_start(finding), may_reject=is_rejectable(finding) and not finding.is_rejected)


def _view(finding: Finding, *, start: str | None, may_reject: bool) -> FindingView:
    interval, wanted = finding.interval, _FIRST.get(finding.analysis.name)
    return FindingView(
        finding_id=finding.finding_id,
        name=title_of(finding),
        value=_value(finding),
        digits=decimals(finding.unit),
        symbol=symbol(finding.unit),
        start=start,
        is_number=not isinstance(as_said(finding).value, str),
        choices=[plane.name for plane in PLANES] if finding.name == PLANE_NAME else [],
        interval=f"{quantity_range(interval.low, interval.high, finding.unit)} ({interval.level:.0%})" if interval else "",
        reference=finding.reference_range or "",
        flags=words_of_flags(finding),
        sop_instance_uid=finding.evidence.sop_instance_uid,
        frames=finding.evidence.frames[:3],
        state=_state(finding),
        told=_told(finding),
        accepted_by=finding.accepted.by if finding.accepted else "",
        accepted_at=moment(finding.accepted.at) if finding.accepted else "",
        may_accept=not finding.is_rejected,
        may_reject=may_reject,
        may_restore=finding.amended is not None and not finding.is_computed,
        is_first=wanted is None or finding.name in wanted or finding.amended is not None or finding.value is None,
    )


def _start(finding: Finding) -> str | None:
    """The value that a person would change, to the digits that are shown; of a rejected one, the software's."""
    said = as_said(finding)
    if not is_settable(said):
        return None
    value = said.value if finding.value is None else finding.value
    if not isinstance(value, float):
        return str(value)
    digits = decimals(finding.unit)
    return f"{value:.3g}" if digits is None else f"{value:.{digits}f}"


def _value(finding: Finding) -> str:
    if finding.is_rejected:
        return "rejected"
    if finding.kind is FindingKind.NOT_MEASURED:
        return "not measured"
    return quantity(finding.value, finding.unit) if isinstance(finding.value, float) else str(finding.value or "")


def _state(finding: Finding) -> State:
    if finding.amended is None:
        return "software"
    if finding.is_rejected:
        return "rejected"
    return "amended" if finding.amended.method == "typed" else finding.amended.method


def _told(finding: Finding) -> str:
    """What is more than the number."""
    is_number = finding.kind is FindingKind.MEASUREMENT and finding.amended is None
    return "" if is_number and not says_more_than_its_value(finding) else finding.text


def _version(one: Report, shown: Report) -> VersionView:
    return VersionView(
        report_id=one.report_id,
        version=one.version,
        status=one.status.value,
        at=moment(one.created_at),
        act=one.act,
        is_own_reason=one.act is not None and is_own_reason(one.act),
        is_shown=one.report_id == shown.report_id,
    )

"""The life of a report: a draft is amended, signed, and what was signed is amended by a new draft or withdrawn.

    preliminary --amend--> preliminary --sign--> final (amended, where a signed version came before)
    final, amended --amend--> preliminary, a draft beside it
    preliminary, final, amended --cancel--> cancelled

Each step makes a new immutable version. The official version is the newest that was signed, or withdrawn after it was; only
where none was, the newest. All act on the current version: the newest, or the official one when the newest is a draft that
was given up. Pure: who may do so, and whether the version is the current one, is judged where the database is.
"""

import hashlib
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from service.core.amendment import Author, FindingChange, Reject, Restore, SetValue, Why, amend_finding, as_said
from service.core.compose import Software, following
from service.core.derived import follow
from service.core.drawn import DrawnLines, draw
from service.core.findings import Finding, Value
from service.core.identifiers import ReportID
from service.core.recompose import of_single_cines, recompose, with_impression
from service.core.report import Act, Comparison, Remark, Report, ReportStatus
from service.core.review_words import withdrawn_text
from service.errors import Conflict, InputRejected

#: What a person does to a version.
Deed = Literal["amended", "signed", "cancelled"]
#: Compares findings within the study and with earlier ones.
Compare = Callable[[Sequence[Finding]], Sequence[Comparison]]

_Words = Annotated[str, Field(min_length=1, max_length=10_000, pattern=r"^[^\x00-\x09\x0b-\x1f\x7f]*$")]


class Changes(Value):
    """What a person changes in a report, and why. What is not named stays; null takes back what a person wrote."""

    why: Why
    findings: Annotated[tuple[FindingChange, ...], Field(max_length=1000)] = ()
    #: At most one frame of a cine.
    lines: Annotated[tuple[DrawnLines, ...], Field(max_length=100)] = ()
    impression: _Words | None = None
    comment: _Words | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Making:
    """What a new version is made with."""

    report_id: ReportID
    version: int
    at: datetime
    by: Author
    #: The institution that the person answers to.
    organization: str | None = None
    #: The official version of the study; whatever is made takes its place.
    official: Report


def current_of(newest: Report, official: Report) -> Report:
    """The version that can be changed now."""
    return official if newest.status is ReportStatus.CANCELLED else newest


def amend(report: Report, changes: Changes, making: Making, *, compare: Compare, software: Software) -> Report:
    """A draft with the changes. Raises Conflict, and InputRejected that names the finding or value that cannot be."""
    _refuse_cancelled(report, "amended")
    given = changes.model_fields_set & {"impression", "comment"}
    if not changes.findings and not changes.lines and not given:
        raise InputRejected("Nothing is changed: name findings, lines, an impression or a comment.", reason="nothing_changed")
    draft = report
    if changes.findings or changes.lines:
        findings = follow(of_single_cines(_drawn(_amended(report, changes, making), changes, making)))
        draft = recompose(report, findings, compare(findings), software=software)
    if "impression" in given:
        draft = with_impression(draft, _remark(changes.impression, making))
    if "comment" in given:
        draft = draft.model_copy(update={"comment": _remark(changes.comment, making)})
    act = _act("amended", report, making, why=changes.why, asked=changes.model_dump_json(exclude_unset=True))
    return _next(draft, making, act, {"status": ReportStatus.PRELIMINARY})


def sign(report: Report, making: Making) -> Report:
    """The draft as the person stands for it: final, or amended after an earlier signature. Raises Conflict."""
    _refuse_cancelled(report, "signed")
    if report.is_signed:
        raise Conflict("This version is signed; amend it first, and sign the draft.", reason="already_signed")
    status = ReportStatus.AMENDED if making.official.is_settled else ReportStatus.FINAL
    signature = {"signed_by": making.by.full_name, "signed_at": making.at}
    return _next(report, making, _act("signed", report, making), {"status": status, **signature})


def cancel(report: Report, making: Making, *, why: str) -> Report:
    """The report withdrawn, or a draft given up; what it had said stays readable beside that. Raises Conflict."""
    _refuse_cancelled(report, "cancelled again")
    act = _act("cancelled", report, making, why=why, asked=why)
    words = withdrawn_text(act, report.status)
    withdrawn = {"status": ReportStatus.CANCELLED, "withdrawn": report.status, "impression": words, "written_impression": None}
    return _next(report, making, act, {**withdrawn, "comparisons": (), "limitations": ()})


def is_repetition(newest: Report, report_id: str, by: Author, kind: Deed, asked: str) -> bool:
    """Whether the newest version is what the same person made by the same request of the version `report_id`."""
    act = newest.act
    return act is not None and (act.kind, act.report_id, act.user_id, act.request_sha256) == (
        kind,
        report_id,
        by.user_id,
        _digest(asked),
    )


def _refuse_cancelled(report: Report, done: str) -> None:
    if report.status is ReportStatus.CANCELLED:
        said = f"This report was withdrawn: it cannot be {done}. A new version comes when the study is analysed again."
        raise Conflict(said, reason="cancelled")


def _amended(report: Report, changes: Changes, making: Making) -> list[Finding]:
    wanted = {change.finding_id: change for change in changes.findings}
    names = [finding.finding_id for finding in report.findings]
    if len(wanted) != len(changes.findings):
        raise InputRejected("A finding is named twice; name each once.", reason="finding_twice")
    for place, finding_id in enumerate(wanted):
        if names.count(finding_id) != 1:
            said = f"findings.{place}: this version has no such finding; `findings[].finding_id` of the report names them."
            raise InputRejected(said, reason="finding_unknown")
    restored = {one.finding_id for one in report.findings if isinstance(wanted.get(one.finding_id), Restore)}
    findings = _without_lines(report.findings, restored)
    return [
        amend_finding(before, wanted[before.finding_id], by=making.by, at=making.at, why=changes.why)
        if before.finding_id in wanted
        else finding
        for before, finding in zip(report.findings, findings, strict=True)
    ]


def _without_lines(findings: Sequence[Finding], restored: Container[str]) -> list[Finding]:
    """Lines are restored as a whole: with one of their numbers the others of that cine go back, too."""
    uids = {one.evidence.sop_instance_uid for one in findings if one.finding_id in restored and _is_drawn(one)}
    return [as_said(one) if _is_drawn(one) and one.evidence.sop_instance_uid in uids else one for one in findings]


def _is_drawn(finding: Finding) -> bool:
    return finding.amended is not None and finding.amended.method == "drawn"


def _drawn(findings: Sequence[Finding], changes: Changes, making: Making) -> Sequence[Finding]:
    """A number that is typed in the same breath stands before that of the lines."""
    if len({lines.sop_instance_uid for lines in changes.lines}) != len(changes.lines):
        raise InputRejected("Lines of one cine are drawn in two frames; draw them in one.", reason="lines_twice")
    typed = {change.finding_id for change in changes.findings if isinstance(change, SetValue | Reject)}
    for lines in changes.lines:
        findings = draw(findings, lines, by=making.by, at=making.at, why=changes.why, except_for=typed)
    return findings


def _remark(text: str | None, making: Making) -> Remark | None:
    if text is None:
        return None
    return Remark(text=text, by=making.by.full_name, user_id=making.by.user_id, at=making.at)


def _act(kind: Deed, report: Report, making: Making, *, why: str | None = None, asked: str = "") -> Act:
    by = making.by
    return Act(
        kind=kind,
        by=by.full_name,
        user_id=by.user_id,
        organization=making.organization,
        at=making.at,
        why=why,
        report_id=report.report_id,
        request_sha256=_digest(asked),
    )


def _digest(asked: str) -> str:
    return hashlib.sha256(asked.encode()).hexdigest()


def _next(report: Report, making: Making, act: Act, changes: dict[str, Any]) -> Report:
    """A version of its own; signatures and deliveries of the one before do not pass on."""
    own = {"report_id": making.report_id, "version": making.version, "created_at": making.at, "act": act}
    fresh = {"signed_by": None, "signed_at": None, "withdrawn": None, "draft": None, "delivery": ()}
    return report.model_copy(update={**fresh, **following(making.official, report.findings), **own, **changes})

"""What a person did to a report, in the words in which every form of it says so."""

from service.core.findings import Amendment, Finding
from service.core.report import SIGNED, Act, Remark, Report, ReportStatus
from service.core.wording import moment, quantity, quantity_range, title_of

_DRAFT = "Preliminary: automated draft, not verified by a person"
_UNNAMED = {
    ReportStatus.PRELIMINARY: _DRAFT,
    ReportStatus.FINAL: "Final: signed",
    ReportStatus.AMENDED: "Amended: signed",
    ReportStatus.CANCELLED: "Cancelled: withdrawn",
}

#: What the panel says where nobody has to give a reason (`static/review/pending.js`): not typed, so they have a translation.
OWN_REASONS = frozenset({"findings reviewed", "what the software had said was restored"})
#: How the sentence about an amendment that was lost ends, behind what a person typed.
NOT_CARRIED_OVER = "; this was not carried over, for the finding is not there any more or rests on other frames or another scale."


def status_words(report: Report) -> str:
    """`Final: signed by Dr Anna Grau, Test Hospital, 2026-11-20 09:30 UTC`."""
    said = _UNNAMED[report.status]
    if report.is_signed and report.signed_by and report.signed_at:
        institution = report.act.organization if report.act is not None else None
        return ", ".join(filter(None, (f"{said} by {report.signed_by}", institution, moment(report.signed_at))))
    if report.status is ReportStatus.CANCELLED and report.act is not None:
        return f"{said} by {report.act.by}, {moment(report.act.at)}"
    if report.status is not ReportStatus.PRELIMINARY:
        return said
    if authors := _authors(report):
        said = f"Preliminary: draft amended by {authors}, not signed"
    beside = f"; beside version {report.predecessor_version}, which is signed" if report.replaces_signed else ""
    return said + beside


def remarks(report: Report) -> list[str]:
    """A comment, and why a person changed the report, as sentences."""
    told = []
    if report.comment is not None:
        told.append(f"Comment by {report.comment.by}: {report.comment.text}")
    if report.act is not None and report.status is not ReportStatus.CANCELLED and report.act.why is not None:
        told.append(_why(report.act))
    return told


def is_own_reason(act: Act) -> bool:
    """Whether nobody typed why a report was amended: findings were accepted or restored as they were."""
    return act.kind == "amended" and act.why in OWN_REASONS


def finding_text(finding: Finding) -> str:
    """What a finding says that a person has amended, and what the software had said."""
    amendment = _amendment(finding)
    said, reason = _software_said(finding, amendment), f"{amendment.by}: {amendment.why.removesuffix('.')}."
    if amendment.is_rejected:
        return f"{title_of(finding)} rejected by {reason} {said}"
    stated = f"{title_of(finding)} {_written(finding.value, finding.unit)}"
    if amendment.method == "computed":
        return f"{stated}, computed anew from what was amended by {reason} {said}"
    if amendment.method == "drawn":
        return f"{stated}, between the lines drawn in frame {finding.evidence.frames[0]} by {reason} {said}"
    return f"{stated}, amended by {reason} {said}"


def not_carried_over(finding: Finding) -> str:
    """That an amendment was lost, for new findings do not hold what it was made of."""
    amendment = _amendment(finding)
    value = f'"{finding.value}"' if isinstance(finding.value, str) else _written(finding.value, finding.unit)
    done = "rejected" if amendment.is_rejected else f"set to {value}"
    return f"{title_of(finding)} had been {done} by {amendment.by} ({amendment.why.rstrip('.')}){NOT_CARRIED_OVER}"


def written_before(words: Remark) -> str:
    """That findings have changed under an impression that a person wrote."""
    return f"The impression was written by {words.by} before the findings were as they are here: see whether it still fits them."


def withdrawn_text(act: Act, withdrawn: ReportStatus | None) -> str:
    """What stands in the place of the impression of a version that was `withdrawn` from that status."""
    what = "This report was withdrawn" if withdrawn in SIGNED else "This draft was withdrawn before anybody signed it"
    return f"{what} by {act.by} on {act.at:%Y-%m-%d}: {(act.why or '').rstrip('.')}. Nothing in it is to be used."


def _why(act: Act) -> str:
    return f"Amended by {act.by}, {moment(act.at)}: {act.why}"


def _authors(report: Report) -> str:
    """Everybody whose word stands in a draft."""
    amended = (finding.amended_by for finding in report.findings)
    written = (remark.by for remark in (report.written_impression, report.comment) if remark is not None)
    return ", ".join(dict.fromkeys(filter(None, (*amended, *written))))


def _amendment(finding: Finding) -> Amendment:
    assert finding.amended is not None  # noqa: S101 - only amended findings come here
    return finding.amended


def _software_said(finding: Finding, amendment: Amendment) -> str:
    original = amendment.original
    if original.value is None:
        return f"The software said: {original.text}"
    interval = original.interval
    spread = quantity_range(interval.low, interval.high, finding.unit) if interval else ""
    limits = f" ({100 * interval.level:.0f} % {spread})" if interval else ""
    return f"The software said {_written(original.value, finding.unit)}{limits}."


def _written(value: float | str | None, unit: str | None) -> str:
    return quantity(value, unit) if isinstance(value, float) else str(value)

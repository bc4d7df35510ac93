"""What a person did to a report, in the words in which every form of it says so."""

from datetime import datetime

from service.core.report import Act, Report, ReportStatus

_DRAFT = "Preliminary: automated draft, not verified by a person"
_UNNAMED = {
    ReportStatus.PRELIMINARY: _DRAFT,
    ReportStatus.FINAL: "Final: signed",
    ReportStatus.AMENDED: "Amended: signed",
    ReportStatus.CANCELLED: "Cancelled: withdrawn",
}


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


def moment(at: datetime) -> str:
    """`2026-11-20 09:30 UTC`."""
    return f"{at:%Y-%m-%d %H:%M %Z}".strip()


def _why(act: Act) -> str:
    return f"Amended by {act.by}, {moment(act.at)}: {act.why}"


def _authors(report: Report) -> str:
    """Everybody whose word stands in a draft."""
    amended = (finding.amended_by for finding in report.findings)
    written = (remark.by for remark in (report.written_impression, report.comment) if remark is not None)
    return ", ".join(dict.fromkeys(filter(None, (*amended, *written))))

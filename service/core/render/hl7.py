"""A report as HL7 v2.5.1 ORU^R01 (chapter 7), for systems that take neither DICOM nor FHIR. A function of the report alone.

Segments MSH, PID, ORC, OBR with NTE, and an OBX with NTE for each measurement. Abnormal flags (OBX-8) stay empty: nothing here
knows what is normal.
"""

import base64
import hashlib
import re
from collections.abc import Iterator
from decimal import Decimal

from service.core import codes
from service.core.findings import Code, Finding, FindingKind
from service.core.report import RESEARCH_USE, Report, ReportStatus
from service.core.review_words import remarks
from service.core.wording import quantity_range, site_text, title_of

#: Table 0123, and, but for what was withdrawn, table 0085 for OBX-11.
_STATUS = {
    ReportStatus.PRELIMINARY: "P",
    ReportStatus.FINAL: "F",
    ReportStatus.AMENDED: "C",
    ReportStatus.CANCELLED: "X",
}
#: "Results cannot be obtained for this observation" (table 0085).
_NOT_OBTAINED = "X"
#: "Post original as wrong", and the null value that deletes what a receiver holds (chapter 2.5.3).
_WRONG, _NULL = "W", '""'
#: Chapter 2.7.1; a line break is chapter 2.7.6's, for formatted text.
_ESCAPES = str.maketrans({"\\": "\\E\\", "|": "\\F\\", "^": "\\S\\", "&": "\\T\\", "~": "\\R\\"})
_CONTROL = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]+")
#: MSH-10 has 20 characters.
_CONTROL_ID_BYTES = 12
_SEX = {"M": "M", "F": "F", "O": "O"}


def render_oru(report: Report) -> bytes:
    """One message in UTF-8, each segment ended by a carriage return."""
    return "".join(f"{segment}\r" for segment in _segments(report)).encode()


def control_id(report: Report) -> str:
    """MSH-10: the same message always has the same, so that a receiver knows a repetition."""
    digest = hashlib.sha256(f"oru\x1f{report.report_id}\x1f{report.version}".encode()).digest()
    return base64.b32encode(digest[:_CONTROL_ID_BYTES]).decode().rstrip("=")


def _segments(report: Report) -> Iterator[str]:
    yield _header(report)
    yield _patient(report)
    yield _segment("ORC", {1: "RE", 3: _order(report)})
    yield _segment(
        "OBR",
        {
            1: "1",
            3: _order(report),
            4: _coded(codes.DIAGNOSTIC_ULTRASONOGRAPHY),
            7: _observed_at(report),
            22: _made_at(report),
            24: "RAD",
            25: _STATUS[report.status],
            **_interpreter(report),
        },
    )
    yield from _notes(RESEARCH_USE, report.impression, *remarks(report), *report.limitations)
    said = [finding for finding in report.findings if _is_said(finding)]
    for number, finding in enumerate(said, start=1):
        yield _observation(report, finding, number)
        if report.status is not ReportStatus.CANCELLED:
            yield from _notes(*_remarks(finding))


def _header(report: Report) -> str:
    fields = {2: "^~\\&", 3: "SONOMYO", 7: _made_at(report), 9: "ORU^R01^ORU_R01", 10: control_id(report), 11: "P", 12: "2.5.1"}
    return _segment("MSH", {**fields, 18: "UNICODE UTF-8"})


def _segment(name: str, fields: dict[int, str]) -> str:
    """Fields by their number; MSH-1 is the separator itself (chapter 2.15.9.1)."""
    first = 2 if name == "MSH" else 1
    return "|".join([name, *(fields.get(number, "") for number in range(first, max(fields) + 1))])


def _patient(report: Report) -> str:
    study = report.study
    identifier = _text(study.patient_id) + (f"^^^{_text(study.issuer_of_patient_id)}" if study.issuer_of_patient_id else "")
    sex = _SEX.get((study.patient_sex or "").strip().upper(), "")
    return _segment("PID", {1: "1", 3: identifier, 5: _name(study.patient_name), 7: _digits(study.patient_birth_date, 8), 8: sex})


def _name(name: str | None) -> str:
    """XPN from a DICOM PN (PS3.5 6.2.1): prefix and suffix change places. The first group that is not empty."""
    groups = [group for group in (name or "").split("=") if group.strip("^ ")]
    family, given, middle, prefix, suffix = ([*groups[0].split("^"), "", "", "", "", ""] if groups else [""] * 5)[:5]
    return "^".join(map(_text, (family, given, middle, suffix, prefix))).rstrip("^")


def _order(report: Report) -> str:
    """The accession number; without one the study itself, for an order needs a number."""
    return _text(report.study.accession_number or report.study.study_instance_uid)


def _observation(report: Report, finding: Finding, number: int) -> str:
    known = finding.code or codes.FINDING_CODES.get(finding.name)
    what = _coded(known) if known is not None else f"{_text(finding.name)}^{_text(title_of(finding))}^L"
    fields = {1: str(number), 3: what, 4: str(number), 11: _NOT_OBTAINED, 14: _observed_at(report), 17: _method(finding)}
    if finding.amended is not None:
        fields[16] = f"{_text(finding.amended.user_id)}^{_text(finding.amended.by)}"
    if finding.is_rejected or (report.status is ReportStatus.CANCELLED and isinstance(finding.value, float)):
        fields |= {2: "NM", 5: _NULL, 6: _unit(finding.unit), 11: _WRONG}
    elif isinstance(finding.value, float):
        fields |= {
            2: "NM",
            5: _number(finding.value),
            6: _unit(finding.unit),
            7: _text(finding.reference_range),
            11: _STATUS[report.status],
        }
    return _segment("OBX", fields)


def _is_said(finding: Finding) -> bool:
    """A number, or that there is none, or that there was one and a person has rejected it: others keep their OBX-4."""
    value = finding.amended.original.value if finding.amended is not None else finding.value
    return finding.kind is FindingKind.NOT_MEASURED or (
        finding.kind in (FindingKind.MEASUREMENT, FindingKind.CLASSIFICATION) and isinstance(value, float)
    )


def _remarks(finding: Finding) -> Iterator[str]:
    site = site_text(finding.site)
    if site:
        yield f"Site: {site}"
    yield finding.text
    if finding.interval is not None:
        limits = quantity_range(finding.interval.low, finding.interval.high, finding.unit)
        yield f"{100 * finding.interval.level:.0f} % interval: {limits}"
    if finding.flags:
        yield f"Flags: {', '.join(finding.flags)}"
    if finding.model is not None:
        yield f"Model: {finding.model.name} {finding.model.version}, evidence {finding.model.evidence}"


def _notes(*texts: str) -> Iterator[str]:
    for number, text in enumerate(filter(None, texts), start=1):
        yield _segment("NTE", {1: str(number), 3: _formatted(text)})


def _interpreter(report: Report) -> dict[int, str]:
    """OBR-32, NDL: the account's name, and the person's as it is read, for its parts are not known."""
    if not report.is_signed or not report.signed_by:
        return {}
    user_id = report.act.user_id if report.act is not None else ""
    return {32: f"{_text(user_id)}&{_text(report.signed_by)}"}


def _method(finding: Finding) -> str:
    return f"{_text(finding.analysis.name)}^{_text(f'{finding.analysis.name} {finding.analysis.version}')}^L"


def _unit(unit: str | None) -> str:
    if unit is None:
        return ""
    known = codes.UNITS.get(unit)
    return f"{_text(unit)}^{_text(known.meaning if known else unit)}^UCUM"


def _coded(code: Code) -> str:
    """CE; DICOM's designators are those of table 0396."""
    return f"{_text(code.value)}^{_text(code.meaning)}^{_text(code.scheme)}"


def _number(value: float) -> str:
    """Chapter 2.A.47: digits and a point, no exponent."""
    return format(Decimal(f"{value:.6g}"), "f")


def _made_at(report: Report) -> str:
    return report.created_at.strftime("%Y%m%d%H%M%S%z")


def _observed_at(report: Report) -> str:
    """In the modality's local time, whose offset nobody knows."""
    date = _digits(report.study.study_date, 8)
    return date + _digits((report.study.study_time or "").split(".")[0], 6) if date else ""


def _digits(text: str | None, length: int) -> str:
    """Nothing for what is no DICOM date or time of full length."""
    return text if text is not None and re.fullmatch(r"[0-9]+", text) and len(text) == length else ""


def _text(text: str | None) -> str:
    return _CONTROL.sub(" ", text or "").strip().translate(_ESCAPES)


def _formatted(text: str) -> str:
    lines = [_text(line) for line in text.splitlines()]
    return "\\.br\\".join(lines)

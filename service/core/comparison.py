"""Findings beside each other: left against right in one study, and a side against the patient's earlier reports.

Only calibrated numbers take part, angles too, and only those of one muscle, as far as it is coded. Echo intensity takes no
part: it depends on gain and compression, and no attribute tells that these were the same.
"""

import math
import re
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from service.core.codes import SKELETAL_MUSCLE
from service.core.findings import Code, Finding, FindingKind, FindingSite, Interval, Value
from service.core.report import Compared, Comparison, EarlierComparison, EarlierStudy, Side, SideComparison, StudyHeader
from service.core.wording import comparison_text

#: What is compared, by analysis and finding name, and the unit that it must have; reports keep this order.
COMPARED = {
    ("muscle_architecture", "thickness"): "mm",
    ("muscle_architecture", "pennation_angle"): "deg",
    ("muscle_architecture", "fascicle_length"): "mm",
}

#: Together they tell a patient; PatientID alone does not, for two houses may give the same one to two people.
_WHO = ("patient_id", "issuer_of_patient_id", "patient_birth_date")

_DATE = re.compile(r"[0-9]{8}")
_TIME = re.compile(r"((?:[0-9]{2}){1,3})(?:\.([0-9]{1,6}))?")

#: What made a number, by the name under which a comparison says that two were not made alike.
_MADE_BY: Mapping[str, Callable[[Finding], object]] = {
    "analysis": lambda finding: finding.analysis.version,
    "model": lambda finding: finding.model and (finding.model.name, finding.model.version, finding.model.sha256),
}


class EarlierReport(Value):
    """Of a report of another study what a comparison needs: whose it is and what it measured."""

    report_id: str
    study: StudyHeader
    findings: tuple[Finding, ...]


def compare(study: StudyHeader, findings: Sequence[Finding], earlier: Sequence[EarlierReport] = ()) -> tuple[Comparison, ...]:
    """What two sides, or two times, say of one quantity: first left against right, then the changes, each in fixed order.

    Of `earlier`, reports that are not of an earlier study of the same patient are passed over; for each quantity and side
    the newest that measured it counts.
    """
    now = _measured(findings)
    before = sorted(
        (report for report in earlier if is_earlier_of_the_patient(study, report.study)),
        key=lambda report: (_moment(report.study), report.report_id),
        reverse=True,
    )
    return (*_sides(now), *_changes(now, [(report, _measured(report.findings)) for report in before]))


def is_earlier_of_the_patient(study: StudyHeader, other: StudyHeader) -> bool:
    """Whether `other` is of the same patient and was made before; a missing PatientID or date matches nothing.

    PatientID, its issuer and the birth date must agree, where one of the latter two is known: an identifier by itself
    is given to several people.
    """
    is_known = bool(study.patient_id) and bool(study.issuer_of_patient_id or study.patient_birth_date)
    is_same = all(getattr(study, name) == getattr(other, name) for name in _WHO)
    return is_known and is_same and study.study_instance_uid != other.study_instance_uid and _is_before(other, study)


def asymmetry_percent(left: float, right: float) -> float | None:
    """By how much the smaller side falls short of the larger: 100 * |left - right| / max(left, right), in per cent.

    The bilateral asymmetry of Impellizzeri, Rampinini, Maffiuletti and Marcora, "A vertical jump force test for assessing
    bilateral strength asymmetry in athletes", Med Sci Sports Exerc 39(11):2044-2050 (2007), without its sign. None unless
    both are positive.
    """
    return 100 * abs(left - right) / max(left, right) if min(left, right) > 0 else None


@dataclass(frozen=True, slots=True)
class _Subject:
    """What a number is of. Muscles without a code are taken to be the same."""

    analysis: str
    name: str
    #: Scheme and value.
    muscle: tuple[str, str] | None


#: Findings by what they measured and on which side.
_Measured = Mapping[_Subject, Mapping[Side, Sequence[Finding]]]


def _measured(findings: Sequence[Finding]) -> _Measured:
    """In the order of `COMPARED`, and of first appearance."""
    found: dict[_Subject, dict[Side, list[Finding]]] = {}
    for analysis, name in COMPARED:
        for finding in findings:
            side = _side(finding)
            if (finding.analysis.name, finding.name) == (analysis, name) and side is not None and _is_comparable(finding):
                subject = _Subject(analysis, name, _identity(_muscle(finding.site)))
                found.setdefault(subject, {}).setdefault(side, []).append(finding)
    return found


def _side(finding: Finding) -> Side | None:
    laterality = finding.site.laterality if finding.site else None
    return None if laterality == "bilateral" else laterality


def _is_comparable(finding: Finding) -> bool:
    scale = finding.evidence.calibration
    return (
        finding.kind is FindingKind.MEASUREMENT
        and isinstance(finding.value, float)
        and math.isfinite(finding.value)
        and finding.unit == COMPARED[finding.analysis.name, finding.name]
        and scale is not None
        and None not in (scale.mm_per_pixel_x, scale.mm_per_pixel_y)
    )


def _muscle(site: FindingSite | None) -> Code | None:
    """None where the site is nothing more than some skeletal muscle."""
    code = site.code if site else None
    return None if code is None or _identity(code) == _identity(SKELETAL_MUSCLE) else code


def _identity(code: Code | None) -> tuple[str, str] | None:
    return None if code is None else (code.scheme, code.value)


def _sides(now: _Measured) -> Iterator[SideComparison]:
    for subject, sides in now.items():
        if "left" in sides and "right" in sides:
            left, right = _compared(sides["left"]), _compared(sides["right"])
            made = SideComparison(
                **_common(subject, sides["left"], sides["right"]),
                left=left,
                right=right,
                difference=left.value - right.value,
                asymmetry_percent=asymmetry_percent(left.value, right.value),
            )
            yield made.model_copy(update={"text": comparison_text(made)})


def _changes(now: _Measured, before: Sequence[tuple[EarlierReport, _Measured]]) -> Iterator[EarlierComparison]:
    """`before` is newest first."""
    for subject, sides in now.items():
        for side in sorted(sides):
            found = next(((report, then[subject][side]) for report, then in before if side in then.get(subject, {})), None)
            if found is not None:
                yield _change(subject, side, sides[side], *found)


def _change(
    subject: _Subject, side: Side, findings: Sequence[Finding], report: EarlierReport, then: Sequence[Finding]
) -> EarlierComparison:
    now, earlier = _compared(findings), _compared(then)
    change = now.value - earlier.value
    made = EarlierComparison(
        **_common(subject, findings, then),
        laterality=side,
        now=now,
        earlier=earlier,
        earlier_study=EarlierStudy(
            report_id=report.report_id,
            study_instance_uid=report.study.study_instance_uid,
            study_date=report.study.study_date or "",
        ),
        change=change,
        change_percent=100 * change / earlier.value if earlier.value > 0 else None,
    )
    return made.model_copy(update={"text": comparison_text(made)})


def _compared(findings: Sequence[Finding]) -> Compared:
    return Compared(
        value=statistics.median(float(finding.value) for finding in findings if finding.value is not None),
        interval=findings[0].interval if len(findings) == 1 else None,
        finding_ids=tuple(finding.finding_id for finding in findings),
    )


def _common(subject: _Subject, one: Sequence[Finding], two: Sequence[Finding]) -> dict[str, object]:
    """What both sorts of comparison say; the text follows when the numbers stand."""
    made_by = {part: {read(finding) for finding in (*one, *two)} for part, read in _MADE_BY.items()}
    return {
        "name": subject.name,
        "analysis": subject.analysis,
        "unit": COMPARED[subject.analysis, subject.name],
        "muscle": _muscle(one[0].site),
        "differs_in": tuple(part for part, makers in made_by.items() if len(makers) > 1),
        "is_within_uncertainty": _is_within_uncertainty(_compared(one), _compared(two)),
        "text": "",
    }


def _is_within_uncertainty(one: Compared, two: Compared) -> bool | None:
    """Whether the difference is no larger than its own half-width: both half-widths, added as those of independent errors."""
    if one.interval is None or two.interval is None or one.interval.level != two.interval.level:
        return None
    return abs(one.value - two.value) <= math.hypot(_half_width(one.interval), _half_width(two.interval))


def _half_width(interval: Interval) -> float:
    return (interval.high - interval.low) / 2


def _is_before(one: StudyHeader, other: StudyHeader) -> bool:
    """By date, on one day by time; where that is not known, neither is before the other."""
    (date, time), (other_date, other_time) = _moment(one), _moment(other)
    if not (date and other_date):
        return False
    return date < other_date or (date == other_date and bool(time and other_time) and time < other_time)


def _moment(study: StudyHeader) -> tuple[str, str]:
    """Date and time as texts that sort as they follow one another (DA and TM, PS3.5 6.2); empty where one is not known."""
    date, time = study.study_date or "", _TIME.fullmatch(study.study_time or "")
    return (
        date if _DATE.fullmatch(date) else "",
        time[1].ljust(len("HHMMSS"), "0") + (time[2] or "").ljust(len("FFFFFF"), "0") if time else "",
    )

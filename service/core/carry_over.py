"""What persons had amended, carried over to new findings of the same study; what no longer fits is told, never lost silently."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from service.core.amendment import as_said, reapplied
from service.core.derived import follow
from service.core.findings import Finding, FindingKind
from service.core.recompose import with_words_of
from service.core.report import Report, ReportStatus
from service.core.review_words import not_carried_over


@dataclass(frozen=True, slots=True)
class CarriedOver:
    """New findings with the amendments of earlier ones; `dropped` has a sentence for each that could not be made again."""

    findings: tuple[Finding, ...]
    dropped: tuple[str, ...] = ()


def carry_over(previous: Report | None, findings: Sequence[Finding]) -> CarriedOver:
    """Amend those of `findings` that a person had amended in `previous`; a withdrawn report hands nothing on.

    A finding is the same when analysis, name, instance, frames, unit and scale are; of a class, what the software said, too, and
    of a motor unit its number and centre. Its number may be another one: the person's word stands, beside what the software
    says now.
    """
    if previous is None or previous.status is ReportStatus.CANCELLED:
        return CarriedOver(tuple(findings))
    amended = [finding for finding in previous.findings if finding.amended is not None and not finding.is_computed]
    places: dict[Hashable, list[int]] = {}
    for index, finding in enumerate(findings):
        places.setdefault(_sameness(finding), []).append(index)
    made, dropped = list(findings), []
    for finding in amended:
        match places.get(_sameness(finding), ()):
            case [index] if _is_fit(findings[index]):
                made[index] = reapplied(finding, findings[index])
            case _:
                dropped.append(not_carried_over(finding))
    return CarriedOver(_still_accepted(previous, follow(made)), tuple(dropped))


def with_words(previous: Report | None, report: Report) -> Report:
    """`report` with the impression and the comment that persons wrote into `previous`; a withdrawn one hands nothing on."""
    if previous is None or previous.status is ReportStatus.CANCELLED:
        return report
    return with_words_of(previous, report)


def _still_accepted(previous: Report, findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """A person accepted a number; another one has to be looked at anew."""
    accepted = {(_sameness(finding), finding.value): finding.accepted for finding in previous.findings if finding.accepted}
    return tuple(
        finding.model_copy(update={"accepted": accepted.get((_sameness(finding), finding.value))}) if accepted else finding
        for finding in findings
    )


def _sameness(finding: Finding) -> Hashable:
    evidence = as_said(finding).evidence
    of_one_plane = as_said(finding).value if finding.kind is FindingKind.CLASSIFICATION else None
    of_one_unit = finding.motor_unit and (finding.motor_unit.number, finding.motor_unit.centre_mm)
    where = (evidence.sop_instance_uid, evidence.frames, evidence.region_index, evidence.calibration)
    return (finding.analysis.name, finding.name, finding.kind, of_one_plane, of_one_unit, finding.unit, where)


def _is_fit(finding: Finding) -> bool:
    return finding.kind is not FindingKind.NOT_MEASURED

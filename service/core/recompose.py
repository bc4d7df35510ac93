"""What follows from findings, composed anew when a person has changed them, so that no sentence contradicts the table."""

from collections.abc import Sequence

from service.core.compose import HELD, Software, impression_of, limitations_of, of_all_cines, provenance_of, together
from service.core.findings import Finding
from service.core.report import Comparison, Remark, Report
from service.core.review_words import written_before


def recompose(report: Report, findings: Sequence[Finding], comparisons: Sequence[Comparison], *, software: Software) -> Report:
    """`report` with other findings, those of single cines, in its order; what else its limitations told stays told.

    An impression that a person wrote stays, and a limitation says that the findings have changed under it.
    """
    findings = (*findings, *(() if HELD in report.limitations else together(findings)))
    changed = report.model_copy(
        update={
            "findings": findings,
            "comparisons": tuple(comparisons),
            "impression": impression_of(findings, comparisons),
            "limitations": _limitations(report, findings),
            "provenance": provenance_of(findings, software),
        }
    )
    return with_words_of(report, changed)


def of_single_cines(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Without what several cines say together, which follows from the others."""
    derived = {finding.finding_id for finding in of_all_cines(findings)}
    return tuple(finding for finding in findings if finding.finding_id not in derived)


def with_words_of(previous: Report, report: Report) -> Report:
    """`report` with the comment and the impression that persons wrote into `previous`, the latter with a warning."""
    words = previous.written_impression
    kept = report.model_copy(update={"comment": previous.comment, "written_impression": words})
    if words is None:
        return kept
    told = dict.fromkeys((written_before(words), *kept.limitations))
    return kept.model_copy(update={"impression": words.text, "limitations": tuple(told)})


def with_impression(report: Report, words: Remark | None) -> Report:
    """`report` with an impression that a person wrote of its findings as they are; None composes it."""
    before = report.written_impression
    warning = None if before is None else written_before(before)
    return report.model_copy(
        update={
            "written_impression": words,
            "impression": impression_of(report.findings, report.comparisons) if words is None else words.text,
            "limitations": tuple(sentence for sentence in report.limitations if sentence != warning),
        }
    )


def _limitations(report: Report, findings: Sequence[Finding]) -> tuple[str, ...]:
    """Those that do not follow from findings keep their place before or behind the others."""
    derived = set(limitations_of(report.findings))
    places = [place for place, sentence in enumerate(report.limitations) if sentence in derived]
    first = places[0] if places else len(report.limitations)
    before = [sentence for sentence in report.limitations[:first] if sentence not in derived]
    behind = [sentence for sentence in report.limitations[first:] if sentence not in derived]
    return tuple(dict.fromkeys((*before, *limitations_of(findings), *behind)))

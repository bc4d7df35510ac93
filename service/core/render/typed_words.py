"""What persons typed into a report, taken out before its sentences meet a catalogue, and put back afterwards."""

import re
from collections.abc import Mapping

from service.core.compose import impression_of
from service.core.findings import Amendment, Finding
from service.core.measure.wrist_findings import PLANE_NAME
from service.core.render.catalogue import FIRST_MARK, MARK, QUANTITY
from service.core.report import Act, Remark, Report
from service.core.review_words import NOT_CARRIED_OVER, finding_text, is_own_reason, withdrawn_text, written_before

_MARK = re.compile(MARK)
#: What was not carried over is told of findings that are not in the report, so it is read from the sentence.
_DROPPED = re.compile(
    rf'(?P<done>.+? had been (?:rejected|set to (?:{QUANTITY}|"(?P<chosen>.+?)"))) by (?P<typed>.+){re.escape(NOT_CARRIED_OVER)}',
    re.DOTALL,
)


class TypedWords:
    """Marks, characters of private use, in the place of what persons typed: the same for the same."""

    def __init__(self) -> None:
        self._marks: dict[str, str] = {}
        self._typed: dict[str, str] = {}

    def mark(self, typed: str) -> str:
        """Nothing stays nothing."""
        if not typed:
            return typed
        mark = self._marks.setdefault(typed, chr(FIRST_MARK + len(self._marks)))
        self._typed[mark] = typed
        return mark

    def lines(self, typed: str) -> str:
        """A mark for each line."""
        return "\n".join(map(self.mark, typed.splitlines()))

    def put_back(self, text: str) -> str:
        """The words again."""
        return _MARK.sub(lambda found: self._typed.get(found[0], found[0]), text)


def without_typed_words(report: Report) -> tuple[Report, TypedWords]:
    """A report to be worded and translated, with marks where persons' words are.

    A stored sentence is worded anew, with and without marks. Where the former is not what is stored, for it was worded by
    another version, it cannot be told whose its words are: then one mark stands for all of it, and it is read as it was stored.
    """
    words = TypedWords()
    findings = tuple(_finding(finding, words) for finding in report.findings)
    unsaid: Mapping[str, object] = {
        "findings": findings,
        "signed_by": report.signed_by and words.mark(report.signed_by),
        "act": report.act and _act(report.act, words),
        "comment": report.comment and _remark(report.comment, words),
        "written_impression": report.written_impression and _remark(report.written_impression, words),
        "impression": _impression(report, findings, words),
        "limitations": tuple(_limitation(sentence, report.written_impression, words) for sentence in report.limitations),
    }
    return report.model_copy(update=unsaid), words


def _finding(finding: Finding, words: TypedWords) -> Finding:
    amendment = finding.amended
    if amendment is None:
        return finding
    is_typed = isinstance(finding.value, str) and finding.name != PLANE_NAME
    unsaid = finding.model_copy(
        update={
            "value": words.mark(str(finding.value)) if is_typed else finding.value,
            "amended_by": words.mark(amendment.by),
            "amended": _amendment(amendment, words),
        }
    )
    text = finding_text(unsaid) if finding.text == finding_text(finding) else words.lines(finding.text)
    return unsaid.model_copy(update={"text": text})


def _amendment(amendment: Amendment, words: TypedWords) -> Amendment:
    """A sentence ends behind the reason, so a full stop of its own is not kept twice."""
    return amendment.model_copy(update={"by": words.mark(amendment.by), "why": words.mark(amendment.why.removesuffix("."))})


def _act(act: Act, words: TypedWords) -> Act:
    why = act.why and (act.why.rstrip(".") if act.kind == "cancelled" else act.why)
    organization = act.organization and words.mark(act.organization)
    if why and not is_own_reason(act):
        why = words.mark(why)
    return act.model_copy(update={"by": words.mark(act.by), "organization": organization, "why": why})


def _remark(remark: Remark, words: TypedWords) -> Remark:
    return remark.model_copy(update={"by": words.mark(remark.by), "text": words.mark(remark.text)})


def _impression(report: Report, findings: tuple[Finding, ...], words: TypedWords) -> str:
    if report.written_impression is not None:
        return words.lines(report.impression)
    if report.act is not None and report.act.kind == "cancelled":
        is_known = report.impression == withdrawn_text(report.act, report.withdrawn)
        return withdrawn_text(_act(report.act, words), report.withdrawn) if is_known else words.lines(report.impression)
    if findings == report.findings:
        return report.impression
    is_known = report.impression == impression_of(report.findings, report.comparisons)
    return impression_of(findings, report.comparisons) if is_known else words.lines(report.impression)


def _limitation(sentence: str, written: Remark | None, words: TypedWords) -> str:
    if written is not None and sentence == written_before(written):
        return written_before(_remark(written, words))
    if not sentence.endswith(NOT_CARRIED_OVER):
        return sentence
    dropped = _DROPPED.fullmatch(sentence)
    if dropped is None:
        return words.lines(sentence)
    done, chosen = dropped["done"], dropped["chosen"]
    done = done.removesuffix(f'"{chosen}"') + f'"{words.mark(chosen)}"' if chosen else done
    return f"{done} by {words.mark(dropped['typed'])}{NOT_CARRIED_OVER}"

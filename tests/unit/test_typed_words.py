"""What persons typed into a report is read as they typed it, in every language; the words around it are translated."""

from collections.abc import Mapping

import pytest

from service.core.amendment import Author, SetValue, amend_finding
from service.core.carry_over import carry_over
from service.core.compose import Gaps
from service.core.findings import FindingKind
from service.core.render.html import render_html
from service.core.render.language import ENGLISH
from service.core.render.pdf import render_pdf
from service.core.render.report_view import ReportView, view_of
from service.core.render.translated_view import translated_view
from service.core.report import Report
from service.core.report_life import sign
from tests.calf_report import CREATED_AT, calf_report, cine_findings, not_measured
from tests.every_report import EVERY_REPORT
from tests.reviewed_report import AUTHOR, amended, making, signed, withdrawn
from tests.unit.test_render_german import GERMAN, text_of, visible

#: Each is in the catalogue, or is made of what is.
TYPED = (
    *("Thickness", "not found", "18.2 mm", "2026-11-20", "Research use only - not for diagnosis", "Thickness, left"),
    *("Comment by Thickness: not found", "Not found. The software said 17.5 mm", "{name} <b>left</b>"),
)
NAMED = pytest.mark.parametrize("typed", TYPED)


def german(report: Report) -> str:
    """The page, each blank once."""
    return " ".join(visible(render_html(report, {}, GERMAN)).split())


def of_class(value: str, why: str) -> Report:
    said = {"kind": FindingKind.CLASSIFICATION, "name": "fascicle", "value": "left", "unit": None, "series": None}
    finding = cine_findings()[0].model_copy(update=said)
    change = SetValue(finding_id=finding.finding_id, value=value)
    return calf_report(findings=[amend_finding(finding, change, by=AUTHOR, at=CREATED_AT, why=why)])


@NAMED
def test_comment_is_shown_as_it_was_typed(typed: str) -> None:
    assert f"Kommentar von Dr Anna Grau: {typed} " in german(amended(comment=typed))


@NAMED
def test_written_impression_is_shown_as_it_was_typed(typed: str) -> None:
    page = german(amended(impression=f"{typed}\n{typed}", findings=[]))
    assert f"Beurteilung {typed} {typed} Geändert von Dr Anna Grau" in page


@NAMED
def test_reason_of_an_amendment_is_shown_as_it_was_typed(typed: str) -> None:
    page = german(amended(why=typed))
    assert f"Geändert von Dr Anna Grau, 20.11.2026, 11:30 UTC: {typed} " in page
    assert f"Muskeldicke 18,4 mm, geändert von Dr Anna Grau: {typed}. Wert der Software: 17,5 mm." in page
    assert f"Echointensität verworfen von Dr Anna Grau: {typed}. Wert der Software: 87,5." in page


@NAMED
def test_reason_of_a_withdrawal_is_shown_as_it_was_typed(typed: str) -> None:
    page = german(withdrawn(why=typed))
    assert f"von Dr Anna Grau am 20.11.2026 zurückgezogen: {typed}. Nichts darin darf verwendet werden." in page


@NAMED
def test_name_and_institution_are_shown_as_they_were_typed(typed: str) -> None:
    named = making(amended(), by=Author(user_id="u-8", full_name=typed))
    page = german(sign(amended(), named).model_copy(update={"act": signed().act}))
    assert f"Endgültig: unterzeichnet von {typed}, Test Hospital, 20.11.2026, 12:30 UTC" in page
    act = signed().act
    assert act is not None
    page = german(signed().model_copy(update={"act": act.model_copy(update={"organization": typed})}))
    assert f"unterzeichnet von Dr Anna Grau, {typed}, 20.11.2026" in page


@NAMED
def test_class_of_a_persons_own_is_shown_as_it_was_typed(typed: str) -> None:
    page = german(of_class(typed, "because"))
    assert (
        f"Muskelarchitektur, Wade, links: Faszikel {typed}, geändert von Dr Anna Grau: because. Wert der Software: links." in page
    )
    assert f"Faszikel links {typed} 31 geändert" in page


@NAMED
def test_amendment_that_was_not_carried_over_is_told_with_the_reason_as_it_was_typed(typed: str) -> None:
    lost = "dies wurde nicht übernommen, denn der Befund ist nicht mehr vorhanden"
    page = german(after_nothing_was_measured(amended(why=typed)))
    assert f"Muskeldicke war auf 18,4 mm gesetzt worden von Dr Anna Grau ({typed}); {lost}" in page
    assert f"Echointensität war verworfen worden von Dr Anna Grau ({typed}); {lost}" in page
    assert f"auf „{typed}“ gesetzt worden von Dr Anna Grau (because); {lost}" in german(
        after_nothing_was_measured(of_class(typed, "because"))
    )


def after_nothing_was_measured(before: Report) -> Report:
    carried = carry_over(before, [not_measured("2.25.1")])
    return calf_report(findings=carried.findings, gaps=Gaps(dropped=carried.dropped), previous=before)


def test_what_was_typed_stands_in_the_pdf_as_in_the_page() -> None:
    report = amended(why="Thickness", comment="not found", impression="Left. Right.")
    said = text_of(render_pdf(report, {}, GERMAN))
    for expected in ("Left. Right.", "Kommentar von Dr Anna Grau: not found", "geändert von Dr Anna Grau: Thickness. Wert der"):
        assert expected in said


def test_sentence_worded_by_another_version_stays_as_it_was_stored() -> None:
    report = amended()
    stored = "Thickness, changed to 18.4 mm by Dr Anna Grau. Left. Not found."
    findings = (report.findings[0].model_copy(update={"text": stored}), *report.findings[1:])
    page = german(report.model_copy(update={"findings": findings, "impression": "Thickness. Not found.\nLeft."}))
    assert stored in page
    assert "Beurteilung Thickness. Not found. Left." in page


@pytest.mark.parametrize("name", EVERY_REPORT)
def test_page_in_english_says_what_is_stored(name: str) -> None:
    report = EVERY_REPORT[name]()
    assert said_by(translated_view(report, {}, ENGLISH)) == said_by(view_of(report, {}))


def said_by(view: ReportView) -> Mapping[str, object]:
    values = {name: getattr(view, name) for name in view.__dataclass_fields__}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

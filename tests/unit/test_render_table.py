"""The report in a terminal."""

import io

from rich.console import Console

from service.core.comparison import compare
from service.core.render.table import report_table
from service.core.report import RESEARCH_USE, Report
from tests.analysed_contraction import contraction_findings
from tests.calf_report import calf_report, cine_findings, header, not_measured
from tests.compared_findings import measured


def printed(report: Report) -> str:
    terminal = io.StringIO()
    Console(width=100, file=terminal).print(report_table(report))
    return terminal.getvalue()


def test_table_shows_each_measurement_with_unit_range_and_frames() -> None:
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in printed(calf_report()).splitlines() if "│" in line]
    assert ["Pennation angle", "21.2°", "16.5 to 25.5", "58 of 60", "31"] in rows
    assert ["Thickness", "17.5 mm", "16.6 to 18.4", "58 of 60", "31"] in rows


def test_table_carries_impression_limitations_and_banner() -> None:
    text = printed(calf_report(findings=(*cine_findings(), not_measured())))
    assert RESEARCH_USE in text
    assert "2 of 60 frames could not be measured" in text
    assert "preliminary" in text


def test_table_of_not_measured_has_no_rows_and_gives_the_reason() -> None:
    text = printed(calf_report(findings=[not_measured()]))
    assert "Shown in" not in text
    assert "No muscle was recognised in any frame." in text


def test_table_prints_markup_as_it_is() -> None:
    assert "[bold]not markup[/bold]" in printed(calf_report(findings=[not_measured(text="[bold]not markup[/bold]")]))


def test_table_of_a_contraction_says_when_it_was() -> None:
    text = printed(calf_report(findings=contraction_findings()))
    assert "Contraction count" in text
    assert "One contraction, with a rise of the pennation" in text


def test_table_says_comparisons_in_words() -> None:
    findings = [measured(18.0, "left"), measured(20.0, "right")]
    report = calf_report(findings=findings).model_copy(update={"comparisons": compare(header(), findings)})
    assert "Thickness: left 18.0 mm, right 20.0 mm; left minus right" in printed(report)

"""Report -> what `make demo` prints: a table for a terminal, every value as text and never as markup."""

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from service.core.compose import AnalysedCine, analysed_cines, is_row, of_all_cines
from service.core.findings import Finding
from service.core.report import RESEARCH_USE, Report
from service.core.wording import frames_measured, label, number, says_more_than_its_value, symbol, title_of


def report_table(report: Report) -> RenderableType:
    """Impression, one table a cine, limitations and the banner."""
    cines = [cine for cine in analysed_cines(report.findings) if any(map(is_row, cine.findings))]
    title = f"Report, version {report.version}, {report.status}"
    parts: list[RenderableType] = [Panel(Text(report.impression), title=title, title_align="left")]
    parts.extend(Text(finding.text) for finding in of_all_cines(report.findings))
    for cine in cines:
        parts.append(_table(cine, len(cines)))
        parts.extend(Text(finding.text) for finding in cine.findings if says_more_than_its_value(finding))
    parts.extend(Text(comparison.text) for comparison in report.comparisons)
    parts.extend(Text(f"• {limitation}", style="yellow") for limitation in report.limitations)
    parts.append(Text(RESEARCH_USE, style="bold"))
    return Group(*parts)


def _table(cine: AnalysedCine, cines: int) -> Table:
    title = f"Cine {cine.number}: {label(cine.analysis_name)}" if cines > 1 else label(cine.analysis_name)
    table = Table(title=Text(title), title_justify="left")
    table.add_column("Measurement")
    for heading in ("Value", "Range", "Frames", "Shown in"):
        table.add_column(heading, justify="right", no_wrap=True)
    for finding in filter(is_row, cine.findings):
        table.add_row(*(Text(cell) for cell in _cells(finding)))
    return table


def _cells(finding: Finding) -> tuple[str, ...]:
    unit, measured = finding.unit, frames_measured(finding)
    value = number(finding.value, unit) + symbol(unit) if isinstance(finding.value, float) else str(finding.value)
    spread = f"{number(finding.range[0], unit)} to {number(finding.range[1], unit)}" if finding.range else ""
    frames = f"{measured[0]} of {measured[1]}" if measured else ""
    return title_of(finding), value, spread, frames, ", ".join(map(str, finding.evidence.frames[:3]))

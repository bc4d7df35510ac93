"""Report -> PDF/A on A4, what a radiologist would file; the words are those of the page.

Typst sets it: no server, no browser, one wheel, tagged output, and the same bytes for the same report.
"""

import base64
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict
from functools import cache, partial
from importlib.resources import files
from typing import Any, Literal

import typst

from service.core.render.comparison_view import ComparisonView
from service.core.render.language import ENGLISH, Language
from service.core.render.report_view import CineView, ExaminationView, PlaneRow, ReportView, Row
from service.core.render.translated_view import translated_view
from service.core.report import Report, ReportStatus

_TEMPLATES = files("service.core.render") / "templates"
#: The first is in the wheel of Typst, the others where the machine has them: for names in scripts that the first lacks.
_FONTS = ("Libertinus Serif", "Noto Serif", "Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans CJK KR", "DejaVu Serif")
TITLE = "Musculoskeletal ultrasound report"
#: Characters; what is longer than a range of numbers with its unit is words.
_LONGEST_NUMBER = 24

Say = Callable[[str], str]


def render_pdf(report: Report, pictures: Mapping[str, bytes], language: Language = ENGLISH) -> bytes:
    """PDF/A-2a. `pictures` are PNGs of annotated frames by SOP Instance UID.

    A character that no font of the machine has, in a name for example, is forbidden there; with one it is a plain PDF that
    shows a box in its place.
    """
    view = json.dumps(_shown(translated_view(report, pictures, language)), ensure_ascii=False)
    compile_as = partial(_compiled, view, int(report.created_at.timestamp()))
    try:
        return compile_as("a-2a")
    except typst.TypstError:
        return compile_as("1.7")


def _compiled(view: str, seconds: int, standard: Literal["a-2a", "1.7"]) -> bytes:
    made = typst.compile(
        _template(),
        sys_inputs={"view": view},
        font_paths=_fonts(),
        format="pdf",
        pdf_standards=[standard],
        timestamp=seconds,
    )
    assert isinstance(made, bytes)  # noqa: S101 - of one document; a list is of several pictures
    return made


@cache
def _template() -> bytes:
    return (_TEMPLATES / "report.typ").read_bytes()


@cache
def _plot_style() -> str:
    return (_TEMPLATES / "plot.css").read_text(encoding="utf-8")


@cache
def _fonts() -> typst.Fonts:
    """Looked for once a process."""
    return typst.Fonts()


def _shown(view: ReportView) -> dict[str, Any]:
    report, say = view.report, view.language.text
    named = f"Report {report.report_id}, version {report.version}"
    return {
        "title": say(TITLE),
        "author": "Sonomyo",
        "language": view.language.tag,
        "fonts": [font for font in _FONTS if font in _fonts().families()],
        "banner": view.banner,
        "status": view.status,
        "is-signed": report.is_signed,
        "is-withdrawn": report.status is ReportStatus.CANCELLED,
        "notice": view.notice,
        "remarks": view.remarks,
        "running": ", ".join(value for _, value in view.identity[:2]) + f". {say(named)}",
        "page": say("Page {page} of {pages}"),
        "words": _words(view),
        "identity": view.identity,
        "impression": view.impression,
        "cines": [_cine(cine, say, is_numbered=view.several) for cine in view.cines],
        "together": view.together,
        "examinations": [_examination(one) for one in view.examinations],
        "comparisons": [_comparison(one, say) for one in view.comparisons],
        "limitations": view.limitations,
        "provenance": _provenance(view),
    }


def _words(view: ReportView) -> dict[str, object]:
    say = view.language.text
    return {
        "impression": say("Impression"),
        "together": say("All cines together" if view.several else "Examination"),
        "planes": [say("Standard plane"), "", say("Grade"), say("Best shown by"), say("Remarks")],
        "comparison": say("Comparison"),
        "limitations": say("Limitations"),
        "provenance": say("Provenance"),
    }


def _cine(cine: CineView, say: Say, *, is_numbered: bool) -> dict[str, Any]:
    names = _head(cine)
    return {
        "heading": f"{say(f'Cine {cine.number}')}: {cine.title}" if is_numbered else cine.title,
        "picture": cine.picture and _as_svg(cine.picture),
        "caption": cine.caption,
        "legend": cine.legend,
        "plot": cine.plot and _styled(str(cine.plot)),
        "plot_key": cine.plot_key,
        "is_wide": cine.is_wide,
        "head": [say(name) for name in names],
        "in-words": [place for place, name in enumerate(names) if name in _in_words(cine)],
        "rows": [_cells(row, cine) for row in cine.rows],
        "statements": cine.statements,
    }


def _in_words(cine: CineView) -> Collection[str]:
    """The columns that share what room is left, for their words can break: a short reference stands as a number does."""
    is_long = any(len(row.reference) > _LONGEST_NUMBER for row in cine.rows)
    return {"Remarks", "Reference"} if is_long else {"Remarks"}


def _head(cine: CineView) -> list[str]:
    return [
        "Measurement",
        "Value",
        *(["Range over frames"] if cine.has_spread else []),
        *(["Interval"] if cine.has_interval else []),
        *(["Reference"] if cine.has_reference else []),
        *(["Frames measured"] if cine.has_frames else []),
        "Shown in frame",
        *(["Remarks"] if cine.has_remarks else []),
    ]


def _cells(row: Row, cine: CineView) -> list[object]:
    """Texts, but for the value, which has beside it what the software had said."""
    unit = row.unit if row.unit in {"", "°"} else f"\N{NO-BREAK SPACE}{row.unit}"
    return [
        row.name,
        {"original": row.original, "value": row.value + unit},
        *([row.spread] if cine.has_spread else []),
        *([row.interval] if cine.has_interval else []),
        *([row.reference] if cine.has_reference else []),
        *([row.frames] if cine.has_frames else []),
        row.shown_by,
        *([", ".join(row.flags)] if cine.has_remarks else []),
    ]


def _examination(examination: ExaminationView) -> dict[str, Any]:
    return {"caption": examination.caption, "rows": [_plane(row) for row in examination.rows]}


def _plane(row: PlaneRow) -> list[str]:
    return [row.name, row.title, row.grade or "\N{EN DASH}", row.shown_by, row.remarks]


def _comparison(comparison: ComparisonView, say: Say) -> dict[str, Any]:
    shown = asdict(comparison)
    return {**shown, "head": [say("Measurement"), *comparison.columns]}


def _provenance(view: ReportView) -> Sequence[tuple[str, str]]:
    report, say = view.report, view.language.text
    replaces = f", {say('replaces')} {report.predecessor}" if report.predecessor else ""
    return [
        (say("Report"), f"{say(f'version {report.version}')}, {view.created_at}, {report.report_id}{replaces}"),
        (say("Software"), ", ".join((f"Sonomyo {report.provenance.service_version}", *view.analyses))),
        *((say("Model"), f"{model}, SHA-256 {sha256}") for model, sha256 in view.models),
        *((say("Scale"), calibration) for calibration in view.calibrations),
        *((say(f"Cine {cine.number}"), cine.sop_instance_uid) for cine in view.cines),
    ]


def _as_svg(picture: str) -> str:
    """A PNG as a data URI, in a drawing of its size: Typst takes pictures as text only in this way."""
    head = base64.b64decode(picture.partition(",")[2][:32])  # signature, length and name of IHDR, width, height
    width, height = (int.from_bytes(head[start : start + 4]) for start in (16, 20))
    size = f'width="{width}" height="{height}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}><image {size} href="{picture}"/></svg>'


def _styled(plot: str) -> str:
    """The page's drawing with its styles inside, in the font of the document."""
    style = f"<style>text {{ font-family: '{_FONTS[0]}'; font-size: 14px; }} {_plot_style()}</style>"
    head, end, rest = plot.partition(">")
    return head + end + style + rest

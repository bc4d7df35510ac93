"""Report -> one self-contained page: no script, no second request, everything escaped. Legible on a screen and on A4."""

from collections.abc import Mapping
from dataclasses import fields

from service.core.render.language import ENGLISH, Language
from service.core.render.page import templates
from service.core.render.translated_view import translated_view
from service.core.report import Report


def render_html(report: Report, pictures: Mapping[str, bytes], language: Language = ENGLISH) -> str:
    """`pictures` are PNGs of annotated frames by SOP Instance UID; a cine without one is shown without."""
    view = translated_view(report, pictures, language)
    shown = {field.name: getattr(view, field.name) for field in fields(view)}
    return templates().get_template("report.html").render(shown, say=language.text)

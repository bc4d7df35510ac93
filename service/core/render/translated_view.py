"""What a page or a PDF shows, in the language of its reader.

What a person typed never comes near the catalogue: names, identifiers and the study's description stay as they are.
"""

from collections.abc import Mapping
from dataclasses import replace

from service.core.render.comparison_view import ComparisonView
from service.core.render.language import Language
from service.core.render.report_view import CineView, ExaminationView, PlaneRow, ReportView, Row, view_of
from service.core.report import Report, StudyHeader

#: Of the identity, what is no person's words: by the label, and only where the study gives none itself.
_TRANSLATED_VALUES = frozenset({"Born", "Sex", "Study date"})


def translated_view(report: Report, pictures: Mapping[str, bytes], language: Language) -> ReportView:
    """`view_of` in a language; equal arguments give equal texts."""
    view, text, texts = view_of(report, pictures, language), language.text, language.texts
    return replace(
        view,
        identity=[(text(label), _identity_value(label, value, report.study, language)) for label, value in view.identity],
        status=text(view.status),
        banner=language.banner(),
        impression=texts(view.impression),
        cines=[_cine(cine, language) for cine in view.cines],
        together=texts(view.together),
        examinations=[_examination(one, language) for one in view.examinations],
        comparisons=[_comparison(one, language) for one in view.comparisons],
        limitations=texts(view.limitations),
        created_at=text(view.created_at),
        calibrations=texts(view.calibrations),
        models=[(text(model), sha256) for model, sha256 in view.models],
    )


def _identity_value(label: str, value: str, study: StudyHeader, language: Language) -> str:
    is_ours = label in _TRANSLATED_VALUES or (label == "Patient" and not study.patient_name)
    return language.text(value) if is_ours else value


def _cine(cine: CineView, language: Language) -> CineView:
    """Its plot was drawn in the language."""
    return replace(
        cine,
        title=language.text(cine.title),
        caption=language.text(cine.caption),
        legend=tuple((language.text(name), colour) for name, colour in cine.legend),
        plot_key=language.text(cine.plot_key),
        rows=tuple(_row(row, language) for row in cine.rows),
        statements=language.texts(cine.statements),
    )


def _row(row: Row, language: Language) -> Row:
    shown: Mapping[str, str] = {
        name: language.text(getattr(row, name)) for name in ("name", "value", "unit", "spread", "interval", "reference", "frames")
    }
    return replace(row, **shown, flags=language.texts(row.flags))


def _examination(examination: ExaminationView, language: Language) -> ExaminationView:
    return ExaminationView(language.text(examination.caption), tuple(_plane(row, language) for row in examination.rows))


def _plane(row: PlaneRow, language: Language) -> PlaneRow:
    text = language.text
    return replace(row, title=text(row.title), shown_by=text(row.shown_by), remarks=text(row.remarks))


def _comparison(comparison: ComparisonView, language: Language) -> ComparisonView:
    return ComparisonView(
        caption=language.text(comparison.caption),
        columns=language.texts(comparison.columns),
        rows=tuple(language.texts(row) for row in comparison.rows),
        notes=language.texts(comparison.notes),
    )

"""What a page or a PDF shows, in the language of its reader.

What a person typed never comes near the catalogue: names, identifiers and the study's description stay as they are; in
sentences, marks stand for it until they are translated.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from service.core.render.comparison_view import ComparisonView
from service.core.render.language import Language
from service.core.render.report_view import CineView, ExaminationView, PlaneRow, ReportView, Row, view_of
from service.core.render.typed_words import TypedWords, without_typed_words
from service.core.report import Report, StudyHeader

#: Of the identity, what is no person's words: by the label, and only where the study gives none itself.
_TRANSLATED_VALUES = frozenset({"Born", "Sex", "Study date"})


def translated_view(report: Report, pictures: Mapping[str, bytes], language: Language) -> ReportView:
    """`view_of` in a language; equal arguments give equal texts."""
    unsaid, words = without_typed_words(report)
    translator = _Translator(language, words)
    view, text, texts = view_of(unsaid, pictures, language), translator.text, translator.texts
    return replace(
        view,
        report=report,
        identity=[(text(label), _identity_value(label, value, report.study, language)) for label, value in view.identity],
        status=text(view.status),
        notice=text(view.notice),
        banner=language.banner(),
        impression=texts(view.impression),
        remarks=texts(view.remarks),
        cines=[_cine(cine, translator) for cine in view.cines],
        together=texts(view.together),
        examinations=[_examination(one, translator) for one in view.examinations],
        comparisons=[_comparison(one, translator) for one in view.comparisons],
        limitations=texts(view.limitations),
        created_at=text(view.created_at),
        calibrations=texts(view.calibrations),
        models=[(text(model), sha256) for model, sha256 in view.models],
    )


@dataclass(frozen=True, slots=True)
class _Translator:
    """A language that says what persons typed as they typed it."""

    language: Language
    words: TypedWords

    def text(self, english: str) -> str:
        return self.words.put_back(self.language.text(english))

    def texts(self, english: Iterable[str]) -> tuple[str, ...]:
        return tuple(map(self.text, english))


def _identity_value(label: str, value: str, study: StudyHeader, language: Language) -> str:
    is_ours = label in _TRANSLATED_VALUES or (label == "Patient" and not study.patient_name)
    return language.text(value) if is_ours else value


def _cine(cine: CineView, translator: _Translator) -> CineView:
    """Its plot was drawn in the language."""
    return replace(
        cine,
        title=translator.text(cine.title),
        caption=translator.text(cine.caption),
        legend=tuple((translator.text(name), colour) for name, colour in cine.legend),
        plot_key=translator.text(cine.plot_key),
        rows=tuple(_row(row, translator) for row in cine.rows),
        statements=translator.texts(cine.statements),
    )


def _row(row: Row, translator: _Translator) -> Row:
    texts = ("name", "value", "original", "unit", "spread", "interval", "reference", "frames")
    shown: Mapping[str, str] = {name: translator.text(getattr(row, name)) for name in texts}
    return replace(row, **shown, flags=translator.texts(row.flags))


def _examination(examination: ExaminationView, translator: _Translator) -> ExaminationView:
    return ExaminationView(translator.text(examination.caption), tuple(_plane(row, translator) for row in examination.rows))


def _plane(row: PlaneRow, translator: _Translator) -> PlaneRow:
    text = translator.text
    return replace(row, title=text(row.title), shown_by=text(row.shown_by), remarks=text(row.remarks))


def _comparison(comparison: ComparisonView, translator: _Translator) -> ComparisonView:
    return ComparisonView(
        caption=translator.text(comparison.caption),
        columns=translator.texts(comparison.columns),
        rows=tuple(translator.texts(row) for row in comparison.rows),
        notes=translator.texts(comparison.notes),
    )

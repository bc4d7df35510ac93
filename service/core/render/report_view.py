"""Report -> what its page and its PDF show, as text: one place, so that both say the same."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup

from service.core.amendment import as_said
from service.core.compose import AnalysedCine, analysed_cines, is_row, of_all_cines
from service.core.findings import Finding, FindingSite, ModelUsed
from service.core.measure.state_findings import LEVEL_CAN_BE_OFF
from service.core.measure.wrist_findings import PLANE_NAME
from service.core.measure.wrist_study import Tick, examinations
from service.core.render.comparison_view import ComparisonView, comparison_views
from service.core.render.drawings import caption_of, is_sheet, legend_of, plot_key_of, plot_of
from service.core.render.language import ENGLISH, Language
from service.core.report import RESEARCH_USE, Report, ReportStatus, StudyHeader
from service.core.review_words import remarks, status_words
from service.core.wording import (
    date,
    flag_text,
    frames_measured,
    label,
    moment,
    number,
    person_name,
    says_more_than_its_value,
    site_text,
    symbol,
    title_of,
    without_turns,
)
from service.core.wrist_planes import PLANES

#: Flags that another column of the table, a limitation for all rows, or the finding's own sentence says already.
_SAID_ELSEWHERE = frozenset(
    {
        "some_frames_not_measured",
        "interval_from_simulation",
        LEVEL_CAN_BE_OFF,
        *(f"missing_{plane.name.lower()}" for plane in PLANES),
    }
)
_SEX = {"F": "Female", "M": "Male", "O": "Other"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportView:
    """Everything that is shown, in the words in which it is shown."""

    report: Report
    #: In which the words are, or are to be.
    language: Language
    #: Name and value of what tells whose report this is.
    identity: Sequence[tuple[str, str]]
    status: str
    #: Of a withdrawn report: that nothing in it is to be used. Of a signed one: that a draft waits beside it.
    notice: str
    banner: str
    impression: Sequence[str]
    #: What a person wrote beside it.
    remarks: Sequence[str]
    cines: Sequence["CineView"]
    #: What several cines say together.
    together: Sequence[str]
    examinations: Sequence["ExaminationView"]
    #: Whether more than one cine was analysed, so that they are numbered.
    several: bool
    comparisons: Sequence[ComparisonView]
    limitations: Sequence[str]
    created_at: str
    calibrations: Sequence[str]
    analyses: Sequence[str]
    #: What each model is called, and the SHA-256 of its weights.
    models: Sequence[tuple[str, str]]


def view_of(report: Report, pictures: Mapping[str, bytes], language: Language = ENGLISH) -> ReportView:
    """In English, plots apart; `translated_view` translates the rest.

    `pictures` are PNGs of annotated frames by SOP Instance UID; a cine without one is shown without.
    """
    cines = [_cine(report, cine, pictures.get(cine.sop_instance_uid), language) for cine in analysed_cines(report.findings)]
    is_withdrawn = report.status is ReportStatus.CANCELLED
    cines = [_struck(cine) for cine in cines] if is_withdrawn else cines
    return ReportView(
        report=report,
        language=language,
        identity=_identity(report.study),
        status=status_words(report),
        notice=_notice(report),
        banner=RESEARCH_USE,
        impression=report.impression.splitlines(),
        remarks=remarks(report),
        cines=cines,
        together=[] if is_withdrawn else _together(report),
        examinations=[] if is_withdrawn else _examinations(report, cines),
        several=len({cine.number for cine in cines}) > 1,
        comparisons=comparison_views(report.comparisons),
        limitations=report.limitations,
        created_at=moment(report.created_at),
        calibrations=_calibrations(report),
        analyses=list(dict.fromkeys(f"{finding.analysis.name} {finding.analysis.version}" for finding in report.findings)),
        models=[(_model_text(model), model.sha256) for model in report.provenance.models],
    )


def _together(report: Report) -> list[str]:
    """What the impression does not say already."""
    return [finding.text for finding in of_all_cines(report.findings) if finding.text not in report.impression]


def _notice(report: Report) -> str:
    if report.status is ReportStatus.CANCELLED:
        return "WITHDRAWN: nothing in this report is to be used"
    return "A newer draft waits for a signature beside this version" if report.draft else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One measurement of the table, as text."""

    name: str
    value: str
    #: What the software had said, where a person has amended it.
    original: str
    unit: str
    spread: str
    interval: str
    reference: str
    frames: str
    shown_by: str
    flags: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CineView:
    """One analysed cine of the page. Columns that no row fills are left out."""

    number: int
    sop_instance_uid: str
    title: str
    picture: str | None
    caption: str
    legend: tuple[tuple[str, str], ...]
    plot: Markup | None
    plot_key: str
    rows: tuple[Row, ...]
    statements: tuple[str, ...]
    has_spread: bool
    has_interval: bool
    has_frames: bool
    #: Several pictures in one, which need the width of the page.
    is_wide: bool
    has_reference: bool
    has_remarks: bool


def _cine(report: Report, cine: AnalysedCine, picture: bytes | None, language: Language) -> CineView:
    rows = tuple(_row(finding) for finding in cine.findings if is_row(finding) or _was_row(finding))
    site = next(filter(None, (site_text(finding.site) for finding in cine.findings)), "")
    return CineView(
        number=cine.number,
        sop_instance_uid=cine.sop_instance_uid,
        title=", ".join(filter(None, (label(cine.analysis_name), site))),
        picture=None if picture is None else "data:image/png;base64," + base64.b64encode(picture).decode("ascii"),
        caption=caption_of(cine),
        legend=legend_of(cine),
        plot=plot_of(cine, language),
        plot_key=plot_key_of(cine),
        rows=rows,
        statements=_statements(report, cine) if rows else _all_told(cine),
        has_spread=any(row.spread for row in rows),
        has_interval=any(row.interval for row in rows),
        has_frames=any(row.frames for row in rows),
        is_wide=is_sheet(cine),
        has_reference=any(row.reference for row in rows),
        has_remarks=any(row.flags for row in rows),
    )


def _struck(cine: CineView) -> CineView:
    """Of a withdrawn report: the rows, which are struck through, and nothing that still persuades."""
    return replace(cine, picture=None, caption="", legend=(), plot=None, plot_key="", statements=())


def _statements(report: Report, cine: AnalysedCine) -> tuple[str, ...]:
    """What is no row, or more than a row says, and does not stand among the limitations."""
    said = "\n".join(report.limitations)
    told = (finding for finding in _told(cine) if _says_more_than_its_row(finding))
    return tuple(finding.text for finding in told if finding.text not in said)


def _says_more_than_its_row(finding: Finding) -> bool:
    return not is_row(finding) or says_more_than_its_value(finding) or finding.amended is not None


def _was_row(finding: Finding) -> bool:
    """Whether a row stood here before a person rejected it."""
    return finding.is_rejected and is_row(as_said(finding))


def _all_told(cine: AnalysedCine) -> tuple[str, ...]:
    return tuple(finding.text for finding in _told(cine))


def _told(cine: AnalysedCine) -> list[Finding]:
    """All but the standard planes, which have a table; of these, what a person has said of one."""
    return [finding for finding in cine.findings if finding.name != PLANE_NAME or finding.amended is not None]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaneRow:
    """One of the fifteen standard planes, as text; `grade` is empty for one that no cine shows."""

    name: str
    title: str
    grade: str
    shown_by: str
    remarks: str


@dataclass(frozen=True, slots=True)
class ExaminationView:
    """One hand's checklist."""

    caption: str
    rows: tuple[PlaneRow, ...]


def _examinations(report: Report, cines: Sequence[CineView]) -> list[ExaminationView]:
    numbers = {cine.sop_instance_uid: cine.number for cine in cines}
    several = len(set(numbers.values())) > 1
    return [
        ExaminationView(
            label(site_text(one.site)),
            tuple(_plane_row(tick, numbers, _rejected_planes(report, one.site), several=several) for tick in one.ticks),
        )
        for one in examinations(report.findings)
    ]


def _rejected_planes(report: Report, site: FindingSite | None) -> frozenset[str]:
    """Names of the planes that the software had found at a site, and a person has rejected."""
    rejected = (finding for finding in report.findings if finding.name == PLANE_NAME and finding.is_rejected)
    return frozenset(str(as_said(finding).value) for finding in rejected if finding.site == site)


def _plane_row(tick: Tick, numbers: Mapping[str, int], rejected: frozenset[str], *, several: bool) -> PlaneRow:
    if tick.best is None:
        why = "rejected" if tick.plane.name in rejected else "not found"
        return PlaneRow(name=tick.plane.name, title=tick.plane.title, grade="", shown_by="", remarks=why)
    evidence = tick.best.evidence
    where = f"cine {numbers[evidence.sop_instance_uid]}, " if several else ""
    return PlaneRow(
        name=tick.plane.name,
        title=tick.plane.title,
        grade=str(tick.grade),
        shown_by=f"{where}frame {evidence.frames[0]}",
        remarks=", ".join(flag_text(flag) for flag in tick.best.flags[1:]),
    )


def _row(finding: Finding) -> Row:
    interval, measured = finding.interval, frames_measured(finding)
    return Row(
        name=title_of(finding),
        value="rejected" if finding.is_rejected else _value(finding),
        original="" if finding.amended is None else _value(as_said(finding)),
        unit="" if finding.is_rejected else symbol(finding.unit).strip(),
        spread=_span(*finding.range, finding.unit) if finding.range else "",
        interval=f"{_span(interval.low, interval.high, finding.unit)} ({interval.level:.0%})" if interval else "",
        reference=finding.reference_range or "",
        frames=f"{measured[0]} of {measured[1]}" if measured else "",
        shown_by=", ".join(str(frame) for frame in finding.evidence.frames[:3]),
        flags=(*words_of_flags(finding), *(("accepted",) if finding.accepted else ())),
    )


def words_of_flags(finding: Finding) -> tuple[str, ...]:
    """What limits a number, in words, but for what stands beside it."""
    return tuple(flag_text(flag) for flag in finding.flags if flag not in _SAID_ELSEWHERE)


def _value(finding: Finding) -> str:
    return number(finding.value, finding.unit) if isinstance(finding.value, float) else str(finding.value)


def _span(low: float, high: float, unit: str | None) -> str:
    return f"{number(low, unit)} to {number(high, unit)}"


def _identity(study: StudyHeader) -> list[tuple[str, str]]:
    """What tells the reader whose report this is; absent values are left out, the name never."""
    rows = [
        ("Patient", person_name(study.patient_name) or "No name given"),
        ("Patient ID", study.patient_id),
        ("Born", date(study.patient_birth_date)),
        ("Sex", _SEX.get(study.patient_sex or "", study.patient_sex)),
        ("Accession number", study.accession_number),
        ("Study date", date(study.study_date)),
        ("Study", study.description),
        ("Referred by", person_name(study.referring_physician_name)),
    ]
    return [(name, without_turns(value)) for name, value in rows if value]


def _calibrations(report: Report) -> list[str]:
    used = dict.fromkeys(finding.evidence.calibration for finding in report.findings if finding.evidence.calibration)
    return [
        f"{one.mm_per_pixel_x:.4g} x {one.mm_per_pixel_y:.4g} mm per pixel, from {one.source}"
        if one.mm_per_pixel_x is not None and one.mm_per_pixel_y is not None
        else f"none: {one.reason or one.source}"
        for one in used
    ]


def _model_text(model: ModelUsed) -> str:
    pretraining = model.pretraining and f"pretrained by {model.pretraining}"
    name = f"{model.name} version {model.version}"
    parts = (name, pretraining, model.runtime, model.precision, f"known on {model.evidence} images")
    return ", ".join(part for part in parts if part)

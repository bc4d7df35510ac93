"""What the worklist is narrowed to, as SQL: each condition has an index, and each value is a parameter."""

import re
from collections.abc import Iterator
from datetime import date, datetime, timedelta

from sqlalchemy import ColumnElement, DateTime, and_, cast, func, literal, literal_column, or_, select

from service.adapters.tables import AnalysisRow, DeliveryRow, InstanceRow, ReportRow, StudyRow
from service.views import StudyFilter, StudyFlag

#: A delivery that has not arrived and that nobody gave up.
UNFINISHED = ("pending", "held", "awaiting_commitment", "failed", "refused")
#: So many days hold less than can be sorted at once.
_FEW_DAYS = timedelta(days=92)
#: What lies between the words of a name, as written in DICOM (PS3.5 6.2.1) or on a page.
_BETWEEN_WORDS = re.compile(r"[\s^=,]+")


def study_conditions(wanted: StudyFilter) -> list[ColumnElement[bool]]:
    """All must hold."""
    return [*_equal(wanted), *_searched(wanted), *_days(wanted), *_of_parts(wanted)]


def _equal(wanted: StudyFilter) -> Iterator[ColumnElement[bool]]:
    equal = {
        StudyRow.patient_id: wanted.patient_id,
        StudyRow.accession_number: wanted.accession_number,
        StudyRow.status: wanted.status,
    }
    yield from (column == value for column, value in equal.items() if value is not None)
    if wanted.modality is not None:
        yield StudyRow.modalities.contains([wanted.modality])


def _searched(wanted: StudyFilter) -> Iterator[ColumnElement[bool]]:
    """By beginnings: of the patient's ID, or of words of the name, in any order, without case or accents; of the accession."""
    if wanted.patient is not None:
        words = [word for word in _BETWEEN_WORDS.split(wanted.patient) if word]
        whole = func.sonomyo_prefix(wanted.patient.strip())
        every: ColumnElement[str] = whole if not words else func.sonomyo_prefix(words[0])
        for word in words[1:]:
            every = every.op("&&")(func.sonomyo_prefix(word))
        # A word that is nothing once it is folded is no query; coalesce leaves the other.
        yield StudyRow.search_terms.op("@@")(func.coalesce(whole.op("||")(every), every, whole))
    if wanted.accession_prefix is not None:
        begin = re.sub(r"([\\%_])", r"\\\1", wanted.accession_prefix.strip().lower())
        yield func.lower(StudyRow.accession_number).like(f"{begin}%")


def _days(wanted: StudyFilter) -> Iterator[ColumnElement[bool]]:
    """Study dates as DICOM writes them (PS3.5 6.2, DA); where there is none, the day of arrival. Each half has an index."""
    dated: list[ColumnElement[bool]] = [StudyRow.study_date != ""]
    undated: list[ColumnElement[bool]] = [func.coalesce(StudyRow.study_date, literal_column("''")) == literal_column("''")]
    if wanted.from_date is not None:
        dated.append(StudyRow.study_date >= f"{wanted.from_date:%Y%m%d}")
        undated.append(StudyRow.created_at >= _begin(wanted.from_date))
    if wanted.to_date is not None:
        dated.append(StudyRow.study_date <= f"{wanted.to_date:%Y%m%d}")
        undated.append(StudyRow.created_at < _begin(wanted.to_date) + timedelta(days=1))
    if wanted.from_date is not None or wanted.to_date is not None:
        yield or_(and_(*dated), and_(*undated))


def arrival(wanted: StudyFilter) -> ColumnElement[datetime]:
    """What the newest are told by.

    Of a few weeks all studies are found by date and sorted, for an expression is in no index: planners do not know that old
    studies lie at the far end of the order of arrival, and would walk there.
    """
    if wanted.from_date is None or wanted.to_date is None or wanted.to_date - wanted.from_date > _FEW_DAYS:
        return StudyRow.created_at.expression
    return StudyRow.created_at + literal(timedelta(0))


def _begin(day: date) -> ColumnElement[object]:
    """Midnight in the database's time zone."""
    return cast(day.isoformat(), DateTime(timezone=True))


def _of_parts(wanted: StudyFilter) -> Iterator[ColumnElement[bool]]:
    if wanted.analysis is not None:
        yield _has_analysis(AnalysisRow.analysis_name == wanted.analysis)
    if wanted.flag is StudyFlag.REVIEW:
        yield StudyRow.needs_review.is_(True)
    elif wanted.flag is StudyFlag.FAILED:
        yield _has_analysis(AnalysisRow.state == "failed")
    elif wanted.flag is StudyFlag.UNDELIVERED:
        waiting = select(ReportRow.study_instance_uid).join(DeliveryRow, DeliveryRow.report_id == ReportRow.report_id)
        yield StudyRow.study_instance_uid.in_(waiting.where(DeliveryRow.state.in_(UNFINISHED)))


def _has_analysis(which: ColumnElement[bool]) -> ColumnElement[bool]:
    """Whether the instance is current is looked up for each that fits: as a join it tempts planners to read all instances."""
    is_current = select(InstanceRow.is_current).where(InstanceRow.id == AnalysisRow.instance_id).scalar_subquery()
    return StudyRow.study_instance_uid.in_(select(AnalysisRow.study_instance_uid).where(which, is_current))

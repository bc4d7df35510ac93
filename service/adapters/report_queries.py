"""Reports as they are searched: by what they say of patient, order, date and state, paged by keyset."""

from datetime import date

from sqlalchemy import ColumnElement, Engine, or_, select, tuple_
from sqlalchemy.orm import Session, aliased

from service.adapters.cursors import after_arrival, of_arrival
from service.adapters.postgres import vendor_errors_translated
from service.adapters.tables import ReportRow, StudyRow
from service.core.report import Report
from service.views import ReportFilter, ReportPage

_PLACE = (StudyRow.created_at, StudyRow.study_instance_uid)


def find_reports(engine: Engine, wanted: ReportFilter, *, limit: int, cursor: str | None) -> ReportPage:
    """A page, newest arrival of a study first. Raises InputRejected for a cursor that is none."""
    query = select(ReportRow.body, *_PLACE).join(StudyRow, StudyRow.study_instance_uid == ReportRow.study_instance_uid)
    query = query.where(*_conditions(wanted))
    if cursor is not None:
        query = query.where(tuple_(*_PLACE) < tuple_(*after_arrival(cursor)))
    query = query.order_by(*(column.desc() for column in _PLACE)).limit(limit + 1)
    with vendor_errors_translated(), Session(engine) as session:
        rows = session.execute(query).all()
    page = rows[:limit]
    more = len(rows) > limit and bool(page)
    return ReportPage(
        reports=tuple(Report.model_validate(row.body) for row in page),
        next_cursor=of_arrival(page[-1].created_at, page[-1].study_instance_uid) if more else None,
    )


def _conditions(wanted: ReportFilter) -> list[ColumnElement[bool]]:
    equal = {
        ReportRow.study_instance_uid: wanted.study_instance_uid,
        ReportRow.status: None if wanted.status is None else wanted.status.value,
        # The study's columns have the indexes; but what counts is what the report says, which a correction may have left behind.
        StudyRow.patient_id: wanted.patient_id,
        _said("patient_id"): wanted.patient_id,
        StudyRow.accession_number: wanted.accession_number,
        _said("accession_number"): wanted.accession_number,
    }
    conditions = [column == value for column, value in equal.items() if value is not None]
    conditions.append(ReportRow.report_id == _official_version())
    if wanted.report_id is not None:
        conditions += _is_named(wanted.report_id)
    if wanted.from_date is not None:
        conditions.append(_said("study_date") >= _compact(wanted.from_date))
    if wanted.to_date is not None:
        conditions.append(_said("study_date") <= _compact(wanted.to_date))
    return conditions


def _is_named(name: str) -> tuple[ColumnElement[bool], ...]:
    """Of a report that has this name, or whose official version has it; the study is looked up, for bodies have no index."""
    study = select(ReportRow.study_instance_uid).where(ReportRow.report_id == name).scalar_subquery()
    began_with = ReportRow.body["first_report_id"].astext
    return ReportRow.study_instance_uid == study, or_(ReportRow.report_id == name, began_with == name)


def _said(name: str) -> ColumnElement[str]:
    said: ColumnElement[str] = ReportRow.body["study"][name].astext
    return said


def _official_version() -> ColumnElement[str]:
    other = aliased(ReportRow)
    official = (
        select(other.report_id)
        .where(other.study_instance_uid == ReportRow.study_instance_uid)
        .order_by(other.is_settled.desc(), other.version.desc())
        .limit(1)
    )
    return official.correlate(ReportRow).scalar_subquery()


def _compact(day: date) -> str:
    """As DICOM writes a date (PS3.5 6.2, DA)."""
    return f"{day:%Y%m%d}"

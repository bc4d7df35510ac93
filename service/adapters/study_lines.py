"""Lines of the worklist: studies with what is counted of each, in one statement, for a page is asked for often."""

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    ScalarSelect,
    Select,
    Subquery,
    func,
    literal_column,
    select,
    true,
)
from sqlalchemy.sql.selectable import LateralFromClause

from service.adapters.study_conditions import UNFINISHED
from service.adapters.tables import AnalysisRow, DeliveryRow, InstanceRow, ReportRow, StudyRow
from service.core.report import ReportStatus
from service.views import AnalysisCounts, ReportSummary, StudySummary

#: Columns of `studies` that a line shows as they are.
_SHOWN = (
    StudyRow.study_instance_uid, StudyRow.patient_id, StudyRow.issuer_of_patient_id, StudyRow.patient_name,
    StudyRow.patient_birth_date, StudyRow.patient_sex, StudyRow.accession_number, StudyRow.study_date, StudyRow.study_time,
    StudyRow.study_description.label("description"), StudyRow.modalities, StudyRow.status, StudyRow.identity_hold,
    StudyRow.created_at, StudyRow.last_received_at, StudyRow.completed_at,
)  # fmt: skip
_NAMES = tuple(column.key for column in _SHOWN)
_STATES = tuple(AnalysisCounts.model_fields)
_REPORT = tuple(ReportSummary.model_fields)
#: Settled versions first, the newest of them: the official one.
_OFFICIAL = (ReportRow.is_settled.desc(), ReportRow.version.desc())
_NEWEST = (ReportRow.version.desc(),)


def select_studies() -> Select[Any]:
    """What `read_lines` takes: with conditions, an order and a limit of the caller's."""
    return select(*_SHOWN)


def read_lines(connection: Connection, studies: Select[Any]) -> list[StudySummary]:
    """The newest arrival first; what is counted is counted for these studies only."""
    page = studies.subquery("page")
    analyses, official, newest = _analyses(page), _report(page, "official", _OFFICIAL), _report(page, "newest", _NEWEST)
    query = (
        select(page, _instances(page), *analyses.c, *official.c, *newest.c, _undelivered(page))
        .join_from(page, analyses, true())
        .outerjoin(official, true())
        .outerjoin(newest, true())
        .order_by(page.c.created_at.desc(), page.c.study_instance_uid.desc())
    )
    return [_line(row) for row in connection.execute(query)]


def _instances(page: Subquery) -> ColumnElement[int]:
    counted = select(func.count()).where(
        InstanceRow.study_instance_uid == page.c.study_instance_uid, InstanceRow.is_current, ~InstanceRow.is_returned
    )
    return _of_each(counted, page).label("instance_count")


def _analyses(page: Subquery) -> LateralFromClause:
    counts = (func.count().filter(AnalysisRow.state == state).label(f"analyses_{state}") for state in _STATES)
    return (
        select(*counts)
        .join_from(InstanceRow, AnalysisRow, AnalysisRow.instance_id == InstanceRow.id)
        .where(InstanceRow.study_instance_uid == page.c.study_instance_uid, InstanceRow.is_current)
        .lateral("analyses_of_study")
    )


def _report(page: Subquery, name: str, order: Sequence[ColumnElement[Any]]) -> LateralFromClause:
    """The version that comes first in an order."""
    columns = (getattr(ReportRow, column).label(f"{name}_{column}") for column in _REPORT)
    of_study = select(*columns).where(ReportRow.study_instance_uid == page.c.study_instance_uid)
    return of_study.order_by(*order).limit(1).lateral(name)


def _undelivered(page: Subquery) -> ColumnElement[int]:
    counted = (
        select(func.count())
        .join_from(ReportRow, DeliveryRow, DeliveryRow.report_id == ReportRow.report_id)
        .where(ReportRow.study_instance_uid == page.c.study_instance_uid, DeliveryRow.state.in_(_unfinished()))
    )
    return _of_each(counted, page).label("undelivered")


def _of_each(counted: Select[int], page: Subquery) -> ScalarSelect[int]:
    return counted.correlate(page).scalar_subquery()


def _unfinished() -> list[ColumnElement[str]]:
    """Written out, so that the index of unfinished deliveries fits whatever plan is kept."""
    return [literal_column(f"'{state}'") for state in UNFINISHED]


def _line(row: Sequence[Any]) -> StudySummary:
    """Of values in the order in which `read_lines` selects them: names would be looked up a thousand times a page."""
    values = iter(row)
    shown = dict(zip(_NAMES, values, strict=False))
    instances = next(values)
    counts = AnalysisCounts(**dict(zip(_STATES, values, strict=False)))
    official, newest = _summary(values), _summary(values)
    return StudySummary(
        **shown,
        instance_count=instances,
        undelivered=next(values),
        analysis_counts=counts,
        report=official,
        draft=_draft_beside(official, newest),
    )


def _summary(values: Iterator[Any]) -> ReportSummary | None:
    columns = dict(zip(_REPORT, values, strict=False))
    return None if columns["report_id"] is None else ReportSummary(**columns)


def _draft_beside(official: ReportSummary | None, newest: ReportSummary | None) -> ReportSummary | None:
    if official is None or newest is None or newest.report_id == official.report_id:
        return None
    return newest if newest.status == ReportStatus.PRELIMINARY else None

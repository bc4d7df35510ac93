"""Studies as they are read: the worklist by keyset, one study with all that hangs on it, reports and stored instances."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, RowMapping, Table, select, tuple_

from service.adapters.cursors import after_arrival, of_arrival
from service.adapters.instance_rows import to_stored
from service.adapters.job_queries import jobs_of_study
from service.adapters.operation_queries import select_deliveries
from service.adapters.overlay_queries import find_overlays
from service.adapters.postgres import planned_anew, reading, reading_session
from service.adapters.report_queries import find_reports
from service.adapters.report_rows import PostgresReportRows
from service.adapters.study_conditions import arrival, study_conditions
from service.adapters.study_lines import read_lines, select_studies
from service.adapters.tables import AnalysisRow, DeliveryRow, InstanceRow, ReportRow, StudyRow
from service.core.instance import InstanceAttributes
from service.core.overlays import Overlays
from service.core.recent import Recent
from service.core.report import Report, ReportStatus
from service.errors import NotFound
from service.operation_views import DeliveryView
from service.records import RenderedObject
from service.views import AnalysisView, InstanceView, ReportFilter, ReportPage, ReportSummary, StudyDetail, StudyFilter, StudyPage

#: Of some hundred kilobytes each, as a person reads them over and over: page, panel, series, after each change.
_BODIES_KEPT = 32


class PostgresStudyViews:
    """Implements views.StudyViews; each call reads what is committed, statement by statement."""

    def __init__(self, *, engine: Engine) -> None:
        self._engine = engine
        self._bodies: Recent[str, Report] = Recent(_BODIES_KEPT)

    def worklist(self, wanted: StudyFilter, *, limit: int, cursor: str | None) -> StudyPage:
        """Newest first; the key of the last line is the cursor, so that any page costs the same."""
        arrived, query = arrival(wanted), select_studies().where(*study_conditions(wanted))
        if cursor is not None:
            query = query.where(tuple_(StudyRow.created_at, StudyRow.study_instance_uid) < tuple_(*after_arrival(cursor)))
        query = query.order_by(arrived.desc(), StudyRow.study_instance_uid.desc()).limit(limit + 1)
        # Planned for what is wanted: a rare name is found by its index, a frequent one by walking from the newest.
        with reading(self._engine) as connection, planned_anew(connection):
            found = read_lines(connection, query)
        studies = tuple(found[:limit])
        last = studies[-1] if len(found) > limit and studies else None
        return StudyPage(
            studies=studies, next_cursor=None if last is None else of_arrival(last.created_at, last.study_instance_uid)
        )

    def study(self, study_instance_uid: str) -> StudyDetail:
        """Raises NotFound."""
        with reading(self._engine) as connection:
            found = read_lines(connection, select_studies().where(StudyRow.study_instance_uid == study_instance_uid))
            if not found:
                raise _no_study()
            (summary,) = found
            instances = _instances(connection, study_instance_uid)
            reports = _reports(connection, study_instance_uid)
            return StudyDetail(
                **dict(summary),
                instances=instances,
                analyses=_analyses(connection, study_instance_uid),
                jobs=jobs_of_study(
                    connection,
                    study_instance_uid,
                    [instance.instance_id for instance in instances],
                    [report.report_id for report in reports],
                ),
                reports=reports,
                deliveries=_deliveries(connection, [report.report_id for report in reports]),
            )

    def official_report(self, study_instance_uid: str) -> Report:
        """Raises NotFound."""
        with reading_session(self._engine) as session:
            report = PostgresReportRows(session=session, bodies=self._bodies).official(study_instance_uid)
            if report is not None:
                return report
            if session.get(StudyRow, study_instance_uid) is None:
                raise _no_study()
            raise NotFound(
                "This study has no report yet; its jobs tell why, or, where it has none, /explain which rule leaves what out.",
                reason="no_report_yet",
            )

    def draft_report(self, study_instance_uid: str) -> Report:
        """Raises NotFound."""
        official = self.official_report(study_instance_uid)
        if official.draft is not None:
            return self.report(official.draft)
        if official.status is ReportStatus.PRELIMINARY:
            return official
        raise NotFound("No draft of this study's report waits for a signature.", reason="no_draft")

    def report(self, report_id: str) -> Report:
        """Raises NotFound."""
        with reading_session(self._engine) as session:
            return PostgresReportRows(session=session, bodies=self._bodies).get(report_id)

    def versions(self, report_id: str) -> Sequence[Report]:
        """All versions of the same study's report, oldest first. Raises NotFound."""
        with reading_session(self._engine) as session:
            rows = PostgresReportRows(session=session, bodies=self._bodies)
            return rows.versions(rows.get(report_id).study.study_instance_uid)

    def reports(self, wanted: ReportFilter, *, limit: int, cursor: str | None) -> ReportPage:
        """The newest version of each study that fits, or the version that is named. Raises InputRejected for a wrong cursor."""
        return find_reports(self._engine, wanted, limit=limit, cursor=cursor)

    def attributes(self, study_instance_uid: str) -> Sequence[InstanceAttributes]:
        """Of each instance of the study, as it arrived last."""
        query = select(InstanceRow).where(InstanceRow.study_instance_uid == study_instance_uid)
        with reading_session(self._engine) as session:
            arrived = session.scalars(query.order_by(InstanceRow.is_current, InstanceRow.id))
            return list({row.sop_instance_uid: to_stored(row).attributes for row in arrived}.values())

    def rendered(self, report_id: str, kind: str) -> RenderedObject:
        """Raises NotFound."""
        with reading_session(self._engine) as session:
            return PostgresReportRows(session=session).rendered(report_id, kind)

    def pictures(self, report_id: str) -> Mapping[str, bytes]:
        """The annotated frame of each instance that has one, as this version shows it."""
        with reading_session(self._engine) as session:
            return PostgresReportRows(session=session).pictures(report_id)

    def overlays(self, report_id: str, sop_instance_uid: str, frames: range) -> Overlays:
        """What the report's analyses drew in some frames of one cine. Raises NotFound."""
        return find_overlays(self._engine, report_id, sop_instance_uid, frames)


def _instances(connection: Connection, study_instance_uid: str) -> tuple[InstanceView, ...]:
    query = select(_table(InstanceRow)).where(InstanceRow.study_instance_uid == study_instance_uid).order_by(InstanceRow.id)
    return tuple(_instance(row) for row in connection.execute(query).mappings())


def _instance(row: RowMapping) -> InstanceView:
    own = {name: row[name] for name in InstanceView.model_fields if name in row}
    attributes = {name: row["attributes"].get(name) for name in InstanceView.model_fields if name not in row}
    derived = {"instance_id": row["id"], "is_removed": row["removed_at"] is not None}
    return InstanceView.model_validate({**attributes, **own, **derived})


def _analyses(connection: Connection, study_instance_uid: str) -> tuple[AnalysisView, ...]:
    table = _table(AnalysisRow)
    columns = [table.c[name] for name in AnalysisView.model_fields if name in table.c]
    query = (
        select(*columns, InstanceRow.sop_instance_uid)
        .join(InstanceRow, InstanceRow.id == AnalysisRow.instance_id)
        .where(InstanceRow.study_instance_uid == study_instance_uid, InstanceRow.is_current)
        .order_by(AnalysisRow.id)
    )
    return tuple(AnalysisView.model_validate(dict(row)) for row in connection.execute(query).mappings())


def _reports(connection: Connection, study_instance_uid: str) -> tuple[ReportSummary, ...]:
    table = _table(ReportRow)
    columns = [table.c[name] for name in ReportSummary.model_fields]
    query = select(*columns).where(ReportRow.study_instance_uid == study_instance_uid).order_by(ReportRow.version)
    return tuple(ReportSummary.model_validate(dict(row)) for row in connection.execute(query).mappings())


def _deliveries(connection: Connection, report_ids: Sequence[str]) -> tuple[DeliveryView, ...]:
    query = select_deliveries().where(DeliveryRow.report_id.in_(report_ids)).order_by(DeliveryRow.id)
    return tuple(DeliveryView.model_validate(dict(row)) for row in connection.execute(query).mappings())


def _table(row: type[Any]) -> Table:
    table = row.__table__
    assert isinstance(table, Table)  # noqa: S101 - for the type checker: every row of ours maps one table
    return table


def _no_study() -> NotFound:
    return NotFound("There is no study with that Study Instance UID.")

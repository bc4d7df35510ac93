"""Rows of `reports` and `rendered_objects`: immutable, a trigger refuses UPDATE and DELETE."""

from collections.abc import Sequence

from sqlalchemy import Select, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from service.adapters.tables import DeliveryRow, RenderedRow, ReportRow
from service.core.report import Delivery, Report
from service.errors import Conflict, NotFound
from service.ports import RenderedObject


class PostgresReportRows:
    """Implements ports.ReportRows."""

    def __init__(self, *, session: Session) -> None:
        self._session = session

    def save(self, report: Report) -> None:
        """Insert one version. Raises Conflict when that version exists."""
        statement = insert(ReportRow).values(
            report_id=report.report_id,
            study_instance_uid=report.study.study_instance_uid,
            version=report.version,
            status=report.status.value,
            body=report.model_dump(mode="json", exclude={"delivery"}),
            created_at=report.created_at,
        )
        saved = self._session.execute(statement.on_conflict_do_nothing().returning(ReportRow.report_id)).scalar_one_or_none()
        if saved is None:
            raise Conflict(f"Version {report.version} of this study's report exists already.")

    def newest(self, study_instance_uid: str) -> Report | None:
        """The newest version."""
        row = self._session.scalars(_of_study(study_instance_uid).order_by(ReportRow.version.desc()).limit(1)).one_or_none()
        return None if row is None else self._read(row)

    def get(self, report_id: str) -> Report:
        """One version. Raises NotFound."""
        row = self._session.get(ReportRow, report_id)
        if row is None:
            raise NotFound("There is no report with that identifier.")
        return self._read(row)

    def versions(self, study_instance_uid: str) -> Sequence[Report]:
        """All versions, oldest first."""
        return [self._read(row) for row in self._session.scalars(_of_study(study_instance_uid).order_by(ReportRow.version))]

    def save_rendered(self, rendered: RenderedObject) -> None:
        """Keep the bytes of an object that we made; a second call with the same UID is a no-op."""
        statement = insert(RenderedRow).values(
            sop_instance_uid=rendered.sop_instance_uid,
            sop_class_uid=rendered.sop_class_uid,
            report_id=rendered.report_id,
            kind=rendered.kind,
            media_type=rendered.media_type,
            content=rendered.content,
        )
        self._session.execute(statement.on_conflict_do_nothing())

    def rendered(self, report_id: str, kind: str) -> RenderedObject:
        """Raises NotFound."""
        row = self._session.scalars(
            select(RenderedRow).where(RenderedRow.report_id == report_id, RenderedRow.kind == kind)
        ).one_or_none()
        if row is None:
            raise NotFound(f"This report has no object of kind {kind}.")
        return RenderedObject(
            sop_instance_uid=row.sop_instance_uid,
            sop_class_uid=row.sop_class_uid,
            kind=row.kind,
            report_id=row.report_id,
            media_type=row.media_type,
            content=row.content,
        )

    def _read(self, row: ReportRow) -> Report:
        found = self._session.execute(
            select(DeliveryRow, RenderedRow.sop_instance_uid)
            .outerjoin(RenderedRow, (RenderedRow.report_id == DeliveryRow.report_id) & (RenderedRow.kind == DeliveryRow.kind))
            .where(DeliveryRow.report_id == row.report_id)
            .order_by(DeliveryRow.id)
        )
        delivery = tuple(to_delivery(outbox, uid) for outbox, uid in found)
        return Report.model_validate(row.body).model_copy(update={"delivery": delivery})


def to_delivery(row: DeliveryRow, sop_instance_uid: str | None) -> Delivery:
    """The value that a report shows of one row of the outbox."""
    return Delivery(
        destination=row.destination,
        kind=row.kind,
        state=row.state,
        sop_instance_uid=sop_instance_uid,
        attempts=row.attempts,
        last_error=row.last_error,
    )


def _of_study(study_instance_uid: str) -> Select[ReportRow]:
    return select(ReportRow).where(ReportRow.study_instance_uid == study_instance_uid)

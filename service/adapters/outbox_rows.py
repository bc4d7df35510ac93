"""Rows of `deliveries`: the outbox."""

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from service.adapters.report_rows import to_delivery
from service.adapters.tables import DeliveryRow, ReportRow
from service.core.report import Delivery, Report
from service.errors import NotFound

#: What an older version has not delivered, whether it is still on its way or has failed.
_UNDELIVERED = ("pending", "held", "awaiting_commitment", "failed", "refused")


class PostgresOutboxRows:
    """Implements ports.OutboxRows."""

    def __init__(self, *, session: Session) -> None:
        self._session = session

    def open(self, report_id: str, destination: str, kind: str, *, state: str) -> None:
        """A row, `pending` or `held`; a no-op when there is one."""
        statement = insert(DeliveryRow).values(report_id=report_id, destination=destination, kind=kind, state=state)
        self._session.execute(statement.on_conflict_do_nothing())

    def lock(self, report_id: str, destination: str, kind: str) -> Delivery:
        """Read one row for update. Raises NotFound."""
        row = self._session.scalars(
            select(DeliveryRow).where(*_one(report_id, destination, kind)).with_for_update()
        ).one_or_none()
        if row is None:
            raise NotFound("There is no such delivery.")
        return to_delivery(row, None)

    def close(self, report_id: str, destination: str, kind: str, *, state: str, error: str | None) -> None:
        """Count an attempt and set its outcome."""
        self._session.execute(
            update(DeliveryRow)
            .where(*_one(report_id, destination, kind))
            .values(state=state, last_error=error, attempts=DeliveryRow.attempts + 1, updated_at=func.now())
        )

    def set_aside(self, report_id: str, destination: str, kind: str, *, state: str, reason: str | None) -> None:
        """Another state without an attempt."""
        self._session.execute(
            update(DeliveryRow)
            .where(*_one(report_id, destination, kind))
            .values(state=state, last_error=reason, updated_at=func.now())
        )

    def supersede_before(self, report: Report) -> None:
        """What older versions of a study's report have not delivered gives way to this version."""
        older = select(ReportRow.report_id).where(
            ReportRow.study_instance_uid == report.study.study_instance_uid, ReportRow.version < report.version
        )
        self._session.execute(
            update(DeliveryRow)
            .where(DeliveryRow.report_id.in_(older), DeliveryRow.state.in_(_UNDELIVERED))
            .values(state="superseded", updated_at=func.now())
        )


def _one(report_id: str, destination: str, kind: str) -> tuple[ColumnElement[bool], ...]:
    return DeliveryRow.report_id == report_id, DeliveryRow.destination == destination, DeliveryRow.kind == kind

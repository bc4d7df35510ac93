"""Rows of `deliveries`: the outbox."""

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from service.adapters.report_rows import to_delivery
from service.adapters.tables import DeliveryRow
from service.core.report import Delivery
from service.errors import NotFound


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
            select(DeliveryRow)
            .where(DeliveryRow.report_id == report_id, DeliveryRow.destination == destination, DeliveryRow.kind == kind)
            .with_for_update()
        ).one_or_none()
        if row is None:
            raise NotFound("There is no such delivery.")
        return to_delivery(row, None)

    def close(self, report_id: str, destination: str, kind: str, *, state: str, error: str | None) -> None:
        """Count an attempt and set its outcome."""
        self._session.execute(
            update(DeliveryRow)
            .where(DeliveryRow.report_id == report_id, DeliveryRow.destination == destination, DeliveryRow.kind == kind)
            .values(state=state, last_error=error, attempts=DeliveryRow.attempts + 1, updated_at=func.now())
        )

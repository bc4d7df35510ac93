"""What a PACS administrator reads: associations, the audit trail, deliveries, and figures for monitoring."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, RowMapping, Select, func, select, text

from service.access import AuditEntry
from service.adapters import cursors
from service.adapters.job_queries import STATE_OF_J
from service.adapters.postgres import vendor_errors_translated
from service.adapters.tables import AssociationRow, AuditRow, CircuitRow, DeliveryRow, ReportRow, ShadowAnalysisRow
from service.core.findings import Finding
from service.core.shadow import ShadowComparison, ShadowPair, compare_shadow
from service.errors import NotFound
from service.operation_views import (
    AssociationPage,
    AssociationView,
    AuditPage,
    CircuitView,
    Counters,
    DeliveryPage,
    DeliveryState,
    DeliveryView,
)

_COUNTS = {
    "instances": "SELECT disposition, count(*) FROM instances GROUP BY 1",
    "studies": "SELECT status, count(*) FROM studies GROUP BY 1",
    "analyses": "SELECT analysis_name, state, count(*) FROM analyses GROUP BY 1, 2",
    # Those that are done are of no concern to a queue's depth, and by far the most.
    "jobs": f"SELECT queue_name, {STATE_OF_J}, count(*) FROM procrastinate_jobs j WHERE status <> 'succeeded' GROUP BY 1, 2",  # noqa: S608 - constants
    "deliveries": "SELECT destination, state, count(*) FROM deliveries GROUP BY 1, 2",
    "associations": "SELECT outcome, count(*) FROM associations GROUP BY 1",
}
_READ_AT_ONCE = 200
_OLDEST_WAITING = """
    SELECT coalesce(extract(epoch FROM now() - min(coalesce(j.scheduled_at, e.at))), 0)
    FROM procrastinate_jobs j JOIN procrastinate_events e ON e.job_id = j.id AND e.type = 'deferred'
    WHERE j.status = 'todo' AND (j.scheduled_at IS NULL OR j.scheduled_at <= now())
"""


class PostgresOperationViews:
    """Implements views.OperationViews."""

    def __init__(self, *, engine: Engine) -> None:
        self._engine = engine

    def associations(self, *, outcome: str | None, limit: int, cursor: str | None) -> AssociationPage:
        """Newest first."""
        query = select(AssociationRow.__table__).where(AssociationRow.id < cursors.after_id(cursor))
        if outcome is not None:
            query = query.where(AssociationRow.outcome == outcome)
        with vendor_errors_translated(), self._engine.connect() as connection:
            rows = connection.execute(query.order_by(AssociationRow.id.desc()).limit(limit + 1)).mappings().all()
        return AssociationPage(associations=tuple(_association(row) for row in rows[:limit]), next_cursor=_next(rows, limit))

    def audit(self, *, limit: int, cursor: str | None) -> AuditPage:
        """Newest first."""
        query = select(AuditRow.__table__).where(AuditRow.id < cursors.after_id(cursor)).order_by(AuditRow.id.desc())
        with vendor_errors_translated(), self._engine.connect() as connection:
            rows = connection.execute(query.limit(limit + 1)).mappings().all()
        return AuditPage(
            entries=tuple(AuditEntry.model_validate(dict(row)) for row in rows[:limit]), next_cursor=_next(rows, limit)
        )

    def deliveries(self, *, state: DeliveryState | None, destination: str | None, limit: int, cursor: str | None) -> DeliveryPage:
        """Newest first."""
        query = select_deliveries().where(DeliveryRow.id < cursors.after_id(cursor))
        if state is not None:
            query = query.where(DeliveryRow.state == state.value)
        if destination is not None:
            query = query.where(DeliveryRow.destination == destination)
        with vendor_errors_translated(), self._engine.connect() as connection:
            rows = connection.execute(query.order_by(DeliveryRow.id.desc()).limit(limit + 1)).mappings().all()
        found = tuple(DeliveryView.model_validate(dict(row)) for row in rows[:limit])
        return DeliveryPage(
            deliveries=found, next_cursor=cursors.of_id(found[-1].delivery_id) if len(rows) > limit and found else None
        )

    def delivery(self, delivery_id: int) -> DeliveryView:
        """Raises NotFound."""
        with vendor_errors_translated(), self._engine.connect() as connection:
            row = connection.execute(select_deliveries().where(DeliveryRow.id == delivery_id)).mappings().one_or_none()
        if row is None:
            raise NotFound("There is no delivery with that id.")
        return DeliveryView.model_validate(dict(row))

    def deliveries_by_destination(self) -> Mapping[str, Mapping[str, int]]:
        """Destination -> state -> how many."""
        query = select(DeliveryRow.destination, DeliveryRow.state, func.count()).group_by(
            DeliveryRow.destination, DeliveryRow.state
        )
        found: dict[str, dict[str, int]] = {}
        with vendor_errors_translated(), self._engine.connect() as connection:
            for destination, state, count in connection.execute(query):
                found.setdefault(destination, {})[state] = count
        return found

    def circuits(self) -> Mapping[str, CircuitView]:
        """By destination; one that never failed is not among them."""
        with vendor_errors_translated(), self._engine.connect() as connection:
            rows = connection.execute(select(CircuitRow.__table__)).mappings().all()
        return {row["destination"]: _circuit(row) for row in rows}

    def counters(self) -> Counters:
        """Figures for monitoring, counted in one transaction."""
        with vendor_errors_translated(), self._engine.connect() as connection:
            counted = {name: _count(connection, statement) for name, statement in _COUNTS.items()}
            waiting = float(connection.execute(text(_OLDEST_WAITING)).scalar_one())
        return Counters.model_validate({**counted, "oldest_waiting_job_seconds": waiting})

    def shadow_comparisons(self) -> tuple[ShadowComparison, ...]:
        """A few rows in memory at a time."""
        rows = select(ShadowAnalysisRow.__table__).execution_options(yield_per=_READ_AT_ONCE)
        with vendor_errors_translated(), self._engine.connect() as connection:
            return compare_shadow(map(_shadow_pair, connection.execute(rows).mappings()))


def select_deliveries() -> Select[Any]:
    """The columns of a `DeliveryView`."""
    own = [column for column in DeliveryRow.__table__.c if column.name in DeliveryView.model_fields]
    return select(DeliveryRow.id.label("delivery_id"), ReportRow.study_instance_uid, *own).join(
        ReportRow, ReportRow.report_id == DeliveryRow.report_id
    )


def _count(connection: Connection, statement: str) -> dict[tuple[str, ...], int]:
    return {tuple(labels): count for *labels, count in connection.execute(text(statement))}


def _association(row: RowMapping) -> AssociationView:
    shown = {name: row[name] for name in AssociationView.model_fields if name in row}
    closed = row["closed_at"]
    duration = None if closed is None else (closed - row["opened_at"]).total_seconds()
    return AssociationView(association_id=row["id"], duration_seconds=duration, **shown)


def _circuit(row: RowMapping) -> CircuitView:
    return CircuitView(
        state="paused" if row["retry_at"] is not None else "failing" if row["failures"] else "answers",
        consecutive_failures=row["failures"],
        retry_at=row["retry_at"],
        last_error=row["last_error"],
        last_error_at=row["last_error_at"],
    )


def _shadow_pair(row: RowMapping) -> ShadowPair:
    return ShadowPair(
        analysis_name=row["analysis_name"],
        model_versions=row["model_versions"],
        served=tuple(Finding.model_validate(finding) for finding in row["served_findings"]),
        shadow=tuple(Finding.model_validate(finding) for finding in row["findings"]),
    )


def _next(rows: Sequence[RowMapping], limit: int) -> str | None:
    return cursors.of_id(rows[limit - 1]["id"]) if len(rows) > limit else None

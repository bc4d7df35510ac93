"""Rows of `destination_circuits`: which destinations are left alone, for all workers alike."""

from datetime import datetime, timedelta

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from service.adapters.tables import CircuitRow
from service.core.circuit import pause_after
from service.errors import Paused


class PostgresCircuitRows:
    """Implements ports.CircuitRows."""

    def __init__(self, *, session: Session) -> None:
        self._session = session

    def admit(self, destination: str) -> None:
        """Let a delivery try. Raises Paused."""
        row = self._lock(destination)
        if row is None or row.retry_at is None:
            return
        now = self._now()
        wait = (row.retry_at - now).total_seconds()
        if wait > 0:
            raise Paused("The destination did not answer and is left alone for a while.", seconds=wait)
        # One trial at a time; should the worker that makes it die, the next comes after another pause.
        row.retry_at = now + timedelta(seconds=pause_after(row.failures))

    def answered(self, destination: str) -> bool:
        """Whatever the answer was, it is there; True when it had been paused."""
        row = self._lock(destination)
        was_paused = row is not None and row.retry_at is not None
        statement = update(CircuitRow).where(CircuitRow.destination == destination, CircuitRow.failures > 0)
        self._session.execute(statement.values(failures=0, paused_at=None, retry_at=None))
        return was_paused

    def failed(self, destination: str, error: str, *, began_at: datetime) -> None:
        """Count a failure in a row, and pause after some; what began before a pause does not make it longer."""
        self._session.execute(insert(CircuitRow).values(destination=destination).on_conflict_do_nothing())
        row = self._lock(destination)
        assert row is not None  # noqa: S101 - for the type checker: it is there now
        row.last_error, row.last_error_at = error, self._now()
        if row.paused_at is not None and began_at <= row.paused_at:
            return
        row.failures += 1
        pause = pause_after(row.failures)
        if pause:
            row.paused_at = row.last_error_at
            row.retry_at = row.last_error_at + timedelta(seconds=pause)

    def _lock(self, destination: str) -> CircuitRow | None:
        return self._session.scalars(
            select(CircuitRow).where(CircuitRow.destination == destination).with_for_update()
        ).one_or_none()

    def _now(self) -> datetime:
        return self._session.execute(select(func.now())).scalar_one()

"""Rows of `associations`: every one leaves a row, open while it lasts, so that completion can wait for it.

An open row is a lease, by the database's clock: its listener renews it, and any listener closes what was not renewed for long.
So a row ends whatever became of its listener: killed, moved to another host or port, or alive only in a restored backup.
"""

import threading
import time
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, func, insert, or_, update

from service.adapters.audit_rows import append_entry
from service.adapters.postgres import vendor_errors_translated
from service.adapters.tables import AssociationRow
from service.core.association import AssociationRecord
from service.errors import Unavailable

#: An open association that its listener did not renew for so long counts as lost; it is renewed every few seconds.
LEASE_SECONDS = 60.0


class PostgresAssociationLog:
    """Writes the associations of one listener; `listener` names it among several."""

    def __init__(self, *, engine: Engine, listener: str, lease_seconds: float = LEASE_SECONDS) -> None:
        self._engine = engine
        self._listener = listener
        self._lease_seconds = lease_seconds
        #: Its own, not all of its name: a row whose id never reached us is not renewed.
        self._open: set[int] = set()
        self._lock = threading.Lock()
        self._close_stale_at = time.monotonic() + lease_seconds

    def close_lost(self) -> int:
        """At start: what this listener left open, and what others left that are gone, is closed. Gives how many.

        Raises Unavailable.
        """
        with vendor_errors_translated(), self._engine.begin() as connection:
            return _close(connection, or_(AssociationRow.listener == self._listener, self._is_stale()))

    def renew(self) -> None:
        """Every few seconds: this one's are alive; once a lease, those that nobody renewed are closed. Raises Unavailable."""
        with self._lock:
            alive = list(self._open)
        try:
            with vendor_errors_translated(), self._engine.begin() as connection:
                if alive:
                    mine = update(AssociationRow).where(AssociationRow.id.in_(alive), AssociationRow.closed_at.is_(None))
                    connection.execute(mine.values(alive_at=func.now()))
                if time.monotonic() >= self._close_stale_at:
                    _close(connection, self._is_stale())
                    self._close_stale_at = time.monotonic() + self._lease_seconds
        except Unavailable:
            # No listener could renew meanwhile: each gets the time to do so.
            self._close_stale_at = time.monotonic() + self._lease_seconds
            raise

    def opened(self, record: AssociationRecord) -> int:
        """A row of an association that has begun; gives its id. Raises Unavailable."""
        values = {**_columns(record), "opened_at": _ago(record.duration_seconds)}
        statement = insert(AssociationRow).values(listener=self._listener, **values).returning(AssociationRow.id)
        with vendor_errors_translated(), self._engine.begin() as connection:
            association_id: int = connection.execute(statement).scalar_one()
        with self._lock:
            self._open.add(association_id)
        return association_id

    def closed(self, association_id: int | None, record: AssociationRecord, *, seconds_ago: float = 0.0) -> None:
        """The end of one, so many seconds ago; without an id it has no row yet, and gets it now. Raises Unavailable.

        An association that lived on while its lease ran out was closed by another listener, and a study may not have waited
        for it: its true end replaces that one here, and what it brought afterwards makes the next version of the report.
        """
        with self._lock:
            self._open.discard(association_id or 0)
        values = {**_columns(record), "closed_at": _ago(seconds_ago)}
        with vendor_errors_translated(), self._engine.begin() as connection:
            if association_id is None:
                opened_at = _ago(seconds_ago + record.duration_seconds)
                connection.execute(insert(AssociationRow).values(listener=self._listener, opened_at=opened_at, **values))
                return
            connection.execute(update(AssociationRow).where(AssociationRow.id == association_id).values(**values))
            if record.instances_stored:
                # PS3.15 A.5: Instances Transferred; one entry an association, so that the chain is no bottleneck.
                append_entry(
                    connection,
                    actor=f"ae:{record.calling_ae_title}",
                    action="instances_stored",
                    subject=f"association:{association_id}",
                    detail={"instances": record.instances_stored, "peer_address": record.peer_address},
                )

    def _is_stale(self) -> ColumnElement[bool]:
        return AssociationRow.alive_at < _ago(self._lease_seconds)


def _close(connection: Connection, which: ColumnElement[bool]) -> int:
    """Those of the open ones, as of their last sign of life; gives how many."""
    lost = update(AssociationRow).where(AssociationRow.closed_at.is_(None), which)
    return connection.execute(
        lost.values(outcome="connection_lost", reason="the listener stopped", closed_at=AssociationRow.alive_at)
    ).rowcount


def _ago(seconds: float) -> ColumnElement[Any]:
    return func.now() - timedelta(seconds=seconds)


def _columns(record: AssociationRecord) -> dict[str, Any]:
    contexts = [context.model_dump(mode="json") for context in record.contexts]
    rejection = record.rejection
    return {
        "peer_address": record.peer_address,
        "peer_port": record.peer_port,
        "calling_ae_title": record.calling_ae_title,
        "called_ae_title": record.called_ae_title,
        "tls": record.tls,
        "outcome": record.outcome,
        "reason": record.why or (rejection.why if rejection is not None else None),
        "offered": contexts,
        "accepted": [context for context in contexts if context["result"] == 0],
        "refused": [context for context in contexts if context["result"] != 0],
        "failures": [failure.model_dump(mode="json") for failure in record.failures],
        "instances": record.instances_stored,
        "bytes_received": record.bytes_received,
    }

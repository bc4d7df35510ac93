"""Rows of `associations`: every one leaves a row, open while it lasts, so that completion can wait for it."""

from typing import Any

from sqlalchemy import Engine, func, insert, update

from service.adapters.audit import append_entry
from service.adapters.postgres import vendor_errors_translated
from service.adapters.tables import AssociationRow
from service.core.association import AssociationRecord


class PostgresAssociationLog:
    """Writes the associations of one listener; `listener` names it among several."""

    def __init__(self, *, engine: Engine, listener: str) -> None:
        self._engine = engine
        self._listener = listener

    def close_lost(self) -> int:
        """At start: what this listener left open when it died is closed, so that no study waits for it. Gives how many."""
        lost = update(AssociationRow).where(AssociationRow.listener == self._listener, AssociationRow.closed_at.is_(None))
        with vendor_errors_translated(), self._engine.begin() as connection:
            return connection.execute(
                lost.values(outcome="connection_lost", reason="the listener stopped", closed_at=func.now())
            ).rowcount

    def opened(self, record: AssociationRecord) -> int:
        """A row of an association that begins; gives its id. Raises Unavailable."""
        statement = insert(AssociationRow).values(listener=self._listener, **_columns(record)).returning(AssociationRow.id)
        with vendor_errors_translated(), self._engine.begin() as connection:
            return connection.execute(statement).scalar_one()

    def closed(self, association_id: int | None, record: AssociationRecord) -> None:
        """The end of one; without an id it was refused before it began, and gets its row now. Raises Unavailable."""
        values = {**_columns(record), "closed_at": func.now()}
        with vendor_errors_translated(), self._engine.begin() as connection:
            if association_id is None:
                connection.execute(insert(AssociationRow).values(listener=self._listener, **values))
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

"""The audit trail: append-only rows, each holding the hash of the one before it, so that a change or a gap shows."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sqlalchemy import Connection, Engine, select

from service.access import AuditEntry
from service.adapters.audit_rows import append_entry, chain_sha256
from service.adapters.postgres import vendor_errors_translated
from service.adapters.tables import AuditRow

_BATCH = 1000


class PostgresAuditLog:
    """Implements access.AuditLog."""

    def __init__(self, *, engine: Engine) -> None:
        self._engine = engine

    def append(self, *, actor: str, action: str, subject: str, detail: Mapping[str, Any] | None = None) -> None:
        """Add one entry in a transaction of its own. Raises Unavailable."""
        with vendor_errors_translated(), self._engine.begin() as connection:
            append_entry(connection, actor=actor, action=action, subject=subject, detail=detail or {})

    def first_broken(self) -> int | None:
        """The id of the first entry whose hash or predecessor is wrong; None when the whole chain holds."""
        with vendor_errors_translated(), self._engine.connect() as connection:
            return find_broken(_read_all(connection))


def _read_all(connection: Connection) -> Iterator[AuditEntry]:
    """Oldest first, some at a time, so that a long trail costs no memory."""
    last = 0
    while True:
        query = select(AuditRow.__table__).where(AuditRow.id > last).order_by(AuditRow.id).limit(_BATCH)
        entries = [AuditEntry.model_validate(dict(row)) for row in connection.execute(query).mappings()]
        yield from entries
        if len(entries) < _BATCH:
            return
        last = entries[-1].id


def find_broken(entries: Iterable[AuditEntry]) -> int | None:
    """The id of the first entry, oldest first, that does not follow from the one before it."""
    previous: str | None = None
    for entry in entries:
        digest = chain_sha256(
            previous=entry.previous_sha256,
            at=entry.at,
            actor=entry.actor,
            action=entry.action,
            subject=entry.subject,
            detail=entry.detail,
        )
        if entry.previous_sha256 != previous or entry.sha256 != digest:
            return entry.id
        previous = entry.sha256
    return None

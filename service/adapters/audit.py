"""The audit trail: append-only rows, each holding the hash of the one before it, so that a change or a gap shows."""

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, select

from service.access import AuditEntry
from service.adapters.audit_rows import Act, append_entries, chain_sha256
from service.adapters.postgres import vendor_errors_translated
from service.adapters.tables import AuditRow
from service.errors import Unavailable

_BATCH = 1000


@dataclass(slots=True, eq=False)
class _Waiting:
    """An entry that somebody waits for."""

    act: Act
    is_written: bool = False
    error: Exception | None = None


class PostgresAuditLog:
    """Implements access.AuditLog."""

    def __init__(self, *, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._waiting: list[_Waiting] = []
        self._writing = threading.Lock()

    def append(self, *, actor: str, action: str, subject: str, detail: Mapping[str, Any] | None = None) -> None:
        """Add one entry, and return once it is committed; entries of several threads share a transaction. Raises Unavailable.

        Writers take turns, each for as long as a commit takes, so that twenty readers would wait for twenty. Whoever has the
        turn writes what the others brought meanwhile, too.
        """
        mine = _Waiting(Act(actor, action, subject, detail or {}))
        with self._lock:
            self._waiting.append(mine)
        with self._writing:
            if mine in self._waiting:
                self._write_all()
        if mine.error is not None:
            raise mine.error
        if not mine.is_written:  # whoever had the turn was stopped in the middle of it
            raise Unavailable("The entry of the audit trail was not written; try again.", reason="database")

    def _write_all(self) -> None:
        with self._lock:
            entries, self._waiting = self._waiting, []
        self._write(entries)

    def _write(self, entries: Sequence[_Waiting]) -> None:
        try:
            with vendor_errors_translated(), self._engine.begin() as connection:
                append_entries(connection, [entry.act for entry in entries])
        except Exception as error:  # noqa: BLE001 - whoever waits for the entry raises it
            if len(entries) > 1 and not isinstance(error, Unavailable):
                for entry in entries:  # one that cannot be written is nobody else's fault
                    self._write([entry])
                return
            for entry in entries:
                entry.error = error
        else:
            for entry in entries:
                entry.is_written = True

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
        act = Act(entry.actor, entry.action, entry.subject, entry.detail)
        digest = chain_sha256(act, previous=entry.previous_sha256, at=entry.at)
        if entry.previous_sha256 != previous or entry.sha256 != digest:
            return entry.id
        previous = entry.sha256
    return None

"""The audit trail: append-only rows, each holding the hash of the one before it, so that a change or a gap shows."""

import hashlib
import json
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Engine, func, insert, select, text

from service.access import AuditEntry
from service.adapters.postgres import vendor_errors_translated
from service.adapters.tables import AuditRow
from service.errors import Unavailable

#: Writers take turns, so that the chain never forks; held until the transaction ends.
_LOCK = 7_305_301_923
_BATCH = 1000


@dataclass(slots=True, eq=False)
class _Waiting:
    """An entry that somebody waits for."""

    actor: str
    action: str
    subject: str
    detail: Mapping[str, Any]
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
        mine = _Waiting(actor, action, subject, detail or {})
        with self._lock:
            self._waiting.append(mine)
        with self._writing:
            if not mine.is_written and mine.error is None:
                self._write_all()
        if mine.error is not None:
            raise mine.error

    def _write_all(self) -> None:
        with self._lock:
            entries, self._waiting = self._waiting, []
        self._write(entries)

    def _write(self, entries: Sequence[_Waiting]) -> None:
        try:
            with vendor_errors_translated(), self._engine.begin() as connection:
                _append_entries(connection, entries)
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


def append_entry(connection: Connection, *, actor: str, action: str, subject: str, detail: Mapping[str, Any]) -> None:
    """Add one entry on an open transaction, so that it commits with what it records; `subject` is a UID or id, never a name."""
    _append_entries(connection, [_Waiting(actor, action, subject, detail)])


def _append_entries(connection: Connection, entries: Sequence[_Waiting]) -> None:
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    last = select(AuditRow.sha256).order_by(AuditRow.id.desc()).limit(1).scalar_subquery()
    previous, at = connection.execute(select(last, func.clock_timestamp())).one()
    rows = []
    for entry in entries:
        said: dict[str, Any] = {name: getattr(entry, name) for name in ("actor", "action", "subject")}
        said["detail"] = dict(entry.detail)
        digest = chain_sha256(previous=previous, at=at, **said)
        rows.append({"at": at, **said, "previous_sha256": previous, "sha256": digest})
        previous = digest
    connection.execute(insert(AuditRow), rows)


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


def chain_sha256(*, previous: str | None, at: datetime, actor: str, action: str, subject: str, detail: Mapping[str, Any]) -> str:
    """SHA-256 over canonical JSON of everything that an entry says."""
    said = [previous, at.astimezone(UTC).isoformat(), actor, action, subject, detail]
    return hashlib.sha256(json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()).hexdigest()

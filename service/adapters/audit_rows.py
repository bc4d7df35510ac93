"""Entries of the audit trail, each holding the hash of the one before it; added to the transaction of what they record."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, func, insert, select, text
from sqlalchemy.orm import Session

from service.adapters.tables import AuditRow

#: Writers take turns, so that the chain never forks; held until the transaction ends.
_LOCK = 7_305_301_923


class PostgresAuditRows:
    """Implements ports.AuditRows."""

    def __init__(self, *, session: Session) -> None:
        self._session = session

    def append(self, *, actor: str, action: str, subject: str, detail: Mapping[str, Any] | None = None) -> None:
        """Add one entry to the transaction."""
        append_entry(self._session.connection(), actor=actor, action=action, subject=subject, detail=detail or {})


@dataclass(frozen=True, slots=True)
class Act:
    """What is to be recorded; `subject` is a UID or id, never a name."""

    actor: str
    action: str
    subject: str
    detail: Mapping[str, Any]


def append_entry(connection: Connection, *, actor: str, action: str, subject: str, detail: Mapping[str, Any]) -> None:
    """Add one entry on an open transaction, so that it commits with what it records; `subject` is a UID or id, never a name."""
    append_entries(connection, [Act(actor, action, subject, detail)])


def append_entries(connection: Connection, acts: Sequence[Act]) -> None:
    """The same of several, in this order."""
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    last = select(AuditRow.sha256).order_by(AuditRow.id.desc()).limit(1).scalar_subquery()
    previous, at = connection.execute(select(last, func.clock_timestamp())).one()
    rows = []
    for act in acts:
        said = {"actor": act.actor, "action": act.action, "subject": act.subject, "detail": dict(act.detail)}
        digest = chain_sha256(act, previous=previous, at=at)
        rows.append({"at": at, **said, "previous_sha256": previous, "sha256": digest})
        previous = digest
    connection.execute(insert(AuditRow), rows)


def chain_sha256(act: Act, *, previous: str | None, at: datetime) -> str:
    """SHA-256 over canonical JSON of everything that an entry says."""
    said = [previous, at.astimezone(UTC).isoformat(), act.actor, act.action, act.subject, dict(act.detail)]
    return hashlib.sha256(json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()).hexdigest()

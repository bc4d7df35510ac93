"""Who may do what: roles, principals, and what the HTTP edge needs of keys, sessions and the audit trail."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, Protocol

from service.core.findings import Value


class Role(StrEnum):
    """Each role may do what the ones before it may."""

    VIEWER = "viewer"
    RADIOLOGIST = "radiologist"
    ADMINISTRATOR = "administrator"

    def includes(self, other: "Role") -> bool:
        """True when this role may do what `other` may."""
        order = list(Role)
        return order.index(self) >= order.index(other)


class Person(Value):
    """Whoever signed in to a local account; only such a one can sign a report."""

    user_id: str
    #: As a signature shows it, in the order in which it is read.
    full_name: str


class Principal(Value):
    """Whoever makes a request."""

    #: As the audit trail and the log name it; never a patient, never a secret.
    name: str
    role: Role
    #: A key or token belongs to a program and cannot sign; a session belongs to whoever opened the link.
    kind: Literal["key", "token", "session"]
    #: None for programs, and for whoever opened a one-time link.
    person: Person | None = None
    #: What a form or header must repeat when the browser sends the session by itself.
    csrf_token: str | None = None


class KeyDetails(Value):
    """An API key as it is listed; the key itself was shown once."""

    key_id: str
    name: str
    role: Role
    created_at: datetime
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None


class OpenedSession(Value):
    """What a used link gives: the secret of the session, shown to the browser only."""

    token: str
    role: Role
    expires_at: datetime


class AuditEntry(Value):
    """One link of the audit chain; `sha256` covers all other fields."""

    id: int
    at: datetime
    actor: str
    action: str
    subject: str
    detail: dict[str, Any]
    previous_sha256: str | None
    sha256: str


class Keys(Protocol):
    """API keys; only hashes are kept."""

    def create(self, *, name: str, role: str) -> str:
        """A new key, shown once. Raises InputRejected for an unknown role."""

    def list(self) -> Sequence[KeyDetails]:
        """All keys, newest first."""

    def revoke(self, key_id: str) -> None:
        """End a key at once. Raises NotFound."""

    def verify(self, token: str) -> Principal | None:
        """Whose key it is, or None."""


class SignIns(Protocol):
    """One-time links and the sessions that they open."""

    def create_link(self, role: Role) -> str:
        """The secret part of a new link."""

    def open_session(self, link_token: str) -> OpenedSession | None:
        """Use a link up; None when it is unknown, used or too old."""

    def verify(self, session_token: str) -> Principal | None:
        """Whose session it is, or None."""

    def close_session(self, session_token: str) -> None:
        """Sign out."""


class AuditLog(Protocol):
    """Append-only, hash-chained."""

    def append(self, *, actor: str, action: str, subject: str, detail: Mapping[str, Any] | None = None) -> None:
        """Add one entry. Raises Unavailable."""

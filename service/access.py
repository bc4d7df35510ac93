"""Who may do what: roles, principals, and what the HTTP edge needs of keys, sessions and the audit trail."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Literal, Protocol

from pydantic import SecretStr

from service.core.findings import Value
from service.errors import InputRejected

HOW_TO_ADD_AN_ACCOUNT = "make an account with `sonomyo users add LOGIN --full-name NAME --role radiologist`"
#: So long before a session ends a page says so; less where sessions are short (WCAG 2.2, 2.2.1).
WARNED = timedelta(minutes=5)
#: How long a browser is known after a person signed in with it.
BROWSER_LIFE = timedelta(days=90)


class Role(StrEnum):
    """Each role may do what the ones before it may."""

    VIEWER = "viewer"
    RADIOLOGIST = "radiologist"
    ADMINISTRATOR = "administrator"

    def includes(self, other: "Role") -> bool:
        """True when this role may do what `other` may."""
        order = list(Role)
        return order.index(self) >= order.index(other)


def role_named(text: str) -> Role:
    """Raises InputRejected for an unknown one."""
    if text not in set(Role):
        raise InputRejected(f"There is no role {text!r}; there are: {', '.join(Role)}.", reason="role")
    return Role(text)


class Person(Value):
    """Whoever signed in to a local account; only such a one can sign a report."""

    user_id: str
    #: As a signature shows it, in the order in which it is read.
    full_name: str

    @property
    def account(self) -> str:
        """As the audit trail and the log name them."""
        return account_named(self.user_id)


def account_named(user_id: str) -> str:
    """How the audit trail and the log name an account."""
    return f"user:{user_id}"


class SessionEnd(Value):
    """When a session ends if nobody uses it, in seconds from the answer on."""

    ends_in_seconds: int
    #: False where only a new sign-in helps, for every session ends some time.
    is_prolonged_by_use: bool
    #: So many seconds before its end whoever has a page open is warned.
    warned_seconds: int

    @classmethod
    def of(cls, *, left: timedelta, idle_left: timedelta | None = None, idle_life: timedelta | None = None) -> "SessionEnd":
        """Of what is left in any case, and of what is left to, and of the whole of, a session that nobody uses."""
        is_prolonged = idle_left is not None and idle_left < left
        nearest = idle_left if idle_left is not None and is_prolonged else left
        warned = WARNED if idle_life is None else min(WARNED, idle_life / 3)
        seconds = max(0, int(nearest.total_seconds()))
        return cls(ends_in_seconds=seconds, is_prolonged_by_use=is_prolonged, warned_seconds=int(warned.total_seconds()))


class Principal(Value):
    """Whoever makes a request."""

    #: As the audit trail and the log name it; never a patient, never a secret.
    name: str
    role: Role
    #: A key or token belongs to a program and cannot sign; a session to a person, or to whoever opened a link.
    kind: Literal["key", "token", "session"]
    #: None for programs, and for whoever opened a one-time link.
    person: Person | None = None
    #: What a form or header must repeat when the browser sends the session by itself.
    csrf_token: str | None = None
    #: None for programs.
    session_end: SessionEnd | None = None


class KeyDetails(Value):
    """An API key as it is listed; the key itself was shown once."""

    key_id: str
    name: str
    role: Role
    created_at: datetime
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None


class OpenedSession(Value):
    """What a used link or a right password gives: the secret of the session, shown to the browser only."""

    token: str
    role: Role
    expires_at: datetime


class SignedIn(OpenedSession):
    """A session of an account."""

    #: A secret by which the browser is known again: somebody else's failures do not slow it down.
    browser_token: str


class TryLater(Value):
    """Too many attempts failed in a row."""

    seconds: float


class UserDetails(Value):
    """A local account as it is listed."""

    user_id: str
    login: str
    full_name: str
    role: Role
    created_at: datetime
    password_changed_at: datetime
    last_signed_in_at: datetime | None = None
    disabled_at: datetime | None = None


class UserChange(Value):
    """What is to be otherwise about an account; None stays as it is."""

    full_name: str | None = None
    role: Role | None = None
    disabled: bool | None = None
    password: SecretStr | None = None


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


class Sessions(Protocol):
    """Sessions of one kind; those of another kind are unknown to it."""

    def verify(self, session_token: str, *, is_used: bool = True) -> Principal | None:
        """Whose session it is, or None; it ends as if nobody had asked unless it `is_used`. Raises Unavailable."""

    def close_session(self, session_token: str) -> None:
        """Sign out."""


class SignIns(Sessions, Protocol):
    """One-time links and the sessions that they open."""

    def create_link(self, role: Role) -> str:
        """The secret part of a new link."""

    def open_session(self, link_token: str) -> OpenedSession | None:
        """Use a link up; None when it is unknown, used or too old."""


class UserSessions(Sessions, Protocol):
    """Sessions of local accounts."""

    def sign_in(self, *, login: str, password: str, browser_token: str | None) -> SignedIn | TryLater | None:
        """None when there is no such account, it is disabled or has another password. Raises Unavailable."""


class Users(Protocol):
    """Local accounts. What changes a role or a password, or disables, ends the account's sessions at once."""

    def add(self, *, login: str, full_name: str, role: Role, password: str, actor: str) -> UserDetails:
        """Raises InputRejected for an unfit login, name or password, Conflict for a login that is taken."""

    def list(self) -> Sequence[UserDetails]:
        """All accounts, by login."""

    def get(self, user_id: str) -> UserDetails:
        """Raises NotFound."""

    def change(self, user_id: str, change: UserChange, *, actor: str) -> UserDetails:
        """All of it or nothing. Raises NotFound, InputRejected for an unfit name or password."""

    def change_password(self, user_id: str, *, current: str, new: str) -> TryLater | None:
        """As the person does it. Raises InputRejected when the current one is wrong or the new one unfit."""


class AuditLog(Protocol):
    """Append-only, hash-chained."""

    def append(self, *, actor: str, action: str, subject: str, detail: Mapping[str, Any] | None = None) -> None:
        """Add one entry. Raises Unavailable."""

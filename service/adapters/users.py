"""Local accounts: who may sign in, as what, and with which password."""

import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import SecretStr
from sqlalchemy import ColumnElement, Connection, Engine, func, select, update
from sqlalchemy.dialects.postgresql import insert

from service.access import Role, TryLater, UserChange, UserDetails, account_named
from service.adapters.account_tables import UserRow, UserSessionRow
from service.adapters.audit_rows import append_entry
from service.adapters.passwords import Passwords
from service.adapters.postgres import vendor_errors_translated
from service.adapters.sign_in_pauses import SignInPauses, forgive, of_login
from service.core.passwords import check_password
from service.errors import Conflict, InputRejected, NotFound

_LOGIN = re.compile(r"[a-z0-9][a-z0-9._@-]{1,63}")
#: A component group of a DICOM person name is no longer (PS3.5 6.2), and holds none of its delimiters.
_LONGEST_NAME = 64
_DELIMITERS = frozenset("\\^=")
_COLUMNS = [getattr(UserRow, name) for name in UserDetails.model_fields]


class LocalUsers:
    """Implements access.Users."""

    def __init__(self, *, engine: Engine, passwords: Passwords) -> None:
        self._engine = engine
        self._passwords = passwords
        self._pauses = SignInPauses(engine=engine)

    def add(self, *, login: str, full_name: str, role: Role, password: str, actor: str) -> UserDetails:
        """A new account. Raises InputRejected for an unfit login, name or password, Conflict for a login that is taken."""
        values = {"login": _checked_login(login), "full_name": _checked_name(full_name), "role": role.value}
        check_password(password, own=(login, full_name))
        user_id = secrets.token_hex(6)
        adding = insert(UserRow).values(user_id=user_id, password_hash=self._passwords.hash(password), **values)
        with vendor_errors_translated(), self._engine.begin() as connection:
            added = connection.execute(adding.on_conflict_do_nothing(index_elements=["login"]).returning(*_COLUMNS)).mappings()
            row = added.one_or_none()
            if row is None:
                raise Conflict("There is an account with this login; choose another one.", reason="login_taken")
            append_entry(
                connection, actor=actor, action="user_added", subject=account_named(user_id), detail={"role": role.value}
            )
            return UserDetails.model_validate(dict(row))

    def list(self) -> Sequence[UserDetails]:
        """All accounts, by login."""
        with vendor_errors_translated(), self._engine.connect() as connection:
            rows = connection.execute(select(*_COLUMNS).order_by(UserRow.login)).mappings()
            return [UserDetails.model_validate(dict(row)) for row in rows]

    def get(self, user_id: str) -> UserDetails:
        """One account. Raises NotFound."""
        return self._one(UserRow.user_id == user_id)

    def find(self, login: str) -> UserDetails:
        """The account with a login. Raises NotFound."""
        return self._one(UserRow.login == login_as_kept(login))

    def change(self, user_id: str, change: UserChange, *, actor: str) -> UserDetails:
        """All of it or nothing; another role or password, and disabling, end the account's sessions.

        Raises NotFound, InputRejected for an unfit name or password.
        """
        values = self._values(self.get(user_id), change)
        with vendor_errors_translated(), self._engine.begin() as connection:
            # An update names one column at least.
            changing = update(UserRow).where(UserRow.user_id == user_id).values(user_id=user_id, **values).returning(*_COLUMNS)
            changed = UserDetails.model_validate(dict(connection.execute(changing).mappings().one()))
            if change.role is not None or change.disabled or change.password is not None:
                _end_sessions(connection, user_id)
            if change.password is not None:
                forgive(connection, of_login(changed.login))
            for action, detail in _entries(change):
                append_entry(connection, actor=actor, action=action, subject=account_named(user_id), detail=detail)
        return changed

    def change_password(self, user_id: str, *, current: str, new: str) -> TryLater | None:
        """As the person does it, who must know the current one. Raises NotFound, InputRejected."""
        attempts = f"current password of {user_id}"
        wait = self._pauses.begin(attempts)
        if wait is not None:
            return wait
        with vendor_errors_translated(), self._engine.connect() as connection:
            kept = connection.execute(select(UserRow.password_hash).where(UserRow.user_id == user_id)).scalar_one_or_none()
        if not self._passwords.matches(current, kept):
            raise InputRejected("The current password is another one.", reason="current_password")
        with vendor_errors_translated(), self._engine.begin() as connection:
            forgive(connection, attempts)
        self.change(user_id, UserChange(password=SecretStr(new)), actor=account_named(user_id))
        return None

    def _values(self, user: UserDetails, change: UserChange) -> dict[str, Any]:
        """The columns that change. Raises InputRejected."""
        values: dict[str, Any] = {}
        if change.full_name is not None:
            values["full_name"] = _checked_name(change.full_name)
        if change.role is not None:
            values["role"] = change.role.value
        if change.disabled is not None:
            # Disabling twice keeps the first time.
            values["disabled_at"] = func.coalesce(UserRow.disabled_at, func.now()) if change.disabled else None
        if change.password is not None:
            password = change.password.get_secret_value()
            check_password(password, own=(user.login, change.full_name or user.full_name))
            values |= {"password_hash": self._passwords.hash(password), "password_changed_at": func.now()}
        return values

    def _one(self, which: ColumnElement[bool]) -> UserDetails:
        with vendor_errors_translated(), self._engine.connect() as connection:
            row = connection.execute(select(*_COLUMNS).where(which)).mappings().one_or_none()
        if row is None:
            raise _unknown()
        return UserDetails.model_validate(dict(row))


def login_as_kept(login: str) -> str:
    """Logins are told apart without regard to capitals; empty for what can be none."""
    kept = login.strip().lower()
    return kept if _LOGIN.fullmatch(kept) else ""


def _entries(change: UserChange) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """What the audit trail says of a change: action and detail of each part."""
    if change.full_name is not None:
        yield "user_renamed", {}
    if change.role is not None:
        yield "user_role_set", {"role": change.role.value}
    if change.disabled is not None:
        yield "user_disabled" if change.disabled else "user_enabled", {}
    if change.password is not None:
        yield "user_password_set", {}


def _end_sessions(connection: Connection, user_id: str) -> None:
    open_ones = (UserSessionRow.user_id == user_id) & (UserSessionRow.expires_at > func.now())
    connection.execute(update(UserSessionRow).where(open_ones).values(expires_at=func.now()))


def _checked_login(login: str) -> str:
    kept = login_as_kept(login)
    if not kept:
        said = "A login has 2 to 64 characters: a to z, digits, and . _ @ - but for the first one."
        raise InputRejected(said, reason="login")
    return kept


def _checked_name(full_name: str) -> str:
    kept = " ".join(full_name.split())
    if not kept or len(kept) > _LONGEST_NAME or not kept.isprintable() or _DELIMITERS & set(kept):
        said = f"A full name has at most {_LONGEST_NAME} printable characters, none of them ^, = or a backslash."
        raise InputRejected(said, reason="full_name")
    return kept


def _unknown() -> NotFound:
    return NotFound("There is no such account; `sonomyo users list` shows them.", reason="no_such_user")

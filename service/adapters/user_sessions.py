"""Sessions of local accounts. Their secrets are random and long, so a plain SHA-256 of each is all that is kept."""

import hmac
import logging
import secrets
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection, Engine, delete, func, insert, select, update

from service.access import BROWSER_LIFE, Person, Principal, Role, SessionEnd, SignedIn, TryLater, account_named
from service.adapters.access import csrf_token_of, hashed
from service.adapters.account_tables import UserRow, UserSessionRow
from service.adapters.audit_rows import append_entry
from service.adapters.passwords import Passwords
from service.adapters.postgres import reading, vendor_errors_translated
from service.adapters.sign_in_pauses import SignInPauses, forgive, of_login
from service.adapters.users import login_as_kept

IDLE_LIFE, LIFE = timedelta(minutes=30), timedelta(hours=12)
#: By it a session of an account is told from one that a link opened, without a look-up.
_PREFIX = "smu_"
_SECRET_BYTES = 32
#: How often the time of last use is written.
_USE_STEP = timedelta(minutes=1)

_log = logging.getLogger("sonomyo.accounts")


@dataclass(frozen=True, slots=True)
class _Account:
    user_id: str
    role: str
    password_hash: str


class LocalSessions:
    """Implements access.UserSessions."""

    def __init__(self, *, engine: Engine, passwords: Passwords, idle_life: timedelta = IDLE_LIFE, life: timedelta = LIFE) -> None:
        self._engine = engine
        self._passwords = passwords
        self._idle_life = idle_life
        self._life = life
        self._pauses = SignInPauses(engine=engine)

    def sign_in(self, *, login: str, password: str, browser_token: str | None) -> SignedIn | TryLater | None:
        """A new session; None when there is no such account, it is disabled or has another password. Raises Unavailable.

        An unknown login takes the same steps and as much work as a known one.
        """
        login = login_as_kept(login)
        attempts = self._subject(login, browser_token)
        wait = self._pauses.begin(attempts)
        if wait is not None:
            return wait
        account = self._account(login)
        if not self._passwords.matches(password, None if account is None else account.password_hash) or account is None:
            _log.warning("sign_in_failed", extra={"user_id": None if account is None else account.user_id})
            return None
        return self._open(account, password, attempts)

    def verify(self, session_token: str, *, is_used: bool = True) -> Principal | None:
        """Whose session it is; None when it is unknown, over, or was not used for too long. Raises Unavailable.

        What a page asks by itself is no use (OWASP ASVS 5.0, 7.3.1: a session that nobody uses ends).
        """
        if not session_token.startswith(_PREFIX):
            return None
        digest, row = hashed(session_token), UserSessionRow
        step = min(_USE_STEP, self._idle_life / 4)
        wanted = (
            select(row.session_sha256, UserRow.user_id, UserRow.role, UserRow.full_name)
            .add_columns((row.last_used_at < func.now() - step).label("is_due"))
            .add_columns((row.expires_at - func.now()).label("left"), (func.now() - row.last_used_at).label("unused"))
            .join(UserRow, UserRow.user_id == row.user_id)
            .where(row.session_sha256 == digest, UserRow.disabled_at.is_(None))
            .where(row.expires_at > func.now(), row.last_used_at > func.now() - self._idle_life)
        )
        with reading(self._engine) as connection:
            found = connection.execute(wanted).one_or_none()
            if found is None or not hmac.compare_digest(found.session_sha256, digest):
                return None
            is_renewed = is_used and found.is_due
            if is_renewed:
                connection.execute(update(row).where(row.session_sha256 == digest).values(last_used_at=func.now()))
        idle_left = self._idle_life if is_renewed else self._idle_life - found.unused
        return Principal(
            name=account_named(found.user_id),
            role=Role(found.role),
            kind="session",
            person=Person(user_id=found.user_id, full_name=found.full_name),
            csrf_token=csrf_token_of(session_token),
            session_end=SessionEnd.of(left=found.left, idle_left=idle_left, idle_life=self._idle_life),
        )

    def close_session(self, session_token: str) -> None:
        """Sign out; the browser stays known."""
        ending = update(UserSessionRow).where(UserSessionRow.session_sha256 == hashed(session_token))
        with vendor_errors_translated(), self._engine.begin() as connection:
            connection.execute(ending.values(expires_at=func.now()))

    def _subject(self, login: str, browser_token: str | None) -> str:
        """What failures are counted by: the login, for all browsers that never signed in to it, or one that did."""
        browser = hashed(browser_token or "")
        row = UserSessionRow
        known = (
            select(row.id)
            .join(UserRow, UserRow.user_id == row.user_id)
            .where(UserRow.login == login, row.browser_sha256 == browser, row.created_at > func.now() - BROWSER_LIFE)
        )
        with vendor_errors_translated(), self._engine.connect() as connection:
            is_known = connection.execute(known.limit(1)).first() is not None
        return f"browser {browser} {login}" if is_known else of_login(login)

    def _account(self, login: str) -> _Account | None:
        wanted = select(UserRow.user_id, UserRow.role, UserRow.password_hash).where(
            UserRow.login == login, UserRow.disabled_at.is_(None)
        )
        with vendor_errors_translated(), self._engine.connect() as connection:
            found = connection.execute(wanted).one_or_none()
        return None if found is None else _Account(*found)

    def _open(self, account: _Account, password: str, attempts: str) -> SignedIn | None:
        """None when the account was disabled or its password changed since it was compared."""
        is_outdated = self._passwords.is_outdated(account.password_hash)
        renewed = self._passwords.hash(password) if is_outdated else account.password_hash
        still = (UserRow.user_id == account.user_id) & (UserRow.password_hash == account.password_hash)
        # The row's lock makes a session wait for a change of the account, which ends those that are there.
        noting = update(UserRow).where(still, UserRow.disabled_at.is_(None))
        noting = noting.values(last_signed_in_at=func.now(), password_hash=renewed)
        with vendor_errors_translated(), self._engine.begin() as connection:
            if connection.execute(noting.returning(UserRow.user_id)).one_or_none() is None:
                return None
            signed_in = self._insert(connection, account)
            failed = forgive(connection, attempts) - 1
            actor = account_named(account.user_id)
            detail = {"failed_attempts_before": failed} if failed > 0 else {}
            append_entry(connection, actor=actor, action="signed_in", subject=actor, detail=detail)
        return signed_in

    def _insert(self, connection: Connection, account: _Account) -> SignedIn:
        token, browser_token = _PREFIX + secrets.token_urlsafe(_SECRET_BYTES), secrets.token_urlsafe(_SECRET_BYTES)
        row = UserSessionRow
        opening = insert(row).values(
            user_id=account.user_id,
            session_sha256=hashed(token),
            browser_sha256=hashed(browser_token),
            expires_at=func.now() + self._life,
        )
        expires_at = connection.execute(opening.returning(row.expires_at)).scalar_one()
        forgotten = (row.user_id == account.user_id) & (row.created_at < func.now() - BROWSER_LIFE)
        connection.execute(delete(row).where(forgotten))
        return SignedIn(token=token, role=Role(account.role), expires_at=expires_at, browser_token=browser_token)

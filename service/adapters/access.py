"""API keys, sign-in links and sessions. Secrets are random and long, so a plain SHA-256 of each is all that is kept."""

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import Engine, func, insert, or_, select, update

from service.access import KeyDetails, OpenedSession, Principal, Role, SessionEnd, role_named
from service.adapters.audit_rows import append_entry
from service.adapters.postgres import reading, vendor_errors_translated
from service.adapters.tables import ApiKeyRow, SignInRow
from service.errors import InputRejected, NotFound

KEY_PREFIX = "smy"
LINK_LIFE = timedelta(hours=1)
SESSION_LIFE = timedelta(hours=12)
_SECRET_BYTES = 32
_LONGEST_NAME = 100
#: How often the time of last use is written.
_USE_STEP = timedelta(minutes=1)


class ApiKeys:
    """Implements access.Keys."""

    def __init__(self, *, engine: Engine) -> None:
        self._engine = engine

    def create(self, *, name: str, role: str, actor: str = "command line") -> str:
        """A new key, shown once: `smy_<key id>_<secret>`. Raises InputRejected for an unknown role or an unfit name."""
        role_named(role)
        if not name.strip() or len(name) > _LONGEST_NAME or not name.isprintable():
            raise InputRejected(f"A key needs a printable name of at most {_LONGEST_NAME} characters.", reason="name")
        key_id = secrets.token_hex(6)
        key = f"{KEY_PREFIX}_{key_id}_{secrets.token_urlsafe(_SECRET_BYTES)}"
        with vendor_errors_translated(), self._engine.begin() as connection:
            connection.execute(insert(ApiKeyRow).values(key_id=key_id, name=name.strip(), role=role, sha256=hashed(key)))
            append_entry(connection, actor=actor, action="key_created", subject=f"key:{key_id}", detail={"role": role})
        return key

    def list(self) -> Sequence[KeyDetails]:
        """All keys, newest first."""
        columns = [getattr(ApiKeyRow, name) for name in KeyDetails.model_fields]
        with vendor_errors_translated(), self._engine.connect() as connection:
            rows = connection.execute(select(*columns).order_by(ApiKeyRow.created_at.desc(), ApiKeyRow.key_id)).mappings()
            return [KeyDetails.model_validate(dict(row)) for row in rows]

    def revoke(self, key_id: str, *, actor: str = "command line") -> None:
        """End a key at once; revoking it twice is no error. Raises NotFound."""
        with vendor_errors_translated(), self._engine.begin() as connection:
            found = connection.execute(select(ApiKeyRow.revoked_at).where(ApiKeyRow.key_id == key_id)).one_or_none()
            if found is None:
                raise NotFound("There is no key with that id; `sonomyo keys list` shows them.")
            if found.revoked_at is not None:
                return
            connection.execute(update(ApiKeyRow).where(ApiKeyRow.key_id == key_id).values(revoked_at=func.now()))
            append_entry(connection, actor=actor, action="key_revoked", subject=f"key:{key_id}", detail={})

    def verify(self, token: str) -> Principal | None:
        """Whose key it is; None when it is unknown or revoked. Raises Unavailable."""
        if not token.startswith(f"{KEY_PREFIX}_"):
            return None
        digest = hashed(token)
        is_due = or_(ApiKeyRow.last_used_at.is_(None), ApiKeyRow.last_used_at < func.now() - _USE_STEP)
        wanted = select(ApiKeyRow.key_id, ApiKeyRow.role, ApiKeyRow.sha256, is_due.label("is_due")).where(
            ApiKeyRow.sha256 == digest, ApiKeyRow.revoked_at.is_(None)
        )
        with reading(self._engine) as connection:
            found = connection.execute(wanted).one_or_none()
            if found is None or not hmac.compare_digest(found.sha256, digest):
                return None
            if found.is_due:
                connection.execute(update(ApiKeyRow).where(ApiKeyRow.key_id == found.key_id).values(last_used_at=func.now()))
        return Principal(name=f"key:{found.key_id}", role=Role(found.role), kind="key")


class SignInLinks:
    """Implements access.SignIns."""

    def __init__(self, *, engine: Engine) -> None:
        self._engine = engine

    def create_link(self, role: Role) -> str:
        """The secret part of a new link, good for one use within an hour."""
        token = secrets.token_urlsafe(_SECRET_BYTES)
        values = {"link_sha256": hashed(token), "role": role.value, "expires_at": func.now() + LINK_LIFE}
        with vendor_errors_translated(), self._engine.begin() as connection:
            connection.execute(insert(SignInRow).values(**values))
        return token

    def open_session(self, link_token: str) -> OpenedSession | None:
        """Use a link up; of two that use it at once one gets the session."""
        session = secrets.token_urlsafe(_SECRET_BYTES)
        unused = (SignInRow.link_sha256 == hashed(link_token)) & SignInRow.used_at.is_(None) & (SignInRow.expires_at > func.now())
        opening = (
            update(SignInRow)
            .where(unused)
            .values(used_at=func.now(), session_sha256=hashed(session), expires_at=func.now() + SESSION_LIFE)
            .returning(SignInRow.id, SignInRow.role, SignInRow.expires_at)
        )
        with vendor_errors_translated(), self._engine.begin() as connection:
            opened = connection.execute(opening).one_or_none()
            if opened is None:
                return None
            append_entry(connection, actor=f"session:{opened.id}", action="signed_in", subject=f"session:{opened.id}", detail={})
        return OpenedSession(token=session, role=Role(opened.role), expires_at=opened.expires_at)

    def verify(self, session_token: str, *, is_used: bool = True) -> Principal | None:
        """Whose session it is; None when it is unknown or over. Use does not prolong it. Raises Unavailable."""
        del is_used
        digest = hashed(session_token)
        left = (SignInRow.expires_at - func.now()).label("left")
        wanted = select(SignInRow.id, SignInRow.role, SignInRow.session_sha256, left).where(
            SignInRow.session_sha256 == digest, SignInRow.expires_at > func.now()
        )
        with reading(self._engine) as connection:
            found = connection.execute(wanted).one_or_none()
        if found is None or not hmac.compare_digest(found.session_sha256 or "", digest):
            return None
        return Principal(
            name=f"session:{found.id}",
            role=Role(found.role),
            kind="session",
            csrf_token=csrf_token_of(session_token),
            session_end=SessionEnd.of(left=found.left),
        )

    def close_session(self, session_token: str) -> None:
        """Sign out."""
        ending = update(SignInRow).where(SignInRow.session_sha256 == hashed(session_token)).values(expires_at=func.now())
        with vendor_errors_translated(), self._engine.begin() as connection:
            connection.execute(ending)


def hashed(secret: str) -> str:
    """What is kept of a secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


def csrf_token_of(session_token: str) -> str:
    """A function of the session that a page may show and another site cannot guess."""
    return hmac.new(session_token.encode(), b"csrf", hashlib.sha256).hexdigest()

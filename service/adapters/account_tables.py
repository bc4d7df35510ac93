"""The tables of local accounts, as Alembic migrates them."""

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index, func
from sqlalchemy.orm import Mapped, mapped_column

from service.adapters.tables import Row


class UserRow(Row):
    """A local account. It is never deleted, for the audit trail and signatures name it by its id."""

    __tablename__ = "users"

    user_id: Mapped[str] = mapped_column(primary_key=True)
    login: Mapped[str] = mapped_column(unique=True)
    full_name: Mapped[str]
    role: Mapped[str]
    #: Argon2id, with its parameters and salt.
    password_hash: Mapped[str]
    password_changed_at: Mapped[datetime] = mapped_column(server_default=func.now())
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    last_signed_in_at: Mapped[datetime | None]
    disabled_at: Mapped[datetime | None]

    __table_args__ = (CheckConstraint("role IN ('viewer', 'radiologist', 'administrator')", name="role"),)


class UserSessionRow(Row):
    """A session of an account, and the browser that it was opened in; only hashes are kept."""

    __tablename__ = "user_sessions"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.user_id"))
    session_sha256: Mapped[str] = mapped_column(unique=True)
    browser_sha256: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    last_used_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime]

    __table_args__ = (Index(None, "user_id"),)


class SignInPauseRow(Row):
    """Failed attempts on one login, of which there may be no account, or of one browser on it."""

    __tablename__ = "sign_in_pauses"

    subject_sha256: Mapped[str] = mapped_column(primary_key=True)
    #: In a row; a success removes the row.
    failures: Mapped[int]
    failed_at: Mapped[datetime]
    retry_at: Mapped[datetime]

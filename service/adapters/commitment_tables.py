"""The tables of Storage Commitment: transactions that we opened, and those that peers opened with us."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, UniqueConstraint, func, text
from sqlalchemy.orm import Mapped, mapped_column

from service.adapters.tables import Row


class AskedCommitmentRow(Row):
    """We asked a destination whether it holds what a delivery brought."""

    __tablename__ = "commitments_asked"

    transaction_uid: Mapped[str] = mapped_column(primary_key=True)
    delivery_id: Mapped[int] = mapped_column(ForeignKey("deliveries.id"))
    number: Mapped[int]
    state: Mapped[str] = mapped_column(server_default="asked")
    failure_reason: Mapped[int | None]
    #: False once its delivery was given up: sent again by an operator, it begins to count anew.
    counts: Mapped[bool] = mapped_column(server_default=text("true"))
    asked_at: Mapped[datetime] = mapped_column(server_default=func.now())
    accepted_at: Mapped[datetime | None]
    answered_at: Mapped[datetime | None]

    __table_args__ = (
        UniqueConstraint("delivery_id", "number"),
        CheckConstraint("state IN ('asked', 'unanswered', 'committed', 'failed')", name="state"),
    )


class GivenCommitmentRow(Row):
    """A peer asked us whether we hold instances."""

    __tablename__ = "commitments_given"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    transaction_uid: Mapped[str]
    calling_ae_title: Mapped[str]
    called_ae_title: Mapped[str]
    #: [SOP Class UID, SOP Instance UID] of each.
    instances: Mapped[list[Any]]
    state: Mapped[str] = mapped_column(server_default="accepted")
    #: Of the newest report that the peer has answered.
    failed_count: Mapped[int | None]
    last_error: Mapped[str | None]
    accepted_at: Mapped[datetime] = mapped_column(server_default=func.now())
    reported_at: Mapped[datetime | None]

    __table_args__ = (
        UniqueConstraint("calling_ae_title", "transaction_uid"),
        CheckConstraint("state IN ('accepted', 'reported')", name="state"),
    )

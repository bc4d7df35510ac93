"""Storage Commitment: deliveries that wait for it, transactions of ours and of peers."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

BEFORE = ("pending", "held", "delivered", "refused", "failed", "superseded", "abandoned")


def upgrade() -> None:
    _replace((*BEFORE, "awaiting_commitment"))
    op.create_table(
        "commitments_asked",
        sa.Column("transaction_uid", sa.Text(), nullable=False),
        sa.Column("delivery_id", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), server_default="asked", nullable=False),
        sa.Column("failure_reason", sa.Integer(), nullable=True),
        sa.Column("counts", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("accepted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('asked', 'unanswered', 'committed', 'failed')", name=op.f("ck_commitments_asked_state")
        ),
        sa.ForeignKeyConstraint(["delivery_id"], ["deliveries.id"], name=op.f("fk_commitments_asked_delivery_id_deliveries")),
        sa.PrimaryKeyConstraint("transaction_uid", name=op.f("pk_commitments_asked")),
        sa.UniqueConstraint("delivery_id", "number", name=op.f("uq_commitments_asked_delivery_id_number")),
    )
    op.create_table(
        "commitments_given",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("transaction_uid", sa.Text(), nullable=False),
        sa.Column("calling_ae_title", sa.Text(), nullable=False),
        sa.Column("called_ae_title", sa.Text(), nullable=False),
        sa.Column("instances", JSONB(), nullable=False),
        sa.Column("state", sa.Text(), server_default="accepted", nullable=False),
        sa.Column("failed_count", sa.Integer(), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("accepted_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("reported_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("state IN ('accepted', 'reported')", name=op.f("ck_commitments_given_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_commitments_given")),
        sa.UniqueConstraint(
            "calling_ae_title", "transaction_uid", name=op.f("uq_commitments_given_calling_ae_title_transaction_uid")
        ),
    )


def downgrade() -> None:
    """What was stored counts as delivered, as it did before."""
    op.drop_table("commitments_given")
    op.drop_table("commitments_asked")
    op.execute("UPDATE deliveries SET state = 'delivered' WHERE state = 'awaiting_commitment'")
    _replace(BEFORE)


def _replace(states: tuple[str, ...]) -> None:
    listed = ", ".join(f"'{state}'" for state in states)
    op.drop_constraint(op.f("ck_deliveries_state"), "deliveries", type_="check")
    op.create_check_constraint(op.f("ck_deliveries_state"), "deliveries", f"state IN ({listed})")

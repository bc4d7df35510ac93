"""Which rule selected an analysis; which destinations get a report, and why."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("analyses", sa.Column("rule", sa.Text(), nullable=True))
    op.create_table(
        "delivery_decisions",
        sa.Column("report_id", sa.Text(), nullable=False),
        sa.Column("destination", sa.Text(), nullable=False),
        sa.Column("selected", sa.Boolean(), nullable=False),
        sa.Column("kinds", postgresql.JSONB(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=True),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["report_id"], ["reports.report_id"], name=op.f("fk_delivery_decisions_report_id_reports")),
        sa.PrimaryKeyConstraint("report_id", "destination", name=op.f("pk_delivery_decisions")),
    )


def downgrade() -> None:
    op.drop_table("delivery_decisions")
    op.drop_column("analyses", "rule")

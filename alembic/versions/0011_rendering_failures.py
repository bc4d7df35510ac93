"""Why an object of a report was not made."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "rendering_failures",
        sa.Column("report_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["report_id"], ["reports.report_id"], name=op.f("fk_rendering_failures_report_id_reports")),
        sa.PrimaryKeyConstraint("report_id", "kind", name=op.f("pk_rendering_failures")),
    )


def downgrade() -> None:
    op.drop_table("rendering_failures")

"""Which versions of a report are settled: signed, or withdrawn after that. The newest of them is the official one."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # A default needs no UPDATE, which a trigger refuses; nobody could sign before.
    op.add_column("reports", sa.Column("is_settled", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.create_index(
        "ix_reports_settled", "reports", ["study_instance_uid", "version"], postgresql_where=sa.text("is_settled")
    )


def downgrade() -> None:
    op.drop_index("ix_reports_settled", table_name="reports")
    op.drop_column("reports", "is_settled")

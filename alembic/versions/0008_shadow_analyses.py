"""What models in shadow mode made of instances, beside what is reported and never part of it."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "shadow_analyses",
        sa.Column("instance_id", sa.BigInteger(), nullable=False),
        sa.Column("analysis_name", sa.Text(), nullable=False),
        sa.Column("model_versions", JSONB(), nullable=False),
        sa.Column("analysis_version", sa.Text(), nullable=False),
        sa.Column("findings", JSONB(), nullable=False),
        sa.Column("served_findings", JSONB(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["instance_id"], ["instances.id"], name=op.f("fk_shadow_analyses_instance_id_instances")),
        sa.PrimaryKeyConstraint("instance_id", "analysis_name", "model_versions", name=op.f("pk_shadow_analyses")),
    )


def downgrade() -> None:
    op.drop_table("shadow_analyses")

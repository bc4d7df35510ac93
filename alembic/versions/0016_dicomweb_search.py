"""What DICOMweb searches: attributes of the objects that we made, and the indexes."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

HELD = sa.text("is_current AND NOT is_returned AND removed_at IS NULL")


def upgrade() -> None:
    op.create_table(
        "rendered_attributes",
        sa.Column("sop_instance_uid", sa.Text(), nullable=False),
        sa.Column("study_instance_uid", sa.Text(), nullable=False),
        sa.Column("series_instance_uid", sa.Text(), nullable=False),
        sa.Column("attributes", postgresql.JSONB(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("is_newest", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["sop_instance_uid"],
            ["rendered_objects.sop_instance_uid"],
            name=op.f("fk_rendered_attributes_sop_instance_uid_rendered_objects"),
        ),
        sa.ForeignKeyConstraint(
            ["study_instance_uid"],
            ["studies.study_instance_uid"],
            name=op.f("fk_rendered_attributes_study_instance_uid_studies"),
        ),
        sa.PrimaryKeyConstraint("sop_instance_uid", name=op.f("pk_rendered_attributes")),
    )
    op.create_index(
        "ix_rendered_attributes_held",
        "rendered_attributes",
        ["study_instance_uid", "series_instance_uid", "sop_instance_uid"],
        postgresql_where=sa.text("is_newest"),
    )
    op.create_index(
        "ix_instances_held",
        "instances",
        ["study_instance_uid", "series_instance_uid", "sop_instance_uid"],
        postgresql_where=HELD,
    )
    op.create_index("ix_instances_series_instance_uid", "instances", ["series_instance_uid"])
    op.create_index("ix_rendered_attributes_series_instance_uid", "rendered_attributes", ["series_instance_uid"])
    op.create_index("ix_studies_study_date", "studies", ["study_date"])


def downgrade() -> None:
    op.drop_index("ix_studies_study_date", "studies")
    op.drop_index("ix_rendered_attributes_series_instance_uid", "rendered_attributes")
    op.drop_index("ix_instances_series_instance_uid", "instances")
    op.drop_index("ix_instances_held", "instances")
    op.drop_table("rendered_attributes")

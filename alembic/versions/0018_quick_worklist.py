"""What finds rare studies of the worklist by index: by analysis, by what failed, by status, and those without a date; and what
people did, among the many entries of the audit trail that tell who read what.

An analysis is of the study of its instance, for good; the database notes that itself, so that no writer forgets it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

NOTE_STUDY = """
    CREATE FUNCTION sonomyo_note_study() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        SELECT study_instance_uid INTO NEW.study_instance_uid FROM instances WHERE id = NEW.instance_id;
        RETURN NEW;
    END $$
"""

ACTS = (
    "action IN ('report_amended', 'report_signed', 'report_cancelled', 'identity_acknowledged', 'job_requeued',"
    " 'delivery_requeued', 'delivery_abandoned')"
)


def upgrade() -> None:
    op.execute(NOTE_STUDY)
    op.add_column("analyses", sa.Column("study_instance_uid", sa.Text(), nullable=True))
    op.execute("UPDATE analyses SET study_instance_uid = i.study_instance_uid FROM instances i WHERE i.id = instance_id")
    op.alter_column("analyses", "study_instance_uid", nullable=False)
    op.execute(
        "CREATE TRIGGER analyses_note_study BEFORE INSERT OR UPDATE OF instance_id ON analyses"
        " FOR EACH ROW EXECUTE FUNCTION sonomyo_note_study()"
    )
    op.drop_index("ix_analyses_failed", "analyses")
    op.drop_index("ix_analyses_analysis_name_instance_id", "analyses")
    failed = {"postgresql_where": sa.text("state = 'failed'")}
    op.create_index("ix_analyses_failed", "analyses", ["study_instance_uid", "instance_id"], **failed)
    op.create_index("ix_analyses_of_study", "analyses", ["analysis_name", "study_instance_uid", "instance_id"])
    op.create_index("ix_studies_status", "studies", ["status", "created_at", "study_instance_uid"])
    op.create_index("ix_studies_undated", "studies", ["created_at"], postgresql_where=sa.text("coalesce(study_date, '') = ''"))

    op.create_index("ix_audit_acts", "audit", ["id"], postgresql_where=sa.text(ACTS))


def downgrade() -> None:
    op.drop_index("ix_audit_acts", "audit")
    for name in ("undated", "status"):
        op.drop_index(f"ix_studies_{name}", "studies")
    for name in ("of_study", "failed"):
        op.drop_index(f"ix_analyses_{name}", "analyses")
    op.create_index("ix_analyses_failed", "analyses", ["instance_id"], postgresql_where=sa.text("state = 'failed'"))
    op.create_index("ix_analyses_analysis_name_instance_id", "analyses", ["analysis_name", "instance_id"])
    op.execute("DROP TRIGGER analyses_note_study ON analyses")
    op.drop_column("analyses", "study_instance_uid")
    op.execute("DROP FUNCTION sonomyo_note_study()")

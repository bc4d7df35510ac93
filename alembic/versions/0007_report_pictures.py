"""The pictures of a report version, kept with it: a later analysis replaces its own."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "report_pictures",
        sa.Column("report_id", sa.Text(), nullable=False),
        sa.Column("sop_instance_uid", sa.Text(), nullable=False),
        sa.Column("analysis_name", sa.Text(), nullable=False),
        sa.Column("picture", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["report_id"], ["reports.report_id"], name=op.f("fk_report_pictures_report_id_reports")),
        sa.PrimaryKeyConstraint("report_id", "sop_instance_uid", "analysis_name", name=op.f("pk_report_pictures")),
    )
    # Only the newest version of a study that has not changed since is known to rest on the pictures that are there.
    op.execute(
        """
        INSERT INTO report_pictures (report_id, sop_instance_uid, analysis_name, picture)
        SELECT DISTINCT ON (r.report_id, i.sop_instance_uid, a.analysis_name)
            r.report_id, i.sop_instance_uid, a.analysis_name, a.picture
        FROM reports r
        JOIN studies s ON s.study_instance_uid = r.study_instance_uid AND NOT s.is_stale
        JOIN instances i ON i.study_instance_uid = s.study_instance_uid AND i.is_current AND NOT i.is_returned
        JOIN analyses a ON a.instance_id = i.id AND a.picture IS NOT NULL
        WHERE r.version = (SELECT max(n.version) FROM reports n WHERE n.study_instance_uid = r.study_instance_uid)
        """
    )
    op.execute(
        "CREATE TRIGGER report_pictures_are_immutable BEFORE UPDATE OR DELETE ON report_pictures "
        "FOR EACH ROW EXECUTE FUNCTION sonomyo_refuse_change()"
    )


def downgrade() -> None:
    op.drop_table("report_pictures")

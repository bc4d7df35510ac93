"""Indexes by which the interface finds jobs: those of a study, an instance or a report, and those that are not done.

They lie on procrastinate's table, so autogenerate does not know of them.
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

#: Each job names one of these, and each index holds only the jobs that name it.
ARGUMENTS = {
    "study": "(args->>'study_instance_uid')",
    "instance": "((args->>'instance_id')::bigint)",
    "report": "(args->>'report_id')",
}


def upgrade() -> None:
    for name, expression in ARGUMENTS.items():
        op.execute(f"CREATE INDEX ix_procrastinate_jobs_{name} ON procrastinate_jobs ({expression}) WHERE {expression} IS NOT NULL")
    op.execute("CREATE INDEX ix_procrastinate_jobs_not_done ON procrastinate_jobs (status, id) WHERE status <> 'succeeded'")


def downgrade() -> None:
    for name in (*ARGUMENTS, "not_done"):
        op.execute(f"DROP INDEX ix_procrastinate_jobs_{name}")

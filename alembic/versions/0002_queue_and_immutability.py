"""The queue's schema, and the triggers that keep reports and the audit trail immutable.

The schema comes from the pinned procrastinate package, not from a copy. It is that of PROCRASTINATE: a newer package
ships its own migrations, which a new revision here must apply.
"""

import importlib.metadata

from alembic import op
from procrastinate.schema import SchemaManager

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

PROCRASTINATE = "3.10.0"
IMMUTABLE = ("reports", "rendered_objects", "audit")


def upgrade() -> None:
    installed = importlib.metadata.version("procrastinate")
    if installed != PROCRASTINATE:
        raise RuntimeError(f"Revision 0002 applies the queue's schema of procrastinate {PROCRASTINATE}; {installed} is installed.")
    _execute(SchemaManager.get_schema())
    _execute(
        """
        CREATE FUNCTION sonomyo_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION 'rows of % are immutable', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
        END;
        $$
        """
    )
    for table in IMMUTABLE:
        _execute(
            f"CREATE TRIGGER {table}_are_immutable BEFORE UPDATE OR DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION sonomyo_refuse_change()"
        )


def downgrade() -> None:
    raise NotImplementedError("There is no way back from 0002: restore a backup.")


def _execute(statements: str) -> None:
    # Past SQLAlchemy, for the schema holds % and : that are not parameters.
    op.get_bind().connection.driver_connection.execute(statements)

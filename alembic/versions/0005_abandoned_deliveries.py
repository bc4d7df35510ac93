"""A delivery that an operator gave up."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

BEFORE = ("pending", "held", "delivered", "refused", "failed", "superseded")


def upgrade() -> None:
    _replace((*BEFORE, "abandoned"))


def downgrade() -> None:
    """What was given up counts as failed, as it did before."""
    op.execute("UPDATE deliveries SET state = 'failed' WHERE state = 'abandoned'")
    _replace(BEFORE)


def _replace(states: tuple[str, ...]) -> None:
    listed = ", ".join(f"'{state}'" for state in states)
    op.drop_constraint(op.f("ck_deliveries_state"), "deliveries", type_="check")
    op.create_check_constraint(op.f("ck_deliveries_state"), "deliveries", f"state IN ({listed})")

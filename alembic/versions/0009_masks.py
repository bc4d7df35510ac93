"""What the network drew in each frame of an instance, for segmentations."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("analyses", sa.Column("masks", sa.LargeBinary(), nullable=True))


def downgrade() -> None:
    op.drop_column("analyses", "masks")

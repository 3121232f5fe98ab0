"""Halts: nothing is changed, anywhere or in one place, until somebody ends them."""

import sqlalchemy as sa
from alembic import op

revision = "0073"
down_revision = "0072"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "halt",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("place", sa.String(200)),
        sa.Column("since", sa.Float, nullable=False),
        sa.Column("by", sa.String(200), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("ended", sa.Float),
        sa.Column("ended_by", sa.String(200)),
    )
    op.create_index("ix_halt_ended", "halt", ["ended"])

"""The few counts that persons or proofs have judged are found without reading all others of their runbook."""

import sqlalchemy as sa
from alembic import op

revision = "0071"
down_revision = "0070"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the index."""
    judged = sa.text('"right" + "wrong" <> 0')
    op.create_index(
        "ix_experience_judged", "experience", ["runbook", "finding"], sqlite_where=judged, postgresql_where=judged
    )

"""Which runbook and finding named a job's cause, for statistics of some places."""

import sqlalchemy as sa
from alembic import op

revision = "0070"
down_revision = "0060"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add them; jobs that ended before have none."""
    op.add_column("job", sa.Column("runbook", sa.String(80)))
    op.add_column("job", sa.Column("finding", sa.String(80)))

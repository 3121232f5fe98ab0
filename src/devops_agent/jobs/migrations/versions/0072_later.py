"""SQLite indexes the words of jobs many at once, some time after they came.

Processes of the version before go on meanwhile; what they add is indexed by those of this one.
"""

from alembic import op

from devops_agent.jobs.migrations import words

revision = "0072"
down_revision = "0071"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change who fills the index."""
    connection = op.get_bind()
    if connection.dialect.name == "sqlite":
        words.index_later(connection)

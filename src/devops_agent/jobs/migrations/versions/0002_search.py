"""Words by which jobs are found, and indexes for lists by cause and outcome."""

from __future__ import annotations

import json
import re
from typing import Any

import sqlalchemy as sa
from alembic import op

from devops_agent.jobs.migrations import words

revision = "0002"
down_revision = "0001"
PIECE = 1000


def upgrade() -> None:
    """Add them; jobs that there are become findable by title, cause and place."""
    op.create_index("ix_job_status", "job", ["status", "created"])
    op.create_index("ix_job_cause", "job", ["cause", "created"])
    op.create_index("ix_job_outcome", "job", ["outcome", "created"])
    op.create_index("ix_job_finished", "job", ["finished"])
    search = op.create_table(
        "search",
        sa.Column("number", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("job", sa.String(80), nullable=False),
        sa.Column("created", sa.Float(), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_search"),
        sa.UniqueConstraint("job", name="uq_search_job"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_search_created", "search", ["created"])
    connection = op.get_bind()
    names = ("id", "created", "title", "cause", "incident", "status", "outcome")
    job = sa.table("job", *(sa.column(name) for name in names))
    last: tuple[float, str] = (-1.0, "")
    while True:
        later = sa.or_(job.c.created > last[0], sa.and_(job.c.created == last[0], job.c.id > last[1]))
        rows = connection.execute(sa.select(job).where(later).order_by(job.c.created, job.c.id).limit(PIECE)).all()
        if not rows:
            break
        connection.execute(search.insert(), [_note(row) for row in rows])
        last = (rows[-1].created, rows[-1].id)
    words.index(connection)


def _note(row: Any) -> dict[str, Any]:
    incident = json.loads(row.incident)
    ended = row.status in ("done", "error")
    exact = {
        "status": row.status if ended else "open",
        "cause": row.cause,
        "outcome": row.outcome,
        "place": incident.get("place"),
    }
    labels = incident.get("labels") or {}
    spoken = " ".join(filter(None, (row.id, row.title, row.cause, incident.get("place"), *labels.values())))
    found = dict.fromkeys(word[:40] for word in re.findall(r"\w+", spoken.lower())[:100])
    marks = [words.mark(name, value) for name, value in exact.items() if value]
    marks += [words.mark("label", f"{name}={value}") for name, value in labels.items()]
    return {"job": row.id, "created": row.created, "words": " ".join([*found, *marks])}

"""The tables as they were before revisions were counted.

A database that was made then, by any version since the first, is taken over: what it lacks is added.
"""

from __future__ import annotations

from alembic import op
from sqlalchemy import Column, Float, Index, Integer, MetaData, String, Table, Text, UniqueConstraint, inspect

revision = "0001"
down_revision = None

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Table(
    "batch",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("created", Float, nullable=False),
    Column("requester", String(200), nullable=False),
    Column("size", Integer, nullable=False),
)

Table(
    "job",
    metadata,
    Column("id", String(80), primary_key=True),
    Column("batch", String(64), nullable=False),
    Column("number", Integer, nullable=False),
    Column("status", String(16), nullable=False),
    Column("waiting", String(40)),
    Column("due", Float, nullable=False),
    Column("created", Float, nullable=False),
    Column("started", Float),
    Column("finished", Float),
    Column("title", String(200), nullable=False),
    Column("incident", Text, nullable=False),
    Column("options", Text, nullable=False),
    Column("cause", String(80)),
    Column("outcome", String(20)),
    Column("fingerprint", String(200)),
    Column("joined", String(80)),
    Column("repeats", Integer),
    Column("repeated", Float),
    Column("progress", Integer, nullable=False),
    Column("error", Text),
    Column("owner", String(200)),
    Column("lease", Float),
    Column("fence", Integer, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("version", Integer, nullable=False),
    Index("ix_job_queue", "status", "due"),
    Index("ix_job_batch", "batch", "number"),
    Index("ix_job_created", "created"),
    Index("ix_job_fingerprint", "fingerprint"),
)

Table(
    "journal",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("job", String(80), nullable=False),
    Column("key", Text, nullable=False),
    Column("value", Text, nullable=False),
    Column("at", Float, nullable=False),
    UniqueConstraint("job", "key", name="uq_journal_job_key"),
)

Table(
    "audit",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("at", Float, nullable=False),
    Column("job", String(80), nullable=False),
    Column("event", String(40), nullable=False),
    Column("actor", String(200), nullable=False),
    Column("data", Text, nullable=False),
    Column("before", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
    Index("ix_audit_job", "job"),
)

Table(
    "host_lock",
    metadata,
    Column("host", String(300), primary_key=True),
    Column("job", String(80), nullable=False),
    Column("at", Float, nullable=False),
)

Table(
    "repair",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("at", Float, nullable=False),
    Column("job", String(80), nullable=False),
    Column("host", String(300), nullable=False),
    Column("cause", String(80), nullable=False),
    Column("helped", Integer, nullable=False),
    Index("ix_repair_host", "host", "at"),
)

Table(
    "experience",
    metadata,
    Column("runbook", String(80), primary_key=True),
    Column("finding", String(80), primary_key=True),
    Column("fingerprint", String(200), primary_key=True),
    Column("cause", String(80), primary_key=True),
    Column("title", String(200), nullable=False),
    Column("fired", Integer, nullable=False),
    Column("confirmed", Integer, nullable=False),
    Column("corrected", Integer, nullable=False),
    Column("acted", Integer, nullable=False),
    Column("resolved", Integer, nullable=False),
    Column("alone", Integer, nullable=False),
    Column("right", Integer, nullable=False),
    Column("wrong", Integer, nullable=False),
    Column("last", Float, nullable=False),
    Index("ix_experience_fingerprint", "fingerprint"),
)

Table(
    "verdict",
    metadata,
    Column("job", String(80), primary_key=True),
    Column("cause", String(80), nullable=False),
    Column("by", String(200), nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", Float, nullable=False),
    Column("key", Text, nullable=False),
    Column("confirmed", Integer, nullable=False),
    Column("proved", Integer, nullable=False),
)


def upgrade() -> None:
    """Make the tables; where some are there, add the columns and indexes that they lack."""
    connection = op.get_bind()
    metadata.create_all(connection)
    there = inspect(connection)
    for table in metadata.sorted_tables:
        columns = {each["name"] for each in there.get_columns(table.name)}
        for column in table.columns:
            if column.name not in columns:
                op.add_column(table.name, Column(column.name, column.type))
        indexes = {each["name"] for each in there.get_indexes(table.name)}
        for index in table.indexes:
            if index.name not in indexes:
                index.create(connection)

"""The database: tables, and an engine that is safe for several processes on one SQLite file.

SQLite needs WAL, a busy time-out, and transactions that begin with IMMEDIATE: deferred ones fail when two writers meet.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    create_engine,
    event,
)
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from devops_agent.errors import ConfigError
from devops_agent.jobs import migrations

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

batches = Table(
    "batch",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("created", Float, nullable=False),
    Column("requester", String(200), nullable=False),
    Column("size", Integer, nullable=False),
)

jobs = Table(
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
    Column("place", String(200)),
    Index("ix_job_place", "place", "created"),
    Index("ix_job_queue", "status", "due"),
    Index("ix_job_batch", "batch", "number"),
    Index("ix_job_created", "created"),
    Index("ix_job_fingerprint", "fingerprint"),
)

journal = Table(
    "journal",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("job", String(80), nullable=False),
    Column("key", Text, nullable=False),
    Column("value", Text, nullable=False),
    Column("at", Float, nullable=False),
    UniqueConstraint("job", "key", name="uq_journal_job_key"),
)

audit = Table(
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

host_locks = Table(
    "host_lock",
    metadata,
    Column("host", String(300), primary_key=True),
    Column("job", String(80), nullable=False),
    Column("at", Float, nullable=False),
)

repairs = Table(
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

experience = Table(
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

verdicts = Table(
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

events = Table(
    "event",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("job", String(80), nullable=False),
    Column("kind", String(40), nullable=False),
    Column("data", Text, nullable=False),
    Column("at", Float, nullable=False),
    Index("ix_event_job", "job", "id"),
    sqlite_autoincrement=True,  # numbers are not given twice, whatever was forgotten
)

api_keys = Table(
    "api_key",
    metadata,
    Column("id", String(20), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("role", String(20), nullable=False),
    Column("places", Text, nullable=False),
    Column("hash", String(64), nullable=False),
    Column("created", Float, nullable=False),
    Column("created_by", String(200), nullable=False),
    Column("expires", Float),
    Column("revoked", Float),
    Column("used", Float),
    Column("replaces", String(20)),
)

replies = Table(
    "reply",
    metadata,
    Column("caller", String(200), primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("request", String(64), nullable=False),
    Column("status", Integer),
    Column("answer", Text),
    Column("at", Float, nullable=False),
    Index("ix_reply_at", "at"),
)


def open_engine(url: str) -> Engine:
    """An engine whose database has all tables, as this version of the code wants them.

    Raises ConfigError where the URL is wrong, its driver is missing, or the database cannot be used or is newer.
    """
    engine = make_engine(url)
    try:
        migrations.bring_up(engine, metadata)
    except DBAPIError as error:
        shown = make_url(url).render_as_string(hide_password=True)
        raise ConfigError(f"DEVOPS_AGENT_DATABASE_URL: {shown} cannot be used: {error.orig}") from None
    return engine


def make_engine(url: str) -> Engine:
    """An engine, whatever its database holds; the folder of a SQLite file is created, readable by its owner only.

    Raises ConfigError where the URL is wrong or its driver is missing.
    """
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite":
            return _sqlite(url, parsed.database)
        if parsed.drivername in ("postgres", "postgresql"):
            parsed = parsed.set(drivername="postgresql+psycopg")
        return create_engine(parsed, pool_pre_ping=True)
    except ModuleNotFoundError as error:
        more = "; pip install 'devops-agent[postgres]'" if error.name == "psycopg" else ""
        raise ConfigError(f"DEVOPS_AGENT_DATABASE_URL: its driver is not installed ({error.name}){more}") from None
    except ArgumentError as error:
        raise ConfigError(f"DEVOPS_AGENT_DATABASE_URL: {error}") from None


def reading(engine: Engine) -> Connection:
    """A connection whose transaction takes no write lock."""
    return engine.execution_options(sqlite_begin="DEFERRED").connect()


def _sqlite(url: str, file: str | None) -> Engine:
    if file and file != ":memory:":
        Path(file).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with suppress(OSError):  # SQLite says it better where the file cannot be made
            os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))
    engine = create_engine(url, connect_args={"timeout": 30, "isolation_level": None})

    @event.listens_for(engine, "connect")
    def _connected(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA busy_timeout=30000")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("PRAGMA foreign_keys=ON")

    @event.listens_for(engine, "begin")
    def _begun(connection: Any) -> None:
        mode = connection.get_execution_options().get("sqlite_begin", "IMMEDIATE")
        connection.exec_driver_sql(f"BEGIN {mode}")

    return engine

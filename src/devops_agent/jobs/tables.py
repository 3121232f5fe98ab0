"""The tables of the database. Whoever adds to them adds a revision in `migrations/versions/` that does the same."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    event,
    text,
)
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from devops_agent.errors import ConfigError
from devops_agent.jobs import migrations
from devops_agent.jobs.database import make_engine as make_engine
from devops_agent.jobs.database import reading as reading
from devops_agent.jobs.migrations.words import index

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
    Column("runbook", String(80)),
    Column("finding", String(80)),
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
    Column("machine", String(200)),
    Index("ix_job_place", "place", "created"),
    Index("ix_job_queue", "status", "due"),
    Index("ix_job_batch", "batch", "number"),
    Index("ix_job_created", "created"),
    Index("ix_job_fingerprint", "fingerprint"),
    Index("ix_job_status", "status", "created"),
    Index("ix_job_cause", "cause", "created"),
    Index("ix_job_outcome", "outcome", "created"),
    Index("ix_job_finished", "finished"),
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

workers = Table(
    "worker",
    metadata,
    Column("owner", String(200), primary_key=True),
    Column("machine", String(200), nullable=False),
    Column("labels", Text, nullable=False),
    Column("places", Text, nullable=False),
    Column("version", String(40), nullable=False),
    Column("started", Float, nullable=False),
    Column("seen", Float, nullable=False),
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

JUDGED = text('"right" + "wrong" <> 0')
"""Of `experience`: what a person or a proof has judged, which are few. Said so in queries too, its index is used."""

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
    Index("ix_experience_judged", "runbook", "finding", sqlite_where=JUDGED, postgresql_where=JUDGED),
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

deliveries = Table(
    "hook_delivery",
    metadata,
    Column("hook", String(64), primary_key=True),
    Column("identity", String(64), primary_key=True),
    Column("at", Float, nullable=False),
    Column("event", String(80), nullable=False),
    Column("signals", Integer, nullable=False),
    Index("ix_hook_delivery_at", "at"),
)

inbox = Table(
    "hook_inbox",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("hook", String(64), nullable=False),
    Column("signal", Text, nullable=False),
    Column("at", Float, nullable=False),
    Column("due", Float, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("owner", String(200)),
    Column("lease", Float),
    Column("problem", Text),
    Index("ix_hook_inbox_due", "due"),
)

alerts = Table(
    "alert",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("hook", String(64), nullable=False),
    Column("series", String(64)),
    Column("state", String(16), nullable=False),
    Column("began", Float),
    Column("ended", Float),
    Column("job", String(80)),
    Column("count", Integer, nullable=False),
    Column("seen", Float, nullable=False),
    Column("closing", Integer, nullable=False),
    Column("words", Text, nullable=False),
    Index("ix_alert_series", "series"),
    Index("ix_alert_closing", "closing"),
    Index("ix_alert_job", "job"),
)

notices = Table(
    "notice",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("target", String(64), nullable=False),
    Column("job", String(80), nullable=False),
    Column("event", String(40), nullable=False),
    Column("about", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    Column("due", Float, nullable=False),
    Column("created", Float, nullable=False),
    Column("ended", Float),
    Column("tries", Integer, nullable=False),
    Column("owner", String(200)),
    Column("lease", Float),
    Column("problem", Text),
    UniqueConstraint("target", "job", "event", "about", name="uq_notice_once"),
    Index("ix_notice_due", "state", "due"),
)

comments = Table(
    "comment",
    metadata,
    Column("target", String(64), primary_key=True),
    Column("thread", String(64), primary_key=True),
    Column("job", String(80), nullable=False),
    Column("external", String(200)),
    Column("at", Float, nullable=False),
)

cursors = Table(
    "cursor",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("last", Integer, nullable=False),
)

links = Table(
    "link",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("job", String(80), nullable=False),
    Column("fingerprint", String(64), nullable=False),
    Column("person", String(200), nullable=False),
    Column("target", String(64), nullable=False),
    Column("made", Float, nullable=False),
    Column("expires", Float, nullable=False),
    Column("seal", String(64), nullable=False),
    Column("used", Float),
    Column("decision", String(16)),
    Index("ix_link_job", "job", "fingerprint"),
    Index("ix_link_expires", "expires"),
)


searched = Table(
    "search",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("job", String(80), nullable=False, unique=True),
    Column("created", Float, nullable=False),
    Column("words", Text, nullable=False),
    Index("ix_search_created", "created"),
    sqlite_autoincrement=True,
)


log_pieces = Table(
    "log_piece",
    metadata,
    Column("job", String(80), primary_key=True),
    Column("field", String(20), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("data", LargeBinary, nullable=False),
)


@event.listens_for(searched, "after_create")
def _index_words(_table: Table, connection: Connection, **_more: Any) -> None:
    index(connection)


spendings = Table(
    "spending",
    metadata,
    Column("day", String(10), primary_key=True),
    Column("account", String(200), primary_key=True),
    Column("calls", Integer, nullable=False),
    Column("tokens", Integer, nullable=False),
    Column("dollars", Float, nullable=False),
)

taken = Table(
    "taken",
    metadata,
    Column("job", String(80), primary_key=True),
    Column("by", String(200), nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", Float, nullable=False),
    Column("closed", Float),
)

halts = Table(
    "halt",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("place", String(200)),
    Column("since", Float, nullable=False),
    Column("by", String(200), nullable=False),
    Column("reason", Text, nullable=False),
    Column("ended", Float, index=True),
    Column("ended_by", String(200)),
)


def open_engine(url: str, setting: str = "DEVOPS_AGENT_DATABASE_URL") -> Engine:
    """An engine whose database has all tables, as this version of the code wants them.

    Raises ConfigError, which names the setting, where the URL is wrong, its driver is missing, or the database cannot
    be used or is newer.
    """
    engine = make_engine(url)
    try:
        migrations.bring_up(engine, metadata)
    except DBAPIError as error:
        shown = make_url(url).render_as_string(hide_password=True)
        raise ConfigError(f"{setting}: {shown} cannot be used: {error.orig}") from None
    return engine

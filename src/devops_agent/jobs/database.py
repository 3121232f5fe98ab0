"""Connections to the database: engines that are safe for several processes on one SQLite file, or one Postgres.

SQLite needs WAL, a busy time-out, and transactions that begin with IMMEDIATE: deferred ones fail when two writers meet.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from devops_agent.errors import ConfigError


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

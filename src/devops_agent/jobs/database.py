"""Connections to the database: engines that are safe for several processes on one SQLite file, or one Postgres.

SQLite needs WAL, a busy time-out, and transactions that begin with IMMEDIATE: deferred ones fail when two writers meet.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError, SQLAlchemyError, TimeoutError

from devops_agent.errors import ConfigError

log = logging.getLogger("devops_agent.database")
BUSY_SECONDS = 30
"""How long a transaction of SQLite waits for another one that writes."""
PATIENCE_SECONDS = 30.0
"""How long a write that must not be lost is tried again."""
_ALONE = text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))")
_REACHED = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,
}
"""When a Postgres that is gone without a word is given up: seconds while we wait for it, and (the last) milliseconds
while what we have sent is not acknowledged, for which nobody sends keepalives (tcp(7))."""
IDLE_SECONDS = 15
"""How long Postgres lets a transaction of ours stand still: one whose machine froze or vanished in the middle of it
would hold its locks, and with them everybody, until the operating system gives its connection up (after two hours)."""


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
        made = create_engine(parsed, pool_pre_ping=True, pool_size=10, max_overflow=30, connect_args=_REACHED)
        return _postgres(made)
    except ModuleNotFoundError as error:
        more = "; pip install 'devops-agent[postgres]'" if error.name == "psycopg" else ""
        raise ConfigError(f"DEVOPS_AGENT_DATABASE_URL: its driver is not installed ({error.name}){more}") from None
    except ArgumentError as error:
        raise ConfigError(f"DEVOPS_AGENT_DATABASE_URL: {error}") from None


def reading(engine: Engine) -> Connection:
    """A connection whose transaction takes no write lock."""
    return engine.execution_options(sqlite_begin="DEFERRED").connect()


@contextmanager
def hurried(engine: Engine, seconds: float) -> Iterator[Connection]:
    """A transaction that gives up soon where another one is writing (SQLite). Raises OperationalError then."""
    with engine.connect() as connection:
        driver: Any = connection.connection.driver_connection
        driver.execute(f"PRAGMA busy_timeout={round(seconds * 1000)}")
        try:
            with connection.begin():
                yield connection
        finally:
            driver.execute(f"PRAGMA busy_timeout={BUSY_SECONDS * 1000}")


def alone(connection: Connection, name: str) -> None:
    """From here to the end of this transaction nobody else is past the same line with the same name.

    On SQLite that holds anyway: writers come one after the other.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(_ALONE, {"name": name})


def directly(driver: Any, on: Connection | Engine, text: str, given: Any = (), many: bool = False) -> Any:
    """Run a statement by SQLite's driver itself, which takes a fraction of the time; its errors are SQLAlchemy's."""
    try:
        return driver.executemany(text, given) if many else driver.execute(text, given)
    except driver.Error as failure:
        raise DBAPIError.instance(text, given, failure, driver.Error, dialect=on.dialect) from failure


def passing(error: BaseException) -> bool:
    """Whether an error says that the database cannot be used right now: gone, full, locked. Trying again may help."""
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    return isinstance(error, (OperationalError, InterfaceError, TimeoutError))


def patiently(work: Callable[[], None], seconds: float = PATIENCE_SECONDS) -> None:
    """Do it, again and again for a while where the database cannot be used. It must be harmless to do it twice: that
    the answer to a commit did not come does not mean that it was not made."""
    end = time.monotonic() + seconds
    while True:
        try:
            return work()
        except SQLAlchemyError as failure:
            if not passing(failure) or time.monotonic() > end:
                raise
            log.warning("the database cannot be used, trying again: %s", str(failure).splitlines()[0])
            time.sleep(0.5)


def _postgres(engine: Engine) -> Engine:
    @event.listens_for(engine, "connect")
    def _connected(connection: Any, _record: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"SET idle_in_transaction_session_timeout = '{IDLE_SECONDS}s'")
        connection.commit()

    return engine


def _sqlite(url: str, file: str | None) -> Engine:
    if file and file != ":memory:":
        Path(file).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with suppress(OSError):  # SQLite says it better where the file cannot be made
            os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))
    engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS, "isolation_level": None})

    @event.listens_for(engine, "connect")
    def _connected(connection: Any, _record: Any) -> None:
        connection.execute(f"PRAGMA busy_timeout={BUSY_SECONDS * 1000}")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("PRAGMA foreign_keys=ON")

    @event.listens_for(engine, "begin")
    def _begun(connection: Any) -> None:
        mode = connection.get_execution_options().get("sqlite_begin", "IMMEDIATE")
        directly(connection.connection.driver_connection, connection, f"BEGIN {mode}")

    return engine

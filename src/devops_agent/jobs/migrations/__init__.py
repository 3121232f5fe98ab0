"""Brings a database to the tables that this version of the code works with, keeping what is in it.

Alembic is loaded only where something has to change: whether it has is seen from the version table and the names in
the revision files. Of several processes that start at once one changes the database, in one transaction, and the others
wait. Revisions only add (tables, columns that may be empty, indexes), so that processes of the version before go on
meanwhile.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from sqlalchemy import Connection, Engine, MetaData, inspect, text

from devops_agent.errors import ConfigError
from devops_agent.jobs.database import BUSY_SECONDS

FOLDER = Path(__file__).parent
TABLE = "alembic_version"
WAIT_SECONDS = 900
"""How long a process waits for another one that changes the database."""
_LOCK = 0x6465766F70733031
_NAMED = re.compile(r"^(revision|down_revision)\b[^=\n]*=\s*(.+)$", re.MULTILINE)
_QUOTED = re.compile(r'"([^"]+)"')


def bring_up(engine: Engine, metadata: MetaData) -> None:
    """Make or change the tables where that is needed. Raises ConfigError where the database is newer than the code."""
    with engine.execution_options(sqlite_begin="DEFERRED").connect() as connection:
        if found(connection) == heads():
            return
    with engine.connect() as connection:
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql(f"PRAGMA busy_timeout={WAIT_SECONDS * 1000}")
            connection.commit()
        with connection.begin():
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            _change(connection, metadata)
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql(f"PRAGMA busy_timeout={BUSY_SECONDS * 1000}")
            connection.commit()


def found(connection: Connection) -> frozenset[str]:
    """The revisions that the database says it has; none where it says nothing."""
    if not inspect(connection).has_table(TABLE):
        return frozenset()
    return frozenset(connection.execute(text(f"SELECT version_num FROM {TABLE}")).scalars())  # noqa: S608


@lru_cache
def heads() -> frozenset[str]:
    """The revisions that no other one follows: what a database of this version has."""
    known = _revisions()
    return frozenset(known) - {each for follows in known.values() for each in follows}


def check(names: frozenset[str]) -> None:
    """Raises ConfigError where a database has revisions that this code does not know."""
    if strange := names - set(_revisions()):
        raise ConfigError(
            f"DEVOPS_AGENT_DATABASE_URL: the database was changed by a newer version of devops_agent (revision "
            f"{', '.join(sorted(strange))}); install that version, or restore a back-up made before it"
        )


@lru_cache
def _revisions() -> dict[str, tuple[str, ...]]:
    """Every revision, and what it follows, read from the files without running them."""
    known = {}
    for file in sorted((FOLDER / "versions").glob("[0-9]*.py")):
        says = {name: tuple(_QUOTED.findall(value)) for name, value in _NAMED.findall(file.read_text(encoding="utf-8"))}
        known[says["revision"][0]] = says["down_revision"]
    return known


def make_at(connection: Connection, revisions: list[str], metadata: MetaData) -> None:
    """In an empty database: the tables as they were at these revisions, to be filled with what was kept then."""
    check(frozenset(revisions))
    if frozenset(revisions) == heads():
        metadata.create_all(connection)
        _stamp(connection)
    else:
        _upgrade(connection, revisions)


def _change(connection: Connection, metadata: MetaData) -> None:
    now = found(connection)
    check(now)
    if now == heads():
        return  # another process did it while this one waited
    if not now and not inspect(connection).has_table("job"):
        metadata.create_all(connection)
        _stamp(connection)
    else:
        _upgrade(connection)


def _stamp(connection: Connection) -> None:
    """Write the version table as Alembic would."""
    connection.execute(
        text(
            f"CREATE TABLE {TABLE} (version_num VARCHAR(32) NOT NULL, CONSTRAINT {TABLE}_pkc PRIMARY KEY (version_num))"
        )
    )
    rows = [{"name": name} for name in sorted(heads())]
    connection.execute(text(f"INSERT INTO {TABLE} (version_num) VALUES (:name)"), rows)  # noqa: S608


def _upgrade(connection: Connection, revisions: Sequence[str] = ("heads",)) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.attributes["connection"] = connection
    for each in revisions:
        command.upgrade(config, each)

"""The index over the words of `search`: what SQLAlchemy cannot say in a table, and words that stand for values.

Rows that there are depend on both: who changes them adds a revision that writes the rows anew.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

from sqlalchemy import Connection, text

_SQLITE = (
    "CREATE VIRTUAL TABLE search_words USING fts5(words, content='search', content_rowid='number', detail='none', "
    "columnsize=0, prefix='3', tokenize=\"unicode61 remove_diacritics 0 tokenchars '_'\")"
)
_LATER = (
    "CREATE TABLE IF NOT EXISTS search_indexed (last INTEGER NOT NULL)",
    "INSERT INTO search_indexed (last) SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM search_indexed)",
    "DROP TRIGGER IF EXISTS search_in",
    "DROP TRIGGER IF EXISTS search_out",
    "DROP TRIGGER IF EXISTS search_changed",
    "CREATE TRIGGER search_out AFTER DELETE ON search WHEN old.number <= (SELECT last FROM search_indexed) BEGIN "
    "INSERT INTO search_words (search_words, rowid, words) VALUES ('delete', old.number, old.words); END",
    "CREATE TRIGGER search_changed AFTER UPDATE OF words ON search "
    "WHEN old.number <= (SELECT last FROM search_indexed) BEGIN "
    "INSERT INTO search_words (search_words, rowid, words) VALUES ('delete', old.number, old.words); "
    "INSERT INTO search_words (rowid, words) VALUES (new.number, new.words); END",
)
_POSTGRES = (
    "ALTER TABLE search ADD COLUMN vector tsvector "
    "GENERATED ALWAYS AS (array_to_tsvector(string_to_array(words, ' '))) STORED",
    "ALTER TABLE search ALTER COLUMN vector SET STATISTICS 1000",  # to know rare words, which the index is for
    "CREATE INDEX ix_search_vector ON search USING gin (vector)",
)


def index(connection: Connection) -> None:
    """Make the index over an empty or a filled table."""
    if connection.dialect.name == "sqlite":
        connection.execute(text(_SQLITE))
        index_later(connection)
        return
    for statement in _POSTGRES:
        connection.execute(text(statement))


def index_later(connection: Connection) -> None:
    """SQLite: have rows indexed many at once, some time after they came (`catch_up`): one by one costs several times as
    much, and most rows change once more soon. `search_indexed` says up to which number that was done."""
    for statement in _LATER:
        connection.execute(text(statement))
    rebuild(connection)


def rebuild(connection: Connection) -> None:
    """SQLite: index everything anew."""
    connection.execute(text("INSERT INTO search_words (search_words) VALUES ('rebuild')"))
    connection.execute(text("UPDATE search_indexed SET last = coalesce((SELECT max(number) FROM search), 0)"))


def behind(connection: Connection) -> bool:
    """SQLite: whether there are rows that were not indexed yet."""
    newest = "SELECT coalesce(max(number), 0) > (SELECT last FROM search_indexed) FROM search"
    return bool(connection.execute(text(newest)).scalar())


def catch_up(connection: Connection, most: int) -> None:
    """SQLite: index so many of the rows that were not indexed yet, within the caller's transaction."""
    last = connection.execute(text("SELECT last FROM search_indexed")).scalar()
    reach = "SELECT max(number) FROM (SELECT number FROM search WHERE number > :last ORDER BY number LIMIT :most)"
    upto = connection.execute(text(reach), {"last": last, "most": most}).scalar()
    if upto is not None:
        span = {"last": last, "upto": upto}
        rows = "SELECT number, words FROM search WHERE number > :last AND number <= :upto"
        connection.execute(text(f"INSERT INTO search_words (rowid, words) {rows}"), span)
        connection.execute(text("UPDATE search_indexed SET last = :upto"), span)


@lru_cache(1024)
def mark(name: str, value: str) -> str:
    """A word that stands for an exact value; nobody would type it."""
    return f"z{name[0]}" + hashlib.blake2b(f"{name}:{value}".encode("utf-8", "replace"), digest_size=7).hexdigest()

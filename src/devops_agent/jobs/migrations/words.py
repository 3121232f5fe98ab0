"""The index over the words of `search`: what SQLAlchemy cannot say in a table, and words that stand for values.

Rows that there are depend on both: who changes them adds a revision that writes the rows anew.
"""

from __future__ import annotations

import hashlib

from sqlalchemy import Connection, text

_SQLITE = (
    "CREATE VIRTUAL TABLE search_words USING fts5(words, content='search', content_rowid='number', detail='none', "
    "columnsize=0, prefix='3', tokenize=\"unicode61 remove_diacritics 0 tokenchars '_'\")",
    "CREATE TRIGGER search_in AFTER INSERT ON search BEGIN "
    "INSERT INTO search_words (rowid, words) VALUES (new.number, new.words); END",
    "CREATE TRIGGER search_out AFTER DELETE ON search BEGIN "
    "INSERT INTO search_words (search_words, rowid, words) VALUES ('delete', old.number, old.words); END",
    "CREATE TRIGGER search_changed AFTER UPDATE OF words ON search BEGIN "
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
    sqlite = connection.dialect.name == "sqlite"
    for statement in _SQLITE if sqlite else _POSTGRES:
        connection.execute(text(statement))
    if sqlite:
        connection.execute(text("INSERT INTO search_words (search_words) VALUES ('rebuild')"))


def mark(name: str, value: str) -> str:
    """A word that stands for an exact value; nobody would type it."""
    return f"z{name[0]}" + hashlib.blake2b(f"{name}:{value}".encode("utf-8", "replace"), digest_size=7).hexdigest()

"""Statements that are run for every job, compiled once: what is left of their cost is mostly the database's.

SQLAlchemy looks every statement up by its structure and wraps every cursor, which for a row of SQLite takes several
times as long as SQLite does. Values must be such as the driver takes as they are: texts, numbers, None.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine
from sqlalchemy.sql.expression import Executable

from devops_agent.jobs.database import directly

Values = Mapping[str, Any]


class Rows(NamedTuple):
    """What a statement found, read whole, and how many rows it changed."""

    rows: Sequence[Sequence[Any]]
    changed: int

    def first(self) -> Sequence[Any] | None:
        """The first row, or None."""
        return self.rows[0] if self.rows else None


class _Compiled(NamedTuple):
    text: str
    positions: Sequence[str] | None
    defaults: Mapping[str, Any]

    def given(self, values: Values | None) -> Any:
        """What the driver is given for one row of values."""
        whole = {**self.defaults, **values} if values else self.defaults
        return whole if self.positions is None else tuple(whole[name] for name in self.positions)

    def many(self, rows: Sequence[Values]) -> list[Any]:
        """The same for many rows."""
        if self.positions is not None and len(self.positions) > 1 and rows[0].keys() >= set(self.positions):
            return list(map(itemgetter(*self.positions), rows))
        return [self.given(each) for each in rows]


class Prepared:
    """One statement. `columns`: of an insert, those that are given."""

    def __init__(self, statement: Executable, columns: Sequence[str] | None = None) -> None:
        self._statement = statement
        self._columns = list(columns) if columns is not None else None
        self._compiled: dict[str, _Compiled] = {}

    def __call__(self, connection: Connection, values: Values | Sequence[Values] | None = None) -> Rows:
        """Run it: with one row of values, or with many (of which there must be one at least)."""
        name = connection.dialect.name
        known = self._compiled.get(name)
        if known is None:
            known = self._compile(connection)
        one = values is None or isinstance(values, Mapping)
        given = known.given(values) if one else known.many(values)  # type: ignore[arg-type]
        if name == "sqlite" and connection.in_transaction():
            ran = directly(connection.connection.driver_connection, connection, known.text, given, not one)
            return Rows(ran.fetchall(), ran.rowcount)
        found = connection.exec_driver_sql(known.text, given)
        return Rows(found.all() if found.returns_rows else (), found.rowcount)

    def read(self, engine: Engine, values: Values) -> Rows:
        """Run it alone, as a question: on SQLite without a transaction around it, which one statement needs not."""
        if engine.dialect.name != "sqlite":
            with engine.connect() as connection:
                return self(connection, values)
        known = self._compiled.get("sqlite") or self._compile(engine)
        lent = engine.raw_connection()
        try:
            ran = directly(lent.driver_connection, engine, known.text, known.given(values))
            return Rows(ran.fetchall(), ran.rowcount)
        finally:
            lent.close()

    def _compile(self, on: Connection | Engine) -> _Compiled:
        compiled: Any = self._statement.compile(dialect=on.dialect, column_keys=self._columns)  # type: ignore[attr-defined]
        positions = compiled.positiontup if compiled.positional else None
        known = _Compiled(str(compiled), positions, compiled.construct_params(_check=False))
        self._compiled[on.dialect.name] = known
        return known

"""Statements that are run for every job, compiled once: what is left of their cost is mostly the database's.

SQLAlchemy looks every statement up by its structure before it runs it, which for an insert of a row takes several times
as long as SQLite does. Values must be such as the driver takes as they are: texts, numbers, None.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.sql.expression import Executable

Values = Mapping[str, Any]


class Prepared:
    """One statement. `columns`: of an insert, those that are given."""

    def __init__(self, statement: Executable, columns: Sequence[str] | None = None) -> None:
        self._statement = statement
        self._columns = list(columns) if columns is not None else None
        self._compiled: dict[str, tuple[str, Sequence[str] | None, Mapping[str, Any]]] = {}

    def __call__(self, connection: Connection, values: Values | Sequence[Values] | None = None) -> Any:
        """Run it: with one row of values, or with many (of which there must be one at least)."""
        known = self._compiled.get(connection.dialect.name)
        if known is None:
            compiled: Any = self._statement.compile(dialect=connection.dialect, column_keys=self._columns)  # type: ignore[attr-defined]
            positions = compiled.positiontup if compiled.positional else None
            known = self._compiled[connection.dialect.name] = (
                str(compiled),
                positions,
                compiled.construct_params(_check=False),
            )
        text, positions, defaults = known
        given: Any
        if values is None or isinstance(values, Mapping):
            given = _ordered({**defaults, **(values or {})}, positions)
        else:
            given = [_ordered({**defaults, **each}, positions) for each in values]
        return connection.exec_driver_sql(text, given)


def _ordered(values: Values, positions: Sequence[str] | None) -> Any:
    return values if positions is None else tuple(values[name] for name in positions)

"""The base of all records, and the clock that they are stamped with."""

from __future__ import annotations

from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """Base of all records: frozen, nothing unknown."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def now() -> datetime:
    """The present in UTC."""
    return datetime.now(UTC)

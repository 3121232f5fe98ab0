"""The fields that requests to API v1 are made of, and what fits into each."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StringConstraints, WithJsonSchema

ID = r"^[A-Za-z0-9_.\-]{1,80}$"
_DATE = re.compile(r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(\.\d+)?([Zz]|[+-]\d\d:\d\d)")
Status = Literal["queued", "running", "waiting", "done", "error"]
Outcome = Literal["resolved", "no_failure", "planned", "needs_approval", "needs_person", "unresolved", "error"]


def _count(value: Any) -> Any:
    """A whole number as it stands in an address: digits alone."""
    if isinstance(value, str):
        if not (value.isascii() and value.isdigit() and len(value) < 20):
            raise ValueError("expected a whole number, 0 or more")
        return int(value)
    return value


def _whole(value: Any) -> Any:
    """JSON knows one kind of numbers: 42.0 is 42."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _moment(value: Any) -> Any:
    """A time as RFC 3339 has it, nothing else that could be read as one; a leap second is the one before."""
    if isinstance(value, str):
        found = _DATE.fullmatch(value)
        if found is None or not value.isascii():
            raise ValueError("expected a time such as 2026-11-22T16:00:00Z")
        text = value.upper().replace(" ", "T")
        if found[6] == "60":
            text = text[:17] + "59" + text[19:]
        if found[1] == "0000":
            return datetime.min.replace(tzinfo=UTC)
        try:
            return datetime.fromisoformat(text)
        except ValueError:
            raise ValueError("expected a time such as 2026-11-22T16:00:00Z") from None
    return value


Asked = BeforeValidator(_count)
"""Of whole numbers in addresses."""
Whole = BeforeValidator(_whole)
"""Of whole numbers in bodies."""
Moment = Annotated[datetime, BeforeValidator(_moment), WithJsonSchema({"type": "string", "format": "date-time"})]
Log = Annotated[str, StringConstraints(pattern=r"\S"), Field(description="the failing log, as it is")]
Title = Annotated[str, Field(max_length=300, description="what lists call it; default: the line that decided")]
PlaceName = Annotated[
    str, Field(min_length=1, max_length=200, description="place of the inventory; default: its first")
]
Labels = dict[Annotated[str, StringConstraints(min_length=1, max_length=200)], Annotated[str, Field(max_length=1000)]]
Reason = Annotated[str, Field(max_length=2000, description="kept with the decision")]
Fingerprint = Annotated[str, Field(pattern=r"^[0-9a-f]{8,64}$", description="of the plan; at least its beginning")]
Limit = Annotated[int, Field(ge=1, le=200, description="most items in the answer"), Asked]
Cursor = Annotated[str, Field(pattern=r"^[a-z][A-Za-z0-9_.~+\-]{1,200}$", description="`next` of the page before")]

"""Reading foreign JSON: every value is checked for its kind and cut to a length before it is used."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from devops_agent.errors import RequestError
from devops_agent.model import now

LABELS = 40
_FRACTION = re.compile(r"(\.\d{6})\d+")
_ZERO = 0.0


def table(value: Any, name: str) -> dict[str, Any]:
    """A JSON object; RequestError where it is something else."""
    if not isinstance(value, dict):
        raise RequestError(f"{name}: missing, or no object")
    return value


def tables(value: Any, name: str, most: int) -> list[dict[str, Any]]:
    """A list of JSON objects, of which the first so many are taken."""
    if not isinstance(value, list):
        raise RequestError(f"{name}: missing, or no list")
    return [table(each, f"{name}[{number}]") for number, each in enumerate(value[:most])]


def inner(body: dict[str, Any], *names: str) -> dict[str, Any]:
    """An object inside, or an empty one where there is none."""
    for name in names:
        value = body.get(name)
        body = value if isinstance(value, dict) else {}
    return body


def text(value: Any, limit: int = 300) -> str:
    """A string (or number) as clean text; anything else is empty."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    return clean(str(value))[:limit].strip()


def clean(given: str) -> str:
    """Text that can be stored everywhere: no NUL, no lone surrogates."""
    return given.replace("\0", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def number(value: Any, name: str) -> int:
    """A positive whole number; RequestError where it is none."""
    if type(value) is not int or not 0 < value < 1 << 63:
        raise RequestError(f"{name}: missing, or no positive number")
    return value


def name_of(value: Any, name: str) -> str:
    """A text that must be there."""
    found = text(value)
    if not found:
        raise RequestError(f"{name}: missing, or no text")
    return found


def labels(value: Any) -> dict[str, str]:
    """Names and values that are texts; the first so many."""
    if not isinstance(value, dict):
        return {}
    pairs = ((text(name, 100), text(each, 500)) for name, each in value.items())
    return dict([pair for pair in pairs if pair[0] and pair[1]][:LABELS])


def when(value: Any) -> float | None:
    """A moment as seconds: ISO 8601, `2026-01-31 12:00:00 UTC`, seconds or milliseconds; None where it is none.

    The year 1 is what Go writes for no time at all.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        seconds = float(value) / 1000 if value > 1e11 else float(value)
        return seconds if 0 < seconds < 1e11 else None
    if not isinstance(value, str) or len(value) > 40:
        return None
    try:
        at = datetime.fromisoformat(_FRACTION.sub(r"\1", value.strip().replace(" UTC", "+00:00")))
    except ValueError:
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return at.timestamp() if at.year > 1970 else None


def moment(*values: Any) -> float:
    """The first of these that is a moment, or now; never in the future, which would shut out all that follows."""
    present = now().timestamp()
    found = next((at for each in values if (at := when(each)) is not None), present)
    return min(found, present)

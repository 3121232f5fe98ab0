"""Results of a size that fits into a conversation: long texts and lists are cut, and say so."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

MOST = 24_000
"""Characters of one result."""


def capped(value: Mapping[str, Any], most: int = MOST) -> dict[str, Any]:
    """The value within so many characters of JSON; `cut` is true where something was left out."""
    whole = {str(key): each for key, each in value.items()}
    if _size(whole) <= most:
        return whole
    for text, rows in ((4000, 60), (1500, 30), (500, 15), (200, 8), (80, 3)):
        made: dict[str, Any] = {**{key: _cut(each, text, rows) for key, each in whole.items()}, "cut": True}
        if _size(made) <= most:
            return made
    return {"cut": True, "text": json.dumps(whole, ensure_ascii=False, default=str)[: most // 2]}


def _cut(value: Any, text: int, rows: int) -> Any:
    if isinstance(value, str) and len(value) > text:
        half = text // 2
        return f"{value[:half]} [… {len(value) - 2 * half} characters left out …] {value[-half:]}"
    if isinstance(value, Mapping):
        kept = {str(key): _cut(each, text, rows) for key, each in list(value.items())[:rows]}
        return kept if len(value) <= rows else {**kept, "…": f"{len(value) - rows} more"}
    if isinstance(value, list | tuple):
        kept_rows = [_cut(each, text, rows) for each in value[:rows]]
        return kept_rows if len(value) <= rows else [*kept_rows, f"… {len(value) - rows} more"]
    return value


def _size(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False, default=str))

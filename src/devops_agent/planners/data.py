"""Text that came from machines, on its way into a request: shown as data, cut, kept from posing as anything else.

Invisible and control characters are taken out; marks by which chat templates tell who speaks are broken with a space.
`same` compares what a model quotes with what it was shown regardless of those.
"""

from __future__ import annotations

import json
import re
from typing import Any

_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\uffff\U000e0000-\U000e0fff]"
)
_ROLES = re.compile(
    r"<(?=\||/?s>|/?(?:system|assistant|user|tool_result|function_results?|im_start|im_end)\b)|\[(?=/?INST)"
)
_LOOSE = re.compile(r"[\s\"'`\\]+")
TEXT = 1500
ITEMS = 24
RESULT = 3500
LEAST_QUOTE = 3
"""Of a quote at least so many characters must be left when spaces and quotation marks are taken away."""


def line(text: str, width: int = 300) -> str:
    """One line of foreign text: harmless, and not longer than `width`, beginning and end kept."""
    clean = _UNSEEN.sub("", text.replace("\n", " ").replace("\t", " "))
    clean = _ROLES.sub(lambda found: found[0] + " ", clean)
    return cut(clean, width)


def cut(text: str, width: int) -> str:
    """A text of at most `width` characters: a third from its beginning, the rest from its end, where errors stand."""
    if len(text) <= width:
        return text
    head = width // 3
    return f"{text[:head]} …[{len(text) - width} characters cut]… {text[len(text) - (width - head) :]}"


def result(name: str, value: Any) -> str:
    """What a function answered, as one JSON object marked as data, with long texts and lists cut in their middle."""
    body = json.dumps({"id": name, "data": _small(value)}, ensure_ascii=False, separators=(",", ":"), default=str)
    return cut(body, RESULT)


def same(quote: str, text: str) -> bool:
    """Whether a quote stands in a text; spaces, quotation marks and what `line` changes make no difference."""
    wanted = _bare(quote)
    return len(wanted) >= LEAST_QUOTE and wanted in _bare(text)


def _bare(text: str) -> str:
    return _LOOSE.sub("", _UNSEEN.sub("", text)).casefold()


def _small(value: Any) -> Any:
    if isinstance(value, str):
        lines = _ROLES.sub(lambda found: found[0] + " ", value).split("\n")
        return cut("\n".join(_UNSEEN.sub("", each.replace("\t", " ")) for each in lines), TEXT)
    if isinstance(value, dict):
        return {line(str(key), 100): _small(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        items = list(value)
        if len(items) > ITEMS:
            third = ITEMS // 3
            items = [*items[:third], f"…[{len(items) - ITEMS} more]…", *items[third - ITEMS :]]
        return [_small(item) for item in items]
    return value

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
_LIMITS = ((1800, 24), (900, 12), (240, 6))
"""How long texts and how many items an answer may have; the next ones where it still is too long."""
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


def result(name: str, value: Any, room: int = RESULT) -> str:
    """What a function answered, as one JSON object with its id; long texts and lists are cut in their middle."""
    for text, items in _LIMITS:
        made = {"id": name, "data": _small(value, text, items)}
        body = json.dumps(made, ensure_ascii=False, separators=(",", ":"), default=str)
        if len(body) <= room:
            return body
    return cut(body, room)


def same(quote: str, text: str) -> bool:
    """Whether a quote stands in a text; spaces, quotation marks and what `line` changes make no difference."""
    wanted = _bare(quote)
    return len(wanted) >= LEAST_QUOTE and wanted in _bare(text)


def _bare(text: str) -> str:
    return _LOOSE.sub("", _UNSEEN.sub("", text)).casefold()


def _small(value: Any, text: int, most: int, deep: int = 0) -> Any:
    if isinstance(value, str):
        whole = value if len(value) <= 4 * text else value[: 2 * text] + value[-2 * text :]
        lines = _ROLES.sub(lambda found: found[0] + " ", whole).split("\n")
        clean = "\n".join(_UNSEEN.sub("", each.replace("\t", " ")) for each in lines)
        return cut(clean, text)
    if isinstance(value, dict):
        kept = list(value.items())[: 2 * most if deep else None]
        made = {line(str(key), 100): _small(item, text, most, deep + 1) for key, item in kept}
        return made if len(kept) == len(value) else made | {"…": f"{len(value) - len(kept)} more"}
    if isinstance(value, list | tuple):
        items = list(value)
        if len(items) > most:
            third = most // 3
            items = [*items[:third], f"…[{len(items) - most} more]…", *items[third - most :]]
        return [_small(item, text, most, deep + 1) for item in items]
    return value

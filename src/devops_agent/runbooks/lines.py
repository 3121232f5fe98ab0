"""Pattern sources as the scanner wants them: what a negated class or `\\s` may match never crosses a line's end.

Logs are matched line by line by `re`, but in one go over the whole buffer by hyperscan; on a single line both forms
of a source mean the same.
"""

from __future__ import annotations

import re
from functools import lru_cache

_OUTSIDE = {"s": r"[ \t]", "W": r"[^\w\n]", "D": r"[^\d\n]"}


def split_flags(source: str) -> tuple[str, bool]:
    """The source without a leading `(?i)`, and whether there was one."""
    return (source[4:], True) if source.startswith("(?i)") else (source, False)


@lru_cache(maxsize=4096)
def compiled(source: str) -> re.Pattern[str]:
    """The pattern of a runbook, ready for one line."""
    plain, ignore_case = split_flags(source)
    return re.compile(within_line(plain), re.IGNORECASE if ignore_case else 0)


def within_line(source: str) -> str:
    """The same pattern, unable to match a line feed."""
    result: list[str] = []
    inside = False
    index = 0
    while index < len(source):
        char = source[index]
        if char == "\\" and index + 1 < len(source):
            result.append(_escape(source[index + 1], inside))
            index += 2
            continue
        if inside and char == "]":
            inside = False
        elif not inside and char == "[":
            inside = True
            opening, skipped = _opening(source, index)
            result.append(opening)
            index += skipped
            continue
        result.append(char)
        index += 1
    return "".join(result)


def _escape(letter: str, inside: bool) -> str:
    if inside:
        return r" \t" if letter == "s" else "\\" + letter
    return _OUTSIDE.get(letter, "\\" + letter)


def _opening(source: str, index: int) -> tuple[str, int]:
    """The start of a class (`[`, `[^`, and a `]` that stands first for itself), and how long it was in the source."""
    negated = source.startswith("[^", index)
    length = 2 if negated else 1
    literal = source.startswith("]", index + length)
    return ("[^\\n" if negated else "[") + ("\\]" if literal else ""), length + literal

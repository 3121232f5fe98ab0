"""Expressions as hyperscan takes them that match wherever the original does, and perhaps more: a sieve for lines.

What has no width (look-around, anchors, word boundaries) is left out, a back-reference becomes what it refers to, and
what may be absent at either end falls away, so that each match is reported once and not for every length of its tail.
The expression is read with Python's own parser (`re._parser`).

The scanned text is UTF-8: whatever may stand for a character beyond ASCII also stands for any of its bytes, up to four
of them. Only letters beyond ASCII that Python takes for `i`, `k` or `s` where case is ignored (`FOLDED`) need a look of
their own.
"""

from __future__ import annotations

import re
import re._constants as c  # type: ignore[import-not-found]
import re._parser as parser  # type: ignore[import-not-found]
from dataclasses import dataclass
from typing import Any

FOLDED = r"\xc4[\xb0\xb1]|\xc5\xbf|\xe2\x84\xaa"
"""In UTF-8: İ, ı, ſ and the Kelvin sign."""
_BEYOND = r"\x80-\xff"
_CLASSES = {
    c.CATEGORY_DIGIT: rf"\d{_BEYOND}",
    c.CATEGORY_SPACE: rf"\s\x1c-\x1f{_BEYOND}",
    c.CATEGORY_WORD: rf"\w{_BEYOND}",
    c.CATEGORY_NOT_DIGIT: r"\D",
    c.CATEGORY_NOT_SPACE: r"\S",
    c.CATEGORY_NOT_WORD: r"\W",
}
_WIDE = (_BEYOND, r"\D", r"\S", r"\W")
_NEGATED = {c.CATEGORY_DIGIT: r"\d", c.CATEGORY_SPACE: r"\s", c.CATEGORY_WORD: r"\w"}


class NotTaken(Exception):
    """The expression has something that cannot be relaxed; whoever asks looks at every line."""


@dataclass(frozen=True)
class _Node:
    """One part: what stands for one character (`wide`: perhaps for one beyond ASCII), or a sequence, a choice, or a
    repetition of parts."""

    text: str = ""
    wide: bool = False
    parts: tuple[_Node, ...] = ()
    choice: bool = False
    least: int = 1
    most: int = 1


def relaxed(source: str) -> tuple[str, bool]:
    """The expression for hyperscan, and whether it ignores case. Raises NotTaken."""
    try:
        tree = parser.parse(source)
    except re.error as error:
        raise NotTaken(str(error)) from None
    node = _trimmed(_trimmed(_sequence(tree, {}), 0), -1)
    if node is None:
        raise NotTaken("it matches the empty text")
    return _written(node), bool(tree.state.flags & re.IGNORECASE)


def _sequence(items: Any, groups: dict[int, _Node]) -> _Node:
    parts = (_part(operator, argument, groups) for operator, argument in items)
    return _Node(parts=tuple(part for part in parts if part is not None))


def _part(operator: Any, argument: Any, groups: dict[int, _Node]) -> _Node | None:
    if operator in (c.AT, c.ASSERT, c.ASSERT_NOT):
        return None
    if operator is c.LITERAL:
        return _Node(_character(argument)) if argument < 128 else _any_beyond()
    if operator is c.NOT_LITERAL:
        return _Node(f"[^{_character(argument)}]" if argument < 128 else r"[^\n]", wide=True)
    if operator is c.ANY:
        return _Node(r"[^\n]", wide=True)
    if operator is c.IN:
        text = _class(argument)
        return _Node(
            text, wide=text.startswith("[^") or _BEYOND in text or any(each in text for each in ("\\D", "\\S", "\\W"))
        )
    if operator is c.BRANCH:
        return _Node(parts=tuple(_sequence(each, groups) for each in argument[1]), choice=True)
    if operator is c.SUBPATTERN:
        number, added, removed, inner = argument
        if added or removed:
            raise NotTaken("flags for a part of it")
        node = _sequence(inner, groups)
        if number is not None:
            groups[number] = node
        return node
    if operator is c.GROUPREF:
        return groups[argument]
    if operator in (c.MAX_REPEAT, c.MIN_REPEAT, c.POSSESSIVE_REPEAT):
        least, most, inner = argument
        return _Node(parts=(_sequence(inner, groups),), least=least, most=-1 if most is c.MAXREPEAT else most)
    raise NotTaken(str(operator))


def _character(code: int) -> str:
    return f"\\x{code:02x}"


def _any_beyond() -> _Node:
    return _Node(f"[{_BEYOND}]", wide=True)


def _class(items: Any) -> str:
    negated = bool(items) and items[0][0] is c.NEGATE
    text = "^" if negated else ""
    for operator, argument in items[1:] if negated else items:
        first, last = argument if operator is c.RANGE else (argument, argument)
        if operator is c.CATEGORY:
            known = (_NEGATED if negated else _CLASSES).get(argument)
            if known is None:
                raise NotTaken(f"{argument} in a negated class")
            text += known
        elif operator not in (c.LITERAL, c.RANGE):
            raise NotTaken(str(operator))
        elif first < 128:
            text += f"{_character(first)}-{_character(min(last, 127))}"
        if operator is not c.CATEGORY and last > 127 and not negated:
            text += _BEYOND
    if text in ("", "^"):
        return r"[\x00-\xff]"
    return f"[{text}]"


def _trimmed(node: _Node | None, end: int) -> _Node | None:
    """Without what may be absent at the beginning (`end` 0) or at the end (-1); None where nothing must be there."""
    if node is None or node.text:
        return node
    if node.choice:
        found = [_trimmed(each, end) for each in node.parts]
        return None if None in found else _Node(parts=tuple(each for each in found if each), choice=True)
    if (node.least, node.most) != (1, 1):
        return _shortest(node, end)
    parts = list(node.parts)
    while parts:
        first = _trimmed(parts[end], end)
        if first is not None:
            parts[end] = first
            return _Node(parts=tuple(parts))
        del parts[end]
    return None


def _shortest(node: _Node, end: int) -> _Node | None:
    """A repetition at an end: as often as it must be, itself trimmed where that is once."""
    inner = _trimmed(node.parts[0], end)
    if node.least == 0 or inner is None:
        return None
    return inner if node.least == 1 else _Node(parts=node.parts, least=node.least, most=node.least)


def _written(node: _Node) -> str:
    if node.text:
        return f"{node.text}{{1,4}}" if node.wide else node.text
    if (node.least, node.most) == (1, 1):
        inner = ("|" if node.choice else "").join(map(_written, node.parts))
        return f"(?:{inner})" if node.choice else inner
    return _repeated(node)


def _repeated(node: _Node) -> str:
    inner = node.parts[0]
    while not inner.text and len(inner.parts) == 1 and (inner.least, inner.most) == (1, 1):
        inner = inner.parts[0]
    text = inner.text or f"(?:{_written(inner)})"
    most = "" if node.most < 0 else node.most * (4 if inner.wide else 1)
    return f"{text}{{{node.least},{most}}}"

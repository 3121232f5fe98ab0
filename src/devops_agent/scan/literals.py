"""What a text must contain for a regular expression to match: a prefilter that costs a substring search.

The expression is read with Python's own parser (`re._parser`), so what it means here is what it means to `re`.
"""

from __future__ import annotations

import re._constants as c  # type: ignore[import-not-found]
import re._parser as parser  # type: ignore[import-not-found]
from collections.abc import Sequence
from typing import Any

SHORTEST = 2
"""Literals shorter than this occur in every log and exclude nothing (signs beyond ASCII do exclude)."""

WIDEST = 64
"""Alternatives of one clause beyond this number cost more to look for than they save."""

CLAUSES = 6
"""Clauses kept of one expression, the most telling first."""

_TURNS = 3
_COMMON = frozenset(
    {
        "error",
        "rror",
        "errors",
        "failed",
        "failure",
        "fail",
        "exception",
        "xception",
        "warning",
        "status",
        "code",
        "exit",
    }
    | {"build", "test", "the", "not", "found", "file", "read", "write", "line", "time", "http", "server", "client"}
    | {"could", "cannot", "unable", "missing", "invalid"}
)

Clauses = list[tuple[str, ...]]


def literals(source: str, ignore_case: bool = False) -> tuple[tuple[str, ...], ...]:  # noqa: ARG001
    """Clauses that must all hold: of each, at least one string occurs in the lower-cased text. () knows nothing.

    Strings are lower case, so that one lower-cased text serves all patterns, whatever `ignore_case` says.
    """
    clauses = _clauses(parser.parse(source))
    best: dict[tuple[str, ...], None] = {}
    for clause in sorted(clauses, key=telling, reverse=True):
        best.setdefault(clause)
    return tuple(list(best)[:CLAUSES])


def holds(lower: str, clauses: Sequence[tuple[str, ...]]) -> bool:
    """Whether a lower-cased text holds a string of each clause."""
    for clause in clauses:
        for text in clause:
            if text in lower:
                break
        else:
            return False
    return True


def _clauses(items: Any) -> Clauses:
    """Clauses of a sequence: its literal runs, and what its parts must contain."""
    found: Clauses = []
    run = ""
    for operator, argument in items:
        text = _text(operator, argument)
        if text is not None:
            run += text
            continue
        _close(run, found)
        run = ""
        found.extend(_part(operator, argument))
    _close(run, found)
    return found


def _close(run: str, found: Clauses) -> None:
    if len(run) >= SHORTEST or not run.isascii():
        found.append((run,))


def _text(operator: Any, argument: Any) -> str | None:
    """The one lower-case text that this part stands for ('' where it has no width), or None."""
    if operator is c.AT:
        return ""
    if operator is c.LITERAL:
        return _lower(argument)
    if operator is c.IN:
        letters = {_lower(value) if kind is c.LITERAL else None for kind, value in argument}
        return letters.pop() if len(letters) == 1 else None
    if operator is c.SUBPATTERN:
        texts = [_text(*item) for item in argument[3]]
        return None if None in texts else "".join(text for text in texts if text)
    if operator in (c.MAX_REPEAT, c.MIN_REPEAT) and argument[0] == argument[1] and argument[0] <= 8:
        texts = [_text(*item) for item in argument[2]]
        return None if None in texts else "".join(text for text in texts if text) * argument[0]
    return None


def _lower(code: int) -> str | None:
    """A character in lower case; None for letters whose case folding is not one to one, or depends on what follows."""
    letter = chr(code).lower()
    plain = code < 128 or (len(letter) == 1 and letter.upper().lower() == letter and letter not in "σς")
    return letter if plain else None


def _part(operator: Any, argument: Any) -> Clauses:
    if operator is c.SUBPATTERN:
        return _clauses(argument[3])
    if operator in (c.MAX_REPEAT, c.MIN_REPEAT, c.POSSESSIVE_REPEAT):
        return _clauses(argument[2]) if argument[0] > 0 else []
    if operator is c.IN and all(kind is c.LITERAL and value > 127 for kind, value in argument):
        signs = [_lower(value) for _, value in argument]
        return [] if None in signs else [tuple(sign for sign in signs if sign)]
    if operator is c.BRANCH:
        return _branch([_clauses(branch) for branch in argument[1]])
    return []


def _branch(branches: list[Clauses]) -> Clauses:
    """Clauses for all alternatives together: the most telling one of each, then the second of each, and so on."""
    if not all(branches):
        return []
    ranked = [sorted(clauses, key=telling, reverse=True) for clauses in branches]
    found: Clauses = []
    for turn in range(min(_TURNS, max(map(len, ranked)))):
        chosen: dict[str, None] = {}
        for clauses in ranked:
            chosen.update(dict.fromkeys(clauses[min(turn, len(clauses) - 1)]))
        if len(chosen) <= WIDEST:
            found.append(tuple(chosen))
    return found


def telling(clause: tuple[str, ...]) -> tuple[int, int]:
    """How much a clause excludes: by its shortest string, words of every log counting little, then by its width."""
    return min(2 if text.strip(" :*()[]\"'") in _COMMON else len(text) for text in clause), -len(clause)

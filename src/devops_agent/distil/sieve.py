"""Which lines of a large text may hold a secret, found in one pass: the others need not be looked at one by one.

Each rule's expression is relaxed (`scan.relaxed`) so that hyperscan takes it and it matches wherever the rule does.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from devops_agent.scan.compiled import Compiled, Unavailable
from devops_agent.scan.relaxed import FOLDED, NotTaken, relaxed
from devops_agent.scan.signatures import compiled_folder

_COLOURED = (
    r"(?:word|pass|pw|pwd|secret|token|key|phrase|credential|auth|cookie|salt|dsn|session|_id)s?[\"'\]]{0,2}"
    r"\s{0,2}[:=]?[>=]?\s{0,2}\x1b\["
)
"""A name with a change of colour behind it."""
WORTH = 2 << 20
"""Characters after which a sieve has paid for being compiled, where that was never done on this machine."""


class Sieve:
    """For these expressions. Safe to use from many threads."""

    def __init__(self, sources: Sequence[str], folder: Path | None = None) -> None:
        expressions = [relaxed(source) for source in sources] + [(FOLDED, False), (_COLOURED, True)]
        key = hashlib.sha256(repr(expressions).encode()).hexdigest()
        self._compiled = Compiled(key, lambda: expressions, folder, every=True)
        if self._compiled.left_out:
            raise NotTaken("hyperscan does not take all of them")
        self._own = threading.local()

    def lines(self, raw: bytes) -> list[tuple[int, int, frozenset[int]]]:
        """Where the lines are that must be looked at, in order, each without its line feed, and for which expressions;
        those of the sieve itself count on from the given ones."""
        ends: set[tuple[int, int]] = set()

        def on_match(number: int, _start: int, end: int, _flags: int, _context: Any) -> None:
            ends.add((end, number))

        scratch = getattr(self._own, "scratch", None)
        if scratch is None:
            scratch = self._own.scratch = self._compiled.scratch()
        self._compiled.scan(raw, on_match, scratch)
        return _lines(raw, sorted(ends))


def _lines(raw: bytes, ends: Iterable[tuple[int, int]]) -> list[tuple[int, int, frozenset[int]]]:
    """The lines in which these offsets end."""
    found: list[tuple[int, int, set[int]]] = []
    stop = -1
    for end, number in ends:
        if end <= stop:
            found[-1][2].add(number)
            continue
        start = raw.rfind(b"\n", 0, end - 1) + 1
        stop = raw.find(b"\n", end - 1)
        if stop < 0:
            stop = len(raw)
        if stop > start:
            found.append((start, stop, {number}))
        else:
            stop = -1
    return [(start, stop, frozenset(numbers)) for start, stop, numbers in found]


class Strings:
    """Whether any of these strings stands in a text, in one pass for all of them. Raises Unavailable."""

    def __init__(self, strings: Iterable[str]) -> None:
        raw = [each.encode("utf-8", "surrogatepass") for each in strings]
        sources = [("".join(f"\\x{byte:02x}" for byte in each), False) for each in raw]
        self._compiled = Compiled("", lambda: sources, None)

    def any(self, text: str) -> bool:
        """Whether there is one."""
        found: list[int] = []
        self._compiled.scan(
            text.encode("utf-8", "surrogatepass"),
            lambda number, *_: found.append(number),
            self._compiled.scratch(),
        )
        return bool(found)


_made: dict[tuple[str, ...], Sieve | None] = {}
_lock = threading.Lock()
_seen = 0


def sieve(sources: Sequence[str], size: int) -> Sieve | None:
    """The sieve for these expressions, once enough text has come by in this process for it to pay; None before that,
    and where there can be none. `size` is what comes by now."""
    global _seen  # noqa: PLW0603 (a count for the process)
    key = tuple(sources)
    with _lock:
        _seen += size
        if key not in _made and _seen >= WORTH:
            try:
                _made[key] = Sieve(key, compiled_folder())
            except (Unavailable, NotTaken):
                _made[key] = None
        return _made.get(key)

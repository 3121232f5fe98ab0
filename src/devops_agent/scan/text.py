"""Lines in which thousands of strings are looked for, most of which are not there."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

TESTED = 2000
"""Places of one string that are looked at, at most, from the start of the log."""
INDEXED = 8_000
"""Characters from which on a table of the words costs less than it saves."""

_WORD = re.compile(r"[a-z0-9_]+")


class Text:
    """The lines, folded to lower case, with a table of their words.

    A string can only stand in the text if its inner words do, its first word ends one of the text's words, and its last
    word begins one: three look-ups that spare the search through the whole text.
    """

    def __init__(self, lines: Sequence[str]) -> None:
        self.lines = lines
        self.lower = "\n".join(lines).lower()
        self.folded = self.lower.split("\n")
        self._starts: list[int] = []
        self._words: set[str] | None = None
        self._held: dict[str, bool] = {}

    def holds(self, literal: str) -> bool:
        """Whether the string stands anywhere."""
        held = self._held.get(literal)
        if held is None:
            held = self._held[literal] = self._may_hold(literal) and literal in self.lower
        return held

    def where(self, clause: tuple[str, ...]) -> list[int]:
        """Indices of the first lines that hold one of these strings, in order."""
        starts = self._line_starts()
        numbers: set[int] = set()
        for literal in clause:
            if not self.holds(literal):
                continue
            at, count = self.lower.find(literal), 0
            while at >= 0 and count < TESTED:
                number = bisect_right(starts, at) - 1
                numbers.add(number)
                count += 1
                if number + 1 >= len(starts):
                    break
                at = self.lower.find(literal, starts[number + 1])
        return sorted(numbers)

    def _may_hold(self, literal: str) -> bool:
        if len(self.lower) < INDEXED:
            return True
        if self._words is None:
            self._index()
        words = list(_WORD.finditer(literal))
        for word in words:
            opens, closes = word.start() == 0, word.end() == len(literal)
            if opens and closes:
                if word[0] not in self._vocabulary:
                    return False
            elif opens:
                if not _begins(self._backward, word[0][::-1]):
                    return False
            elif closes:
                if not _begins(self._forward, word[0]):
                    return False
            elif self._words is not None and word[0] not in self._words:
                return False
        return True

    def _index(self) -> None:
        self._words = set(_WORD.findall(self.lower))
        self._vocabulary = "\n".join(self._words)
        self._forward = sorted(self._words)
        self._backward = sorted(word[::-1] for word in self._words)

    def _line_starts(self) -> list[int]:
        if not self._starts:
            at = 0
            for line in self.folded:
                self._starts.append(at)
                at += len(line) + 1
        return self._starts


def _begins(words: list[str], start: str) -> bool:
    """Whether one of the sorted words begins so."""
    at = bisect_left(words, start)
    return at < len(words) and words[at].startswith(start)

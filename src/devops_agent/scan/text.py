"""Lines in which thousands of strings are looked for, most of which are not there."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import pairwise

TESTED = 2000
"""Lines with one string that are looked at from the start of the log, and as many from its end."""
INDEXED = 8_000
"""Characters from which on a table of the words costs less than it saves."""

FEW = 100
"""Lines so few that further strings are looked for in each of them, and not in the whole text."""

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
        self.indexed = len(self.lower) >= INDEXED
        self._starts: list[int] = []
        self._words: set[str] | None = None
        self._held: dict[str, bool] = {}
        self._places: dict[str, set[int]] = {}

    def holds(self, literal: str) -> bool:
        """Whether the string stands anywhere."""
        held = self._held.get(literal)
        if held is None:
            held = self._held[literal] = self._may_hold(literal) and literal in self.lower
        return held

    def where(self, clauses: Sequence[tuple[str, ...]]) -> list[int]:
        """Indices of the lines that hold one string of each clause, in order."""
        found: list[int] | None = None
        for clause in clauses:
            if found is not None and len(found) <= FEW:
                folded = self.folded
                found = [number for number in found if any(map(folded[number].__contains__, clause))]
            else:
                held = [literal for literal in clause if self.holds(literal)]
                lines = set().union(*map(self.places, held))
                found = sorted(lines if found is None else lines.intersection(found))
            if not found:
                return []
        return found or []

    def places(self, literal: str) -> set[int]:
        """The lines that hold one string: all of them, or the first and last so many."""
        known = self._places.get(literal)
        if known is not None:
            return known
        starts, lower = self._line_starts(), self.lower
        numbers: list[int] = []
        at = lower.find(literal)
        while at >= 0 and len(numbers) < TESTED:
            number = bisect_right(starts, at) - 1
            numbers.append(number)
            at = lower.find(literal, starts[number + 1]) if number + 1 < len(starts) else -1
        if at >= 0:
            numbers.extend(self._last_places(literal, numbers[-1]))
        self._places[literal] = set(numbers)
        return self._places[literal]

    def _last_places(self, literal: str, first: int) -> list[int]:
        starts = self._line_starts()
        numbers: list[int] = []
        at = self.lower.rfind(literal)
        while at >= starts[first] and len(numbers) < TESTED:
            number = bisect_right(starts, at) - 1
            numbers.append(number)
            at = self.lower.rfind(literal, 0, starts[number])
        return numbers

    def _may_hold(self, literal: str) -> bool:
        if not self.indexed:
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
        return all(self._follow(literal, *pair) for pair in pairwise(words))

    def _follow(self, literal: str, one: re.Match[str], two: re.Match[str]) -> bool:
        """Whether two words of a string stand one after the other anywhere, as far as that is quickly said."""
        left = [one[0]] if one.start() else [word[::-1] for word in _beginning(self._backward, one[0][::-1])]
        right = [two[0]] if two.end() < len(literal) else _beginning(self._forward, two[0])
        if len(left) * len(right) > 2 * FEW:
            return True
        return any((before, after) in self._pairs for before in left for after in right)

    def _index(self) -> None:
        words = _WORD.findall(self.lower)
        self._pairs = set(pairwise(words))
        self._words = set(words)
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


def _beginning(words: list[str], start: str) -> list[str]:
    """The sorted words that begin so, a few more than are looked at."""
    at = bisect_left(words, start)
    return [word for word in words[at : at + 2 * FEW + 1] if word.startswith(start)]

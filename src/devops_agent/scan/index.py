"""Which patterns match a line, for who looks through many short texts: nearly all fall away without being tried.

A pattern is looked for where a line holds a string of its most telling clause.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from devops_agent.scan.grams import Grams
from devops_agent.scan.literals import holds, telling
from devops_agent.scan.pattern import Pattern

Clause = tuple[str, ...]


class Index:
    """Patterns (but those of role `none`) by the strings of their most telling clauses."""

    def __init__(self, patterns: Sequence[Pattern], regex: Callable[[int], re.Pattern[str]]) -> None:
        self._regex = regex
        self._always = [index for index, each in enumerate(patterns) if each.role != "none" and not each.literals]
        self._keyed: dict[str, list[tuple[int, tuple[Clause, ...]]]] = {}
        for index, pattern in enumerate(patterns):
            if pattern.role == "none" or not pattern.literals:
                continue
            key = max(pattern.literals, key=lambda clause: (telling(clause)[0], min(map(len, clause))))
            rest = tuple(clause for clause in pattern.literals if clause is not key)
            for text in key:
                self._keyed.setdefault(text, []).append((index, rest))
        self._grams = Grams(self._keyed)

    def matching(self, line: str) -> list[int]:
        """Indices of the patterns that match the line, in order."""
        lower = line.lower()
        possible = set(self._always)
        for text in self._grams.held(lower):
            for index, rest in self._keyed[text]:
                if index not in possible and holds(lower, rest):
                    possible.add(index)
        return [index for index in sorted(possible) if self._regex(index).search(line)]

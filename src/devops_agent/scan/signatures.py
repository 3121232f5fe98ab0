"""All signatures of the runbooks over the lines of a log, with their roles resolved."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from devops_agent.scan.index import Index
from devops_agent.scan.literals import holds
from devops_agent.scan.memory import remembered
from devops_agent.scan.pattern import Pattern
from devops_agent.scan.text import TESTED, Text

SHORTEST = 12
WIDEST = 2
"""An anchor's characters at least; strings of a clause at most."""
PLAIN = 2
"""Texts that are looked through without an index: building it costs as much as some thirty of them."""


@dataclass(frozen=True, slots=True)
class Found:
    """A pattern that counts (`index`: its place among all), with the indices of the lines on which it matched."""

    pattern: Pattern
    lines: tuple[int, ...]
    index: int


class Signatures:
    """A set of patterns. Building it costs nothing; each expression is compiled when a text holds its literals."""

    def __init__(self, patterns: Sequence[Pattern], folder: Path | None = None) -> None:
        self.patterns = tuple(patterns)
        self._folder = folder
        self._compiled: dict[int, re.Pattern[str]] = {}
        self._fingerprint = ""
        self._asked = 0
        self._matching: Callable[[str], list[int]] | None = None
        self._by_role: dict[str, dict[str, list[int]]] = {}
        self._by_owner: dict[str, list[int]] = {}
        for index, pattern in enumerate(self.patterns):
            self._by_owner.setdefault(pattern.owner, []).append(index)

    @property
    def fingerprint(self) -> str:
        """Hash of all patterns: the key of what is compiled from them."""
        if not self._fingerprint:
            digest = hashlib.sha256()
            for pattern in self.patterns:
                digest.update(f"{pattern.source}\0{pattern.ignore_case}\0".encode("utf-8", "replace"))
            self._fingerprint = digest.hexdigest()[:32]
        return self._fingerprint

    def folder(self) -> Path:
        """Where the compiled form of these patterns is kept."""
        if self._folder is None:
            self._folder = compiled_folder()
        return self._folder

    def anchors(self) -> list[str]:
        """Strings for which large logs are scanned: where one stands, a pattern may match.

        Of each pattern the clause with the fewest strings that are long enough to be telling; one that holds another
        falls away. The expressions themselves would take minutes to compile together and be scanned at a tenth of the
        speed (measured with 2,800 of them), so lines near an anchor are matched with `re`. Patterns without such a
        clause are looked for in the windows alone.
        """
        found: dict[str, None] = {}
        for pattern in self.patterns:
            clauses = [each for each in pattern.literals if len(each) <= WIDEST and min(map(len, each)) >= SHORTEST]
            if pattern.role != "none" and clauses:
                clauses.sort(key=lambda clause: (len(clause), -min(map(len, clause))))
                found.update(dict.fromkeys(clauses[0]))
        kept: list[str] = []
        for text in sorted(found, key=len):
            if not any(shorter in text for shorter in kept):
                kept.append(text)
        return kept

    def regex(self, index: int) -> re.Pattern[str]:
        """The compiled expression of one pattern."""
        found = self._compiled.get(index)
        if found is None:
            pattern = self.patterns[index]
            found = self._compiled[index] = re.compile(pattern.source, re.IGNORECASE if pattern.ignore_case else 0)
        return found

    def find(self, lines: Sequence[str]) -> list[Found]:
        """Patterns that count on these lines: of each owner whose `any` matches somewhere without one of its `none`
        matching there too, and whose `all` all match some line.
        """
        self._asked += 1
        if self._asked > PLAIN:
            self.prepare()
        if self._matching is not None and len(lines) <= 2 * TESTED:
            matched: dict[int, list[int]] = {}
            for number, line in enumerate(lines):
                for index in self._matching(line):
                    matched.setdefault(index, []).append(number)
            possible, match = sorted(matched), lambda index: matched.get(index, [])
        else:
            text = Text(lines)
            wanted = self._possible(text)
            possible, match = sorted(wanted), lambda index: self._match(index, text) if index in wanted else []
        results: list[Found] = []
        for owner in dict.fromkeys(self.patterns[index].owner for index in possible):
            results.extend(self._owner(self._roles(owner), match, lines))
        return results

    def prepare(self) -> None:
        """Build the index of all patterns now: for who will look through many texts."""
        if self._matching is None:
            self._matching = remembered(Index(self.patterns, self.regex).matching)

    def _roles(self, owner: str) -> dict[str, list[int]]:
        roles = self._by_role.get(owner)
        if roles is None:
            roles = self._by_role[owner] = {"any": [], "all": [], "none": []}
            for index in self._by_owner[owner]:
                roles[self.patterns[index].role].append(index)
        return roles

    def _possible(self, text: Text) -> set[int]:
        """Patterns (but those of role `none`) whose most telling clause stands in the text."""
        holds = text.holds if text.indexed else text.lower.__contains__
        return {
            index
            for index, each in enumerate(self.patterns)
            if each.role != "none" and (not each.literals or any(map(holds, each.literals[0])))
        }

    def _owner(
        self, roles: dict[str, list[int]], match: Callable[[int], list[int]], lines: Sequence[str]
    ) -> list[Found]:
        hits = {index: found for index in roles["any"] if (found := match(index))}
        if not hits:
            return []
        needed = {index: match(index) for index in roles["all"]}
        if not all(needed.values()):
            return []
        if roles["none"]:
            fine = {at: not self._taken_away(roles["none"], lines[at]) for at in set().union(*hits.values())}
            hits = {index: kept for index, found in hits.items() if (kept := [at for at in found if fine[at]])}
        if not hits:
            return []
        return [Found(self.patterns[index], tuple(found), index) for index, found in (hits | needed).items()]

    def _taken_away(self, none: Sequence[int], line: str) -> bool:
        """Whether one of these patterns matches the line. It is compiled only if the line holds all its clauses."""
        lower = line.lower()
        return any(holds(lower, self.patterns[index].literals) and self.regex(index).search(line) for index in none)

    def _match(self, index: int, text: Text) -> list[int]:
        """Indices of the lines on which the pattern matches. It is compiled only if a line holds all its clauses."""
        clauses = self.patterns[index].literals
        numbers = text.where(clauses) if clauses else range(len(text.lines))
        if not numbers:
            return []
        search = self.regex(index).search
        return [number for number in numbers if search(text.lines[number])]


def compiled_folder() -> Path:
    """Where compiled forms are kept, unless somebody says otherwise."""
    from devops_agent.config import default_data_dir

    named = os.environ.get("DEVOPS_AGENT_DATA_DIR")
    return (Path(named) if named else default_data_dir()) / "compiled"

"""All signatures of the runbooks over the lines of a log, with their roles resolved."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from devops_agent.scan.grams import Grams
from devops_agent.scan.pattern import Pattern
from devops_agent.scan.text import Text

SHORTEST = 12
WIDEST = 2
"""An anchor's characters at least; strings of a clause at most."""
PLAIN = 2
"""Texts that are looked through without an index of all strings: building it costs as much as some thirty of them."""


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
        self._longest: list[tuple[str, ...]] | None = None
        self._asked = 0
        self._grams: Grams | None = None
        self._holding: dict[str, list[int]] = {}
        self._always: frozenset[int] = frozenset()
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

    def find(self, lines: Sequence[str], among: Iterable[int] | None = None) -> list[Found]:
        """Patterns that count on these lines: of each owner whose `any` matches somewhere without one of its `none`
        matching there too, and whose `all` all match some line. `among` are the patterns that may match at all.
        """
        text = Text(lines)
        wanted = self._possible(text, among)
        results: list[Found] = []
        for owner in dict.fromkeys(self.patterns[index].owner for index in sorted(wanted)):
            results.extend(self._owner(self._roles(owner), wanted, text))
        return results

    def _roles(self, owner: str) -> dict[str, list[int]]:
        roles = self._by_role.get(owner)
        if roles is None:
            roles = self._by_role[owner] = {"any": [], "all": [], "none": []}
            for index in self._by_owner[owner]:
                roles[self.patterns[index].role].append(index)
        return roles

    def prepare(self) -> None:
        """Build the index of all strings now: for who will look through many texts."""
        if self._grams is not None:
            return
        holding: dict[str, list[int]] = {}
        for index, pattern in enumerate(self.patterns):
            for text in max(pattern.literals, key=_length) if pattern.literals else ():
                holding.setdefault(text, []).append(index)
        self._always = frozenset(index for index, pattern in enumerate(self.patterns) if not pattern.literals)
        self._holding = holding
        self._grams = Grams(text for pattern in self.patterns for clause in pattern.literals for text in clause)

    def _possible(self, text: Text, among: Iterable[int] | None) -> set[int]:
        """Patterns whose longest clause stands in the text, found in one quick go: nearly all fall away here."""
        self._asked += 1
        if self._asked > PLAIN:
            self.prepare()
        if self._grams is None or text.indexed:
            return self._one_by_one(text, range(len(self.patterns)) if among is None else among)
        held = text.known(self._grams.held(text.lower))
        found = {index for string in held & self._holding.keys() for index in self._holding[string]} | self._always
        literals = [(index, self.patterns[index].literals) for index in found]
        found = {index for index, clauses in literals if not any(map(held.isdisjoint, clauses))}
        return found if among is None else found.intersection(among)

    def _one_by_one(self, text: Text, among: Iterable[int]) -> set[int]:
        if self._longest is None:
            self._longest = [max(each.literals, key=_length) if each.literals else ("",) for each in self.patterns]
        holds = text.holds if text.indexed else text.lower.__contains__
        longest = self._longest
        return {index for index in among if any(map(holds, longest[index]))}

    def _owner(self, roles: dict[str, list[int]], wanted: set[int], text: Text) -> list[Found]:
        hits = {index: lines for index in roles["any"] if index in wanted and (lines := self._match(index, text))}
        if not hits:
            return []
        needed = {}
        for index in roles["all"]:
            needed[index] = self._match(index, text) if index in wanted else []
            if not needed[index]:
                return []
        for index in roles["none"]:
            for hit in list(hits):
                hits[hit] = [line for line in hits[hit] if not self.regex(index).search(text.lines[line])]
        hits = {index: lines for index, lines in hits.items() if lines}
        if not hits:
            return []
        return [Found(self.patterns[index], tuple(lines), index) for index, lines in (hits | needed).items()]

    def _match(self, index: int, text: Text) -> list[int]:
        """Indices of the lines on which the pattern matches. It is compiled only if a line holds all its clauses."""
        clauses = self.patterns[index].literals
        if not clauses:
            search = self.regex(index).search
            return [number for number, line in enumerate(text.lines) if search(line)]
        numbers = text.where(clauses)
        if not numbers:
            return []
        search = self.regex(index).search
        return [number for number in numbers if search(text.lines[number])]


def compiled_folder() -> Path:
    """Where compiled forms are kept, unless somebody says otherwise."""
    from devops_agent.config import default_data_dir

    named = os.environ.get("DEVOPS_AGENT_DATA_DIR")
    return (Path(named) if named else default_data_dir()) / "compiled"


def _length(clause: tuple[str, ...]) -> int:
    return min(map(len, clause))

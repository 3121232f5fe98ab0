"""Tables whose head says that a column holds secrets: `| user | password |`, `NAME  PASSWORD`, `user,password`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from devops_agent.distil.value import is_secret

_CELL = re.compile(r"[A-Za-z][\w .#-]{0,39}|#?")
_NAME = re.compile(r"[A-Za-z][\w.-]{0,39}")
_SURE = re.compile(r"(?i)(?:[\w .-]{0,30}[_. -])?(?:password|passwd|pwd|passphrase)")
_LIKELY = re.compile(r"(?i)(?:[\w .-]{0,30}[_. -])?(?:secret|token|(?:api|access|secret)[_ -]?key)")
_BETWEEN = re.compile(r" {2,}")
_RULER = re.compile(r"[\s|+:=─━┼│-]+")
SEPARATORS = "|│\t,;"
MOST = 60
"""Columns of a table."""


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of secrets: `at` with `kind` each; by number where cells are separated, else by their offset."""

    separator: str
    count: int
    at: tuple[tuple[int, str], ...]

    def spans(self, line: str) -> list[tuple[int, int]] | None:
        """Where secrets stand in a row; None where the table is over."""
        if not line.strip():
            return None
        if _RULER.fullmatch(line):
            return []
        cells = dict(_cells(line, self.separator)) if self.separator else _aligned(line, [at for at, _ in self.at])
        if cells is None or (self.separator and len(cells) != self.count):
            return None
        places = [(cells[at], kind) for at, kind in self.at if at in cells]
        return [
            place for place, kind in places if place[1] - place[0] > 2 and is_secret(kind, line[place[0] : place[1]])
        ]


def columns(head: str) -> Columns | None:
    """What the head of a table says; None where the line is none, or names no column of secrets."""
    for separator in SEPARATORS:
        if separator in head:
            cells = list(_cells(head, separator))
            return _of(separator, [(number, head[start:stop]) for number, (start, stop) in cells])
    starts = [0, *(found.end() for found in _BETWEEN.finditer(head.rstrip()))]
    words = [(start, _BETWEEN.split(head[start:], maxsplit=1)[0].rstrip()) for start in starts]
    return _of("", [(start, word) for start, word in words if word])


def _of(separator: str, cells: list[tuple[int, str]]) -> Columns | None:
    named = [text for _, text in cells if text]
    cell = _NAME if separator and separator in ",;" else _CELL  # else half a sentence could be one
    if not 2 <= len(named) <= len(cells) <= MOST or not all(map(cell.fullmatch, named)):
        return None
    sure = "assigned" if separator in ("|", "│") else "strong"
    kinds = [(at, sure if _SURE.fullmatch(text) else "strong" if _LIKELY.fullmatch(text) else "") for at, text in cells]
    at = tuple((number, kind) for number, kind in kinds if kind)
    return Columns(separator, len(cells), at) if at else None


def _cells(line: str, separator: str) -> Iterator[tuple[int, tuple[int, int]]]:
    """Where the cells stand, without the spaces and quotes around them."""
    start = 0
    for number, cell in enumerate(line.split(separator)):
        inner = cell.strip(" \t\"'")
        begin = start + cell.find(inner) if inner else start
        yield number, (begin, begin + len(inner))
        start += len(cell) + 1


def _aligned(line: str, starts: list[int]) -> dict[int, tuple[int, int]] | None:
    """The words that begin just below the heads of columns; None where something goes through between two columns."""
    found: dict[int, tuple[int, int]] = {}
    for start in starts:
        if start and line[start - 1 : start].strip():
            return None
        word = re.compile(r"\S*").match(line, start)
        if word and word[0]:
            found[start] = word.span()
    return found

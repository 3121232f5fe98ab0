"""From one line of one log to a pattern for all its like: what varies becomes a group or a class, few words stay.

Patterns are bounded throughout, so that hyperscan takes them and `re` cannot be slow; `runbooks.patterns.faults` judges
them all the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from devops_agent.runbooks.lines import compiled
from devops_agent.runbooks.patterns import faults

_FORMS: tuple[tuple[str, str, str], ...] = (
    ("url", r"[a-z][a-z0-9+.-]{1,20}://[^\s\"'<>]+", r"[a-z][a-z0-9+.-]{1,20}://[^\s\"'<>]{1,300}"),
    ("masked", r"\[redacted:[\w-]+:\d+\]", r"\S{1,200}"),
    ("time", r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d\S*|\b\d\d:\d\d:\d\d(?:[.,]\d+)?", r"[\dT:.,+Z -]{8,40}"),
    ("host", r"\d{1,3}(?:\.\d{1,3}){3}", r"\d{1,3}(?:\.\d{1,3}){3}"),
    ("path", r"(?<![\w/])(?:~|\.{1,2})?/[\w.@%+-]+(?:/[\w.@%+-]+)*/?", r"[~.]{0,2}/[^\s:\"',;)]{1,300}"),
    ("id", r"\b[0-9a-f]{8}-[0-9a-f-]{27}\b|\b(?=[0-9a-f]*\d)[0-9a-f]{7,64}\b", r"[0-9a-f-]{7,64}"),
    ("name", r"\b(?=[\w.-]*\d)[A-Za-z_][\w.-]*\w\b|\b[\w-]+(?:\.[\w-]+)+\b", r"[\w.@:-]{1,200}"),
    ("number", r"\b\d[\d.,]*", r"\d[\d.,]{0,20}"),
)
_GROUPS = {
    "port": r"\d{2,5}",
    "exit_code": r"\d{1,3}",
    "limit": r"\d{1,20}",
    "path": r"[~.]{0,2}/?[^\s:\"',;()]{1,300}",
    "url": r"[a-z][a-z0-9+.-]{1,20}://[^\s\"'<>]{1,300}",
}
_ANY_GROUP = r"[\w.@/-]{1,200}"
_WORDS = re.compile(r"[A-Za-z]{2,}")
_TROUBLE = re.compile(
    r"error|fatal|fail|exception|panic|refus|denied|cannot|can't|unable|not |no such|missing|invalid|abort|timed? ?out",
    re.I,
)
_TOKEN = re.compile(r"\s+|\w+|[^\w\s]")
LEAST_WORDS = 3
_LEAST_LETTERS = 12
_MOST_TRIED = 80


@dataclass(frozen=True)
class Piece:
    """A part of a line: its text, the pattern that it becomes, and whether it stands as it is."""

    text: str
    source: str
    literal: bool = True
    group: str = ""


def pieces(line: str, values: Mapping[str, str]) -> list[Piece]:
    """The parts of a line. `values`: texts that must become a group, and the fact's name of each."""
    found: list[Piece] = []
    used: set[str] = set()
    named = "|".join(re.escape(text) for text in sorted(values, key=len, reverse=True))
    scanner = re.compile(
        "|".join(
            ([rf"(?P<value>(?<![\w.]){'(?:' + named + ')'}(?![\w]))"] if named else [])
            + [f"(?P<{kind}>{form})" for kind, form, _ in _FORMS]
        )
    )
    at = 0
    for match in scanner.finditer(line):
        found += _plain(line[at : match.start()])
        kind, text, at = str(match.lastgroup), match[0], match.end()
        name = values.get(text, "") if kind == "value" else ""
        if name and name not in used:
            used.add(name)
            found.append(Piece(text, f"(?P<{name}>{_GROUPS.get(name, _ANY_GROUP)})", False, name))
        else:
            source = next((source for each, _, source in _FORMS if each == kind), r"\S{1,200}")
            found.append(Piece(text, source, False))
    return found + list(_plain(line[at:]))


def candidates(
    line: str, values: Mapping[str, str], quiet: Callable[[re.Pattern[str]], bool]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Patterns for a line and the groups of each, the shortest first: those that hit nothing `quiet`, and are sound."""
    parts = pieces(line, values)
    wanted = {each.group for each in parts if each.group}
    tried = 0
    for first, last in _windows(parts, wanted):
        inside = parts[first : last + 1]
        source = "".join(each.source for each in inside)
        tried += 1
        if tried > _MOST_TRIED:
            return
        if not compiled(source).search(line) or any(faults(source)) or not quiet(compiled(source)):
            continue
        yield source, tuple(each.group for each in inside if each.group)


def _windows(parts: list[Piece], wanted: set[str]) -> list[tuple[int, int]]:
    """Spans of parts that begin and end with words or groups, those that hold all groups and the fewest words first."""
    edges = [n for n, each in enumerate(parts) if each.group or (each.literal and _WORDS.fullmatch(each.text))]
    found = []
    for begin, first in enumerate(edges):
        for last in edges[begin:]:
            inside = parts[first : last + 1]
            text = "".join(each.text for each in inside if each.literal)
            words = len(_WORDS.findall(text))
            if words < LEAST_WORDS or len(re.findall(r"[A-Za-z]", text)) < _LEAST_LETTERS:
                continue
            lacking = len(wanted - {each.group for each in inside})
            plain = not _TROUBLE.search(text)
            found.append(((lacking, plain, words, last - first), (first, last)))
    return [span for _, span in sorted(found)] or ([(edges[0], edges[-1])] if edges else [])


def _plain(text: str) -> Iterator[Piece]:
    for token in _TOKEN.findall(text):
        yield Piece(token, r"\s{1,8}" if token.isspace() else re.escape(token).replace("\\ ", " "))

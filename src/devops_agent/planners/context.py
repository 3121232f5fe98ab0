"""Facts that stand beside the decisive words rather than in them: the pod of a `describe`, the address of a `curl`.

What belongs to one kind of failure is in its runbook (`match.facts`), and comes first. The shapes here belong to no
single failure. All of them only fill in what no pattern named.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, lru_cache

from devops_agent.planners import shapes
from devops_agent.runbooks.lines import compiled
from devops_agent.runbooks.schema import fact_name
from devops_agent.scan import Pattern, literals
from devops_agent.scan.index import Index
from devops_agent.scan.literals import holds
from devops_agent.scan.memory import SHORT, remembered

_SHAPES = shapes.ANYWHERE + shapes.DECISIVE


@cache
def _regex(number: int) -> re.Pattern[str]:
    return re.compile(_SHAPES[number])


@cache
def _index() -> Index:
    return Index([Pattern("", at, "any", source, literals(source)) for at, source in enumerate(_SHAPES)], _regex)


@remembered
def _named(line: str) -> list[tuple[int, str, str]]:
    """What the shapes take out of a line: the shape's number, the fact's name, its value."""
    return [
        (number, group.removesuffix("_2"), value)
        for number in _index().matching(line)
        if (match := _regex(number).search(line))
        for group, value in match.groupdict().items()
        if value
    ]


@lru_cache(maxsize=1024)
def _own(source: str) -> tuple[tuple[tuple[str, ...], ...], re.Pattern[str]]:
    """What a runbook's pattern needs in a lower-cased text, and the pattern."""
    return literals(source), compiled(source)


def _take(source: str, line: str) -> tuple[tuple[str, str], ...]:
    """What a runbook's pattern takes out of a line: names and values."""
    needs, regex = _own(source)
    match = regex.search(line) if holds(line.lower(), needs) else None
    return tuple((fact_name(group), value) for group, value in match.groupdict().items() if value) if match else ()


_taken = lru_cache(maxsize=16_384)(_take)


def named_by(sources: Iterable[str], lines: Sequence[str], known: Mapping[str, object]) -> dict[str, str]:
    """What a runbook's `match.facts` take out of these lines: the earlier pattern decides, then the earlier line."""
    found: dict[str, str] = {}
    for source in sources:
        for line in lines:
            for name, value in _taken(source, line) if len(line) <= SHORT else _take(source, line):
                if name not in known:
                    found.setdefault(name, value)
    return found


def beside(known: Mapping[str, object], near: Iterable[str], wide: Iterable[str]) -> dict[str, str]:
    """Further facts from the decisive lines (`near`), then from the excerpt (`wide`); never one that is `known`."""
    found: dict[str, str] = {}
    for lines, shaped in ((near, len(_SHAPES)), (wide, len(shapes.ANYWHERE))):
        for line in lines:
            for number, name, value in _named(line[:2000]):
                if number < shaped and name not in known:
                    found.setdefault(name, value)
    return found

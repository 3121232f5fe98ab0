"""Facts that stand beside the decisive words rather than in them: the pod of a `describe`, the address of a `curl`.

What belongs to one kind of failure is in its runbook (`match.facts`), and comes first. The shapes here belong to no
single failure. All of them only fill in what no pattern named.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property, lru_cache

from devops_agent.planners import shapes
from devops_agent.runbooks.lines import compiled
from devops_agent.runbooks.schema import fact_name
from devops_agent.scan.literals import literals


class _Shape:
    """An expression, compiled when a text first holds what it needs."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.needs = literals(source)

    @cached_property
    def search(self) -> Callable[[str], re.Match[str] | None]:
        return re.compile(self.source).search

    def possible(self, lower: str) -> bool:
        return all(any(map(lower.__contains__, each)) for each in self.needs)


_ANYWHERE = [_Shape(source) for source in shapes.ANYWHERE]
_DECISIVE = [_Shape(source) for source in shapes.DECISIVE]


@lru_cache(maxsize=1024)
def _own(source: str) -> tuple[tuple[tuple[str, ...], ...], re.Pattern[str]]:
    """What a runbook's pattern needs in a lower-cased text, and the pattern."""
    return literals(source), compiled(source)


def named_by(sources: Iterable[str], lines: Sequence[str], known: Mapping[str, object]) -> dict[str, str]:
    """What a runbook's `match.facts` take out of these lines: the earlier pattern decides, then the earlier line."""
    found: dict[str, str] = {}
    lower = [line.lower() for line in lines]
    for source in sources:
        needs, regex = _own(source)
        for line, text in zip(lines, lower, strict=True):
            if not all(any(map(text.__contains__, each)) for each in needs):
                continue
            match = regex.search(line)
            for group, value in match.groupdict().items() if match else ():
                name = fact_name(group)
                if value and name not in known and name not in found:
                    found[name] = value
    return found


def beside(known: Mapping[str, object], near: Iterable[str], wide: Iterable[str]) -> dict[str, str]:
    """Further facts from the decisive lines (`near`), then from the excerpt (`wide`); never one that is `known`."""
    found: dict[str, str] = {}
    for given, kinds in ((near, _ANYWHERE + _DECISIVE), (wide, _ANYWHERE)):
        lines = [line[:2000] for line in given]
        lower = "\n".join(lines).lower()
        searches = [shape.search for shape in kinds if shape.possible(lower)]
        for line in lines:
            for search in searches:
                match = search(line)
                for group, value in match.groupdict().items() if match else ():
                    name = group.removesuffix("_2")
                    if value and name not in known and name not in found:
                        found[name] = value
    return found

"""Facts that stand beside the decisive words rather than in them: the pod of a `describe`, the address of a `curl`.

What belongs to one kind of failure is in its runbook (`match.facts`), and comes first. The shapes here belong to no
single failure. All of them only fill in what no pattern named.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property, lru_cache

from devops_agent.runbooks.lines import compiled
from devops_agent.runbooks.schema import fact_name
from devops_agent.scan.literals import literals

_NAME = r"[a-z0-9](?:[\w.-]{0,250}[\w])?"

_SHAPES: tuple[tuple[str, ...], ...] = (
    (
        rf"Successfully assigned (?P<namespace>{_NAME})/(?P<pod>{_NAME}) to (?P<node>{_NAME})",
        rf"\bkubectl\b.{{0,80}}? -n[ =]?(?P<namespace>{_NAME})\b",
        rf"\bkubectl\b.{{0,80}}?--namespace[ =](?P<namespace>{_NAME})\b",
        rf"\bkubectl\b.{{0,80}}? (?:pod|pods|po)[ /](?P<pod>{_NAME})\b",
        rf"\bpods? [\"'](?:(?P<namespace>{_NAME})/)?(?P<pod>{_NAME})[\"']",
        rf"\bpod[=/:](?:(?P<namespace>{_NAME})/)?(?P<pod>{_NAME})\b",
        rf"\bnamespace[=: ]+[\"']?(?P<namespace>{_NAME})[\"']?",
        rf"\bnode[=/:] ?[\"']?(?P<node>{_NAME})[\"']?",
        rf"\bnode [\"'](?P<node>{_NAME})[\"']",
        rf"\b(?:for|unmounted|mounted|attach) volumes?[ =:]+\[?[\"'](?P<volume>{_NAME})[\"']",
        rf"\bvolume[=/: ]+[\"'](?P<volume>{_NAME})[\"']",
        r"\b(?P<volume>pvc-[0-9a-f]{8}-[0-9a-f-]{27})\b",
        rf"\bcontainer[=/: ]+[\"'](?P<container>{_NAME})[\"']",
        r"\b(?:[Pp]ulling image|[Ii]mage:?|image=) ?\"(?P<image>[\w./:@-]{2,200})\"",
    ),
    (
        r"(?P<url>\bhttps?://[^\s'\"<>|\\^`{}]{4,400}[^\s'\"<>|\\^`{}.,;:)\]])",
        r"(?P<url>\b(?:postgres(?:ql)?|mysql|redis|amqps?|mongodb(?:\+srv)?|ssh|git|ftp|nats|kafka|s3)://[^\s'\"<>]{3,300})",
    ),
    (
        r"\buser(?:name)?[ =:]+[\"'](?P<user>[\w.@-]{1,80})[\"']",
        r"\b(?:user|login|account)=(?P<user>[A-Za-z][\w.@-]{0,80})\b",
        r"\brole[ =:]+[\"'](?P<role>[\w.@-]{1,80})[\"']",
        r"\bdatabase[ =:]+[\"'](?P<database>[\w.-]{1,80})[\"']",
        r"\b(?:dbname|database|db)=(?P<database>[\w.-]{1,80})\b",
        r"\]:?\w{0,40}:? ?(?P<user>\w{1,60})@(?P<database>\w{1,60}),app=",
        r"\b(?i:table|relation)[ =:]+[\"'`](?P<table>[\w.]{1,100})[\"'`]",
        r"\b(?i:insert into|delete from|(?:alter|truncate) table|(?:create|drop) table(?: if (?:not )?exists)?)"
        r" [\"`]?(?P<table>[\w.]{1,100})[\"`]?",
        r"\b(?i:update) [\"`]?(?P<table>[\w.]{1,100})[\"`]? (?i:set)\b",
        r"\b(?i:topic)[ =:]+[\"'`\[]?(?P<topic>[\w.-]{2,200})[\"'`\]]",
        r"\b(?i:queue)[ =:]+[\"'`](?P<queue>[\w.-]{2,200})[\"'`]",
        r"\b(?P<unit>[\w@-]{2,80}\.(?:service|socket|timer|mount))\b(?!\.\w|\()",
        r"\b(?i:branch)[ =:]+[\"'`](?P<branch>[\w./-]{1,200})[\"'`]",
        r"^(?:[\w.@:~/ -]{0,60})?[$#%] (?:sudo )?(?P<command>[\w./+-]{2,40})(?: |$)",
        r"^(?P<test>test\w{2,80}|Test\w{2,80}) \([\w.]{2,120}\) \.{3}\s*$",
        r"\b(?:exit(?:ed with)?|exited with|return) (?:code|status)[ :=]+(?P<exit_code>\d{1,3})\b",
        r"\bhost[ =:]+[\"'](?P<host>[\w.-]{2,253})[\"']",
        r"^(?:fatal|failed|unreachable): \[(?P<host>[\w.-]{2,253})\]",
        r"^PING (?P<host>[\w.-]{2,253}) \(",
        r"\bto (?P<host>\d{1,3}(?:\.\d{1,3}){3})\b",
    ),
)


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


_REGEXES = [_Shape(source) for group in _SHAPES for source in group]
_DECISIVE = [
    _Shape(source)
    for source in (
        r"(?:^|[\s\"'`(])(?P<library>(?:/[\w./+-]{1,200}/)?lib[\w+-]{1,60}\.so(?:\.[\d.]{1,20})?)\b",
        r"[\"'`](?P<path>(?:\.{0,2}/)?[\w@.+-]{1,80}(?:/[\w@.+-]{1,80}){1,15}/?)[\"'`]",
        r"(?:^|[\s(=:])(?P<path>/[\w@.+-]{1,80}(?:/[\w@.+-]{1,80}){1,15}/?)(?:$|[\s),:;])",
        r"\b(?P<path>[\w-]{2,60}\.(?:db|sqlite3?|ya?ml|json|toml|conf|ini|py|js|ts|rb|go|rs|java|tf|lock|txt|env))\b",
        r"\b[Cc]ontainer[ -]?(?:on )?\"(?P<container>[\w.-]{2,100})\"|\bon \"(?P<container_2>container-[\w.-]{1,80})\"",
    )
]
"""Shapes so common that they only count on the decisive lines themselves."""


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
    for given, shapes in ((near, _REGEXES + _DECISIVE), (wide, _REGEXES)):
        lines = [line[:2000] for line in given]
        lower = "\n".join(lines).lower()
        searches = [shape.search for shape in shapes if shape.possible(lower)]
        for line in lines:
            for search in searches:
                match = search(line)
                for group, value in match.groupdict().items() if match else ():
                    name = group.removesuffix("_2")
                    if value and name not in known and name not in found:
                        found[name] = value
    return found

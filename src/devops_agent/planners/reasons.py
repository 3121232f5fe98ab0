"""Where a value in a remedy came from, so that the next incident has its own: the log, a look, the inventory."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from devops_agent.errors import ToolError
from devops_agent.model import Evidence
from devops_agent.runbooks.schema import FACTS
from devops_agent.tools.base import Tool

_BY_SHAPE = (
    ("limit", re.compile(r"\d+")),
    ("url", re.compile(r"[a-z][a-z0-9+.-]*://\S+")),
    ("path", re.compile(r"(?:~|\.{1,2})?/\S+|[\w.-]+/[\w./-]+|[\w-]+\.(?:env|ya?ml|json|toml|conf|cfg|ini|log)")),
    ("host", re.compile(r"\d{1,3}(?:\.\d{1,3}){3}|[\w-]+(?:\.[\w-]+)+")),
    ("variable", re.compile(r"[A-Z][A-Z0-9_]{2,}")),
)
_ALIASES = {"file": "path", "name": "variable", "address": "host", "server": "host", "workload": "resource"}


@dataclass(frozen=True)
class Seen:
    """A look, by the name that a runbook's observation gets."""

    name: str
    probe: str
    args: dict[str, Any]
    data: dict[str, Any]


@dataclass
class Sources:
    """Everything that a value can be bound to. `texts` are the decisive lines; `groups` what was taken from them."""

    texts: Sequence[str]
    looks: Sequence[Seen] = ()
    service: str | None = None
    entry: Mapping[str, Any] = field(default_factory=dict)
    groups: dict[str, str] = field(default_factory=dict)
    literals: list[str] = field(default_factory=list)
    _used: set[str] = field(default_factory=set)

    def bound(self, arg: str, value: Any, looks: bool = True) -> Any:
        """The value as a runbook says it: `$name`, `$look.field`, `$service.field`, or as it is (and remembered)."""
        if isinstance(value, Mapping):
            return {key: self.bound(key, each, looks) for key, each in value.items()}
        if isinstance(value, list | tuple):
            return [self.bound(arg, each, looks) for each in value]
        if not _telling(value):
            return value
        if self.service and value == self.service:
            return "$service.name"
        group = self._group(arg, str(value))
        if group:
            return f"${group}"
        for look in self.looks if looks else ():
            path = next(_paths(look.data, value), None)
            if path is not None:
                self._used.add(look.name)
                return f"${look.name}.{path}"
        path = next(_paths(self.entry, value), None)
        if path is not None:
            return f"$service.{path}"
        self.literals.append(f"{arg} = {value}")
        return value

    @property
    def used(self) -> set[str]:
        """Names of the looks that something was bound to."""
        return self._used

    def _group(self, arg: str, text: str) -> str:
        """The name of the log's group that holds this text; none where no decisive line has it as a word."""
        if text in self.groups:
            return self.groups[text]
        word = re.compile(rf"(?<![\w.]){re.escape(text)}(?!\w)")
        if not any(word.search(line) for line in self.texts):
            return ""
        wanted = _ALIASES.get(arg, arg)
        shape = next((name for name, form in _BY_SHAPE if form.fullmatch(text)), "resource")
        name = wanted if wanted in FACTS else shape
        if name in self.groups.values():
            name = next((each for each in ("resource", "key", "job") if each not in self.groups.values()), "")
        if name:
            self.groups[text] = name
        return name


def seen(looked: Sequence[Evidence], tools: Mapping[str, Tool]) -> list[Seen]:
    """The looks that saw something, with their arguments; each kind gets a name of its own."""
    found: list[Seen] = []
    for each in looked:
        tool = tools.get(each.source)
        if each.data is None or tool is None or tool.kind != "probe":
            continue
        inside = each.id.partition("(")[2].rpartition(")#")[0]
        words = re.split(r"(?:^|, )(\w+)=", inside)
        given = dict(zip(words[1::2], words[2::2], strict=True))
        try:
            args = tool.check({name: value for name, value in given.items() if value != "None"})
        except ToolError:
            continue
        count = sum(one.probe == each.source for one in found)
        found.append(Seen(each.source + (f"_{count + 1}" if count else ""), each.source, args, each.data))
    return found


def _telling(value: Any) -> bool:
    """Whether a value says something about this incident: no switch, no small number, no single letter."""
    if isinstance(value, bool) or value is None:
        return False
    return value >= 10 if isinstance(value, int | float) else isinstance(value, str) and len(value) > 1


def _paths(data: Any, wanted: Any, depth: int = 0) -> Iterator[str]:
    """Where in some data a value stands, shallowest first within each part."""
    rows: Iterable[tuple[Any, Any]] = ()
    if isinstance(data, Mapping | list | tuple):
        rows = data.items() if isinstance(data, Mapping) else enumerate(data)
    items = [(str(key), value) for key, value in rows if re.fullmatch(r"[\w-]+", str(key))]
    for key, value in items:
        if not isinstance(value, bool) and str(value) == str(wanted) and not isinstance(value, Mapping | list | tuple):
            yield key
    for key, value in items if depth < 2 else ():
        for path in _paths(value, wanted, depth + 1):
            yield f"{key}.{path}"

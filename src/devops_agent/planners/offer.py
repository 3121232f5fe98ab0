"""Which tools a model is offered: only those that fit the place, the most promising first, in few bytes."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from devops_agent.inventory import Inventory, Place
from devops_agent.llm.request import Function
from devops_agent.planners import data
from devops_agent.tools.base import Tool

_DESCRIPTION = 110
_FOUND = 6
_NAME = re.compile(r"^[a-zA-Z0-9_-]{1,64}$")
_WORD = re.compile(r"[a-z]{3,}")
_COMMON = {
    "service_logs": 1.2,
    "service_status": 1.2,
    "read_log": 0.8,
    "service_health": 0.7,
    "process_info": 0.5,
    "port_owner": 0.5,
    "disk_usage": 0.5,
    "memory_usage": 0.4,
    "file_stat": 0.4,
    "read_file": 0.4,
}
"""Where the words of the log point nowhere, one looks at these."""

_CLUSTER = {"kubect", "kubern", "pod", "pods", "deploy", "namesp", "helm", "crashl"}
_KINDS = {"psql": "postgres", "redis-cli": "redis"}


def fits(tool: Tool, place: Place, has: Callable[[str], bool]) -> bool:
    """Whether a tool can do anything here: what it works on is in the inventory, the programs it needs are there."""
    if "__" in tool.name:
        return True  # of another server: its arguments mean nothing of the inventory
    inventory = place.inventory
    required = {name for name, p in tool.parameters.items() if p.default is p.empty}
    sections = _sections(inventory)
    for name in tool.parameters:
        only = name in required or (name not in ("service", "secret", "certificate", "lock"))
        if name in sections and not sections[name] and only:
            return False
    if any(not _kind_fits(program, inventory) or not has(program) for program in tool.needs):
        return False
    if "container" in tool.name and "service" in required:
        return any(service.supervisor == "docker" for service in inventory.services.values())
    if tool.name == "environment_of" and not inventory.environments:
        return False
    if "migration" in tool.name and inventory.migrations is None:
        return False
    if "release" in tool.name.split("_") and "lock" not in tool.name:
        return any(service.releases for service in inventory.services.values())
    return not tool.name.startswith("python_") or any(e.kind == "python" for e in inventory.environments.values())


def ranked(tools: Iterable[Tool], text: str, first: Iterable[str] = (), usual: bool = True) -> list[Tool]:
    """Tools by how much their name and summary share with a text; `first` are those that runbooks would use.

    `usual`: what one mostly looks at comes before what the words hardly speak of.
    """
    known = list(tools)
    words = {tool.name: _words(f"{tool.name} {tool.summary}") for tool in known}
    often = Counter(word for own in words.values() for word in own)
    wanted = _words(text)
    ahead = set(first)

    def score(tool: Tool) -> float:
        shared = sum(1 / math.sqrt(often[word]) for word in words[tool.name] & wanted)
        prior = _COMMON.get(tool.name, 0.0) / 2 - (0.5 if _elsewhere(tool, wanted) else 0.0) if usual else 0.0
        return shared / math.sqrt(len(words[tool.name]) + 4) + prior + 10 * (tool.name in ahead)

    return sorted(known, key=lambda tool: (-score(tool), tool.name))


def _elsewhere(tool: Tool, words: set[str]) -> bool:
    """Whether a tool is for clusters, and nothing in the text speaks of one."""
    return "kubectl" in tool.needs and not words & _CLUSTER


def functions(tools: Iterable[Tool], room: int) -> list[Function]:
    """The first tools as functions, as many as there is room for."""
    made: list[Function] = []
    for tool in tools:
        if not _NAME.match(tool.name):
            continue  # providers refuse the whole request for it
        one = function(tool)
        room -= len(json.dumps([one.name, one.description, one.schema])) + 60
        if room < 0:
            break
        made.append(one)
    return made


def function(tool: Tool) -> Function:
    """A tool as a function for a model."""
    return Function(tool.name, data.line(_first_sentence(tool.summary)), schema(tool))


def schema(tool: Tool) -> dict[str, Any]:
    """The JSON Schema of a tool's arguments without what a model does not need to know."""
    whole = tool.schema()
    made: dict[str, Any] = {
        "type": "object",
        "properties": {name: _slim(value) for name, value in whole.get("properties", {}).items()},
    }
    if whole.get("required"):
        made["required"] = whole["required"]
    return made


def signatures(tools: Iterable[Tool], room: int) -> str:
    """Changes as a list of `name(argument, optional?)`, as many as there is room for."""
    lines: list[str] = []
    for tool in tools:
        line = signature(tool)
        room -= len(line) + 2
        if room < 0:
            break
        lines.append(line)
    return "; ".join(lines)


def signature(tool: Tool) -> str:
    """`name(argument, optional?)`"""
    args = (name if p.default is p.empty else f"{name}?" for name, p in tool.parameters.items())
    return f"{tool.name}({', '.join(args)})"


def found(tools: Mapping[str, Tool], words: str) -> list[Tool]:
    """The tools that some words are about, best first."""
    exact = [tools[name] for name in re.findall(r"[a-z_]+", words.lower()) if name in tools]
    wanted = _words(words.replace("_", " "))
    others = [
        each
        for each in ranked(tools.values(), words.replace("_", " "), usual=False)
        if each not in exact and wanted & _words(f"{each.name.replace('_', ' ')} {each.summary}")
    ]
    return [*exact, *others][:_FOUND]


def described(tool: Tool) -> str:
    """A tool in a line or two, with its whole summary and arguments."""
    args = json.dumps(schema(tool)["properties"], separators=(",", ":"))
    return f"{tool.name} [{tool.kind}, {tool.effect}] {data.line(tool.summary)} args: {data.line(args, 600)}"


def _sections(inventory: Inventory) -> dict[str, Any]:
    return {
        "service": inventory.services,
        "datastore": inventory.datastores,
        "repository": inventory.repositories,
        "environment": inventory.environments,
        "certificate": inventory.certificates,
        "volume": inventory.volumes,
        "lock": inventory.locks,
        "check": inventory.checks,
        "candidate": inventory.trust,
        "secret": inventory.secrets,
    }


def _kind_fits(program: str, inventory: Inventory) -> bool:
    if program in _KINDS:
        return any(store.kind.startswith(_KINDS[program]) for store in inventory.datastores.values())
    if program == "npm":
        return any(each.kind == "npm" for each in inventory.environments.values())
    return True


def _words(text: str) -> set[str]:
    """The words of a text by their first six letters, so that `listens` meets `listening`."""
    return {word[:6] for word in _WORD.findall(text.lower())}


def _first_sentence(text: str) -> str:
    sentence = re.split(r"(?<=[a-z)`])\. ", text, maxsplit=1)[0].rstrip(".")
    return sentence if len(sentence) <= _DESCRIPTION else sentence[: _DESCRIPTION - 1] + "…"


def _slim(value: dict[str, Any]) -> dict[str, Any]:
    """`anyOf` with null, titles, bounds and defaults of None are left out; the tool itself checks arguments anyway."""
    options = [each for each in value.get("anyOf", ()) if each.get("type") != "null"]
    if options:
        value = {**options[0], "default": value.get("default")}
    names: tuple[str, ...] = ("type", "enum", "items", "const")
    kept: dict[str, Any] = {name: value[name] for name in names if name in value}
    if "items" in kept and isinstance(kept["items"], dict):
        kept["items"] = _slim(kept["items"])
    if value.get("default") not in (None, "", [], ()):
        kept["default"] = value["default"]
    return kept or {"type": "string"}

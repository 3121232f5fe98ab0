"""Which tools there are: every Tool in a module of the catalogue, and those that other packages bring along.

Other packages name a module in the entry point group `devops_agent.tools`; a name that is taken already is refused.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from types import ModuleType

from devops_agent.errors import ConfigError, NotFound
from devops_agent.tools import catalogue
from devops_agent.tools.base import Tool

ENTRY_POINTS = "devops_agent.tools"


@functools.cache
def tools() -> dict[str, Tool]:
    """All tools by name, in the order of their names."""
    found: dict[str, Tool] = {}
    for info in pkgutil.iter_modules(catalogue.__path__):
        _collect(importlib.import_module(f"{catalogue.__name__}.{info.name}"), found)
    for module in _foreign():
        _collect(module, found)
    return dict(sorted(found.items()))


def tool(name: str, among: dict[str, Tool] | None = None) -> Tool:
    """The tool of that name; raises NotFound, naming near ones."""
    known = tools() if among is None else among
    if name in known:
        return known[name]
    import difflib

    near = ", ".join(difflib.get_close_matches(name, known, 3))
    raise NotFound(f"no tool {name!r}" + (f" (perhaps {near})" if near else ""))


def _collect(module: ModuleType, found: dict[str, Tool]) -> None:
    for value in list(vars(module).values()):
        if not isinstance(value, Tool) or value.function.__module__ != module.__name__:
            continue
        if value.name in found:
            raise ConfigError(f"tool {value.name!r} of {module.__name__} exists already")
        found[value.name] = value


def _foreign() -> list[ModuleType]:
    from importlib.metadata import entry_points

    return [entry.load() for entry in entry_points(group=ENTRY_POINTS)]

"""What the agent knows and can do: runbooks, causes, tools, places; and who is asking."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from devops_agent.errors import NotFound
from devops_agent.web import auth
from devops_agent.web.api import backend
from devops_agent.web.v1.operations import operation
from devops_agent.web.v1.shapes import (
    Places,
    Runbook,
    RunbookQuery,
    Runbooks,
    Tool,
    Tools,
    Who,
)

if TYPE_CHECKING:
    from devops_agent.tools import base


@operation("GET", "/runbooks", tag="catalogue", query=RunbookQuery, answer=Runbooks)
def list_runbooks(query: RunbookQuery) -> dict[str, Any]:
    """All runbooks in force, or those for one cause."""
    known = sorted(backend().library().runbooks.values(), key=lambda each: (each.cause, each.id))
    chosen = [each for each in known if query.cause in (None, each.cause)]
    return {"items": [{"id": each.id, "cause": each.cause, "title": each.title} for each in chosen]}


@operation("GET", "/runbooks/<runbook_id>", tag="catalogue", answer=Runbook, problems=(404,))
def get_runbook(runbook_id: str) -> dict[str, Any]:
    """One runbook, as it is written: signatures, what is looked at, findings, remedies, proof."""
    found = backend().library().runbooks.get(runbook_id)
    if found is None:
        raise NotFound(f"no runbook {runbook_id!r}")
    content = found.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return {"id": found.id, "cause": found.cause, "title": found.title, "content": content}


@operation("GET", "/tools", tag="catalogue", answer=Tools)
def list_tools() -> dict[str, Any]:
    """All probes and changes that plans are made of."""
    from devops_agent.tools import registry

    known = sorted(registry.tools().values(), key=lambda tool: (tool.kind != "probe", tool.name))
    return {"items": [_tool(each) for each in known]}


@operation("GET", "/tools/<name>", tag="catalogue", answer=Tool, problems=(404,))
def get_tool(name: str) -> dict[str, Any]:
    """One tool: what it does, what it takes, whether what it does can be undone."""
    from devops_agent.tools import registry

    found = registry.tools().get(name)
    if found is None:
        raise NotFound(f"no tool {name!r}")
    return _tool(found)


@operation("GET", "/places", tag="catalogue", answer=Places)
def list_places() -> dict[str, Any]:
    """The places of the inventory that the caller may send incidents of; the first is meant where none is named."""
    mine = auth.caller().places
    known = backend().agent.places
    return {
        "items": [{"name": name, "labels": each.labels} for name, each in known.items() if mine is None or name in mine]
    }


@operation("GET", "/me", tag="keys", answer=Who)
def who_am_i() -> dict[str, Any]:
    """Who the service takes the caller for."""
    found = auth.caller()
    return {
        "name": found.name,
        "role": found.role,
        "places": None if found.places is None else sorted(found.places),
        "keys": auth.doors().closed(),
    }


def _tool(each: base.Tool) -> dict[str, Any]:
    return {
        "name": each.name,
        "kind": each.kind,
        "effect": each.effect,
        "summary": each.summary,
        "parameters": list(each.parameters),
    }

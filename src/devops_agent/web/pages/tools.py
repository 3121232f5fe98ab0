"""The catalogue of tools: what the agent can look at, and what it can change."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

from flask import request

from devops_agent.tools import registry
from devops_agent.web import body
from devops_agent.web.api import backend
from devops_agent.web.pages.frame import blueprint, render

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue


@blueprint.get("/tools")
def tools() -> ResponseReturnValue:
    """All tools, changes first; searched by the address."""
    text = body.clean(request.args.get("q", "")).strip()[:200]
    words = text.lower().split()
    known = [
        each
        for each in registry.tools().values()
        if all(word in f"{each.name} {each.kind} {each.effect} {each.summary}".lower() for word in words)
    ]
    return render(
        "tools.html",
        q=text,
        changes=[each for each in known if each.kind == "change"],
        probes=[each for each in known if each.kind == "probe"],
    )


@blueprint.get("/tools/<name>")
def tool(name: str) -> ResponseReturnValue:
    """One tool: what it does, its arguments, its guards, and the runbooks that use it."""
    found = registry.tool(name)
    books = [each for each in backend().library().runbooks.values() if _uses(each, name)]
    text = inspect.getdoc(found.function) or ""
    return render("tool.html", tool=found, text=text, books=sorted(books, key=lambda each: each.id))


def _uses(book: object, name: str) -> bool:
    looks = {each.probe for each in getattr(book, "observe", ())}
    changes = {step.change for finding in getattr(book, "findings", ()) for step in finding.remedy}
    return name in looks or name in changes

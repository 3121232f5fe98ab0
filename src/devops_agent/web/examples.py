"""Examples for `GET /example_errors`: one of every kind of failure that users send, each to be posted back as it is."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from devops_agent.yamlfile import parse


@cache
def examples() -> list[dict[str, str]]:
    """Context, description and the cause that is expected of the diagnosis."""
    text = (files("devops_agent.web") / "examples.yaml").read_text(encoding="utf-8")
    return [
        {"context": each["context"].rstrip("\n"), "description": each["description"], "cause": each["cause"]}
        for each in parse(text, "examples.yaml")
    ]

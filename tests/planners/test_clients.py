"""Bare error lines, as clients of the HTTP contract send them: the cause, what the text names, and what is planned."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from devops_agent.planners.examples import Reader
from devops_agent.runbooks.load import library
from devops_agent.yamlfile import read

CASES: list[dict[str, Any]] = read(Path(__file__).parents[1] / "cases" / "clients.yaml")


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader(library())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["text"][:60])
def test_one_line_is_enough(case: dict[str, Any], reader: Reader) -> None:
    found = reader.diagnose(case["text"])
    assert found.cause == case["cause"], found.summary
    facts = {name: str(value) for name, value in found.facts.items()}
    assert {name: facts.get(name) for name in case.get("facts", {})} == case.get("facts", {})
    planned = {step.tool: step.args for step in found.planned}
    for wanted in case.get("plan", []):
        tool, args = next(iter(wanted.items())) if isinstance(wanted, dict) else (wanted, {})
        assert tool in planned
        assert {name: planned[tool].get(name) for name in args} == args
    if case["cause"] != "unknown":
        assert found.failure
        assert found.advice
        assert "read_log" in planned

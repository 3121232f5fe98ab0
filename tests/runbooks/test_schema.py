"""The JSON Schema for editors: made from the code, with what there is to choose from, and the short forms allowed."""

from __future__ import annotations

from devops_agent.runbooks.schema import FACTS, Runbook, editor_schema


def test_it_knows_causes_tools_and_facts_and_forbids_what_is_unknown() -> None:
    made = editor_schema(["b", "a"], ["look"], ["mend"])
    assert made["properties"]["cause"]["enum"] == ["a", "b"]
    parts = made["$defs"]
    assert parts["Observation"]["properties"]["probe"]["enum"] == ["look"]
    assert parts["Remedy"]["properties"]["change"]["anyOf"][0]["enum"] == ["mend"]
    assert made["properties"]["defaults"]["propertyNames"]["enum"] == sorted(FACTS)
    assert made["additionalProperties"] is False
    assert set(made["properties"]) == set(Runbook.model_fields)
    assert {"match", "advice", "examples", "references"} <= set(made["required"])


def test_short_forms_are_allowed() -> None:
    made = editor_schema([], [], [])
    kinds = [each.get("type") for each in made["$defs"]["Match"]["properties"]["none"]["anyOf"]]
    assert sorted(kinds) == ["array", "string"]
    any_ = made["$defs"]["Match"]["properties"]["any"]
    assert "string" in str(any_)
    assert "Signature" in str(any_)

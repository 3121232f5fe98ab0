"""What the documents show of the policy file is what the program takes and does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from devops_agent import policy
from devops_agent.inventory import Inventory, Place
from devops_agent.model import Action, Plan
from devops_agent.runbooks.load import library
from devops_agent.tools import registry

TEXT = (Path(__file__).parents[2] / "docs" / "policy.md").read_text()
EXAMPLES = re.findall(r"```yaml\n(.*?)```", TEXT, re.S)


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_every_example_is_a_policy_that_names_what_there_is(tmp_path: Path, number: int) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(EXAMPLES[number])
    made = policy.load(file)
    for _, fit in made.rules:
        assert set(fit.tool or ()) <= set(registry.tools())
    known = library().runbooks
    assert made.shadow <= set(known)
    assert {cause for _, fit in made.rules for cause in fit.cause or ()} <= {each.cause for each in known.values()}


def test_every_field_of_the_file_is_documented() -> None:
    rows = set(re.findall(r"^\| `?(\w+)`? \|", TEXT, re.M))
    assert set(policy.Fit.model_fields) <= rows
    for name in ("freeze", "shadow", "limits"):
        assert name in rows
    for name in ("failures_per_hour", "hosts_per_cause_per_hour", "days", "from", "until", "zone"):
        assert f"`{name}`" in TEXT
    limits = policy.Limits()
    assert f"person goes on ({limits.failures_per_hour})" in TEXT
    assert f"may touch ({limits.hosts_per_cause_per_hour})" in TEXT


@pytest.mark.parametrize(
    ("labels", "tool", "effect", "verdict", "persons"),
    [
        ({"env": "production"}, "rollout_undo", "change", "deny", 1),
        ({"env": "production"}, "free_port", "destroy", "ask", 2),
        ({"env": "staging"}, "free_port", "destroy", "ask", 1),
        ({"env": "staging"}, "restart_service", "change", "allow", 1),
        ({"env": "production"}, "restart_service", "change", "ask", 1),
    ],
)
def test_the_first_example_does_what_it_says(
    tmp_path: Path, labels: dict[str, str], tool: str, effect: str, verdict: str, persons: int
) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(re.sub(r"freeze:\n.*\n", "", EXAMPLES[0]))
    plan = Plan(actions=(Action.model_validate({"id": "a1", "tool": tool, "effect": effect}),)).sealed()
    ruling = policy.load(file).review(plan, Place(Inventory(labels=labels)))
    assert (ruling.verdict, ruling.persons) == (verdict, persons)

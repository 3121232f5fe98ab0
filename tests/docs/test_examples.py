"""What the documents show as files is accepted by the program that reads such files."""

from __future__ import annotations

import re
from pathlib import Path

from devops_agent import policy
from devops_agent.runbooks.lint import lint
from devops_agent.tools.registry import tools

DOCS = Path(__file__).parents[2] / "docs"
YAML = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)


def test_the_runbook_that_is_written_in_ten_minutes_has_no_problem(tmp_path: Path) -> None:
    text = YAML.findall((DOCS / "write-a-runbook.md").read_text())[0]
    name = re.match(r"id: (\w+)", text)
    assert name is not None
    file = tmp_path / f"{name[1]}.yaml"
    file.write_text(text)
    assert lint(file, tools()) == []


def test_all_policies_that_are_shown_are_policies(tmp_path: Path) -> None:
    shown = YAML.findall((DOCS / "policy.md").read_text())
    assert len(shown) >= 6
    for text in shown:
        file = tmp_path / "policy.yaml"
        file.write_text(text)
        policy.load(file)

"""What no planner can even ask for, and what is kept nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from devops_agent import bootstrap
from devops_agent.config import Settings
from devops_agent.tools import registry


def test_no_tool_takes_a_mode_or_a_force_from_a_planner() -> None:
    for tool in registry.tools().values():
        if tool.kind == "change":
            taken = set(tool.parameters) & {"mode", "force", "forced", "owner", "argv", "command", "shell", "script"}
            assert taken <= {"mode"}, tool.name
            if "mode" in taken:
                with pytest.raises(Exception, match=r"(?i)mode"):
                    tool.check({"path": "x", "mode": "0777"})


# Approvals


def test_a_secret_in_a_title_is_kept_nowhere(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    made = bootstrap.make_incident("ERROR: x\n", settings, title="login as postgres://me:hunter2hunter2@db/x fails")
    assert "hunter2hunter2" not in made.model_dump_json()
    assert made.titled
    assert not bootstrap.make_incident("building\nERROR: x\n", settings).titled

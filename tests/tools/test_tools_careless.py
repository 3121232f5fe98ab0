"""A careless planner: whatever it proposes, tools refuse or do no harm."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from devops_agent.errors import BadArguments, NotAllowed, ToolError
from devops_agent.model import Check, Step
from devops_agent.tools.toolbox import Toolbox

Box = Callable[..., Toolbox]


@pytest.fixture
def tools(box: Box, workspace: Path) -> Toolbox:
    (workspace / "app.env").write_text("PORT=1\nMEMORY_LIMIT=256m\n")
    (workspace / "data").mkdir()
    (workspace / "data" / "orders.env").write_text("A=1\n")
    (workspace / "secrets").mkdir()
    (workspace / "secrets" / "db").write_text("s3cret-value\n")
    (workspace / "link.env").symlink_to("data/orders.env")
    service = {"config": ["app.env", "data/orders.env", "link.env"], "supervisor": "command", "run": ["true"]}
    return box(services={"shop": service}, protected=["data"], secrets={"directory": "secrets"})


def refused(tools: Toolbox, tool: str, kind: type[Exception] = NotAllowed, match: str = "", **args: Any) -> None:
    with pytest.raises(kind, match=match):
        tools.preview(Step(tool=tool, args=args), 1)


@pytest.mark.parametrize("file", ["../outside.env", "/etc/passwd", "data/../../x", "secrets/db", "other.env"])
def test_files_that_no_repair_may_edit(tools: Toolbox, file: str) -> None:
    refused(tools, "set_value", match="config", file=file, key="A", value="2")


@pytest.mark.parametrize("file", ["data/orders.env", "link.env", "./data//orders.env"])
def test_protection_beats_config_also_through_links(tools: Toolbox, file: str, workspace: Path) -> None:
    refused(tools, "set_value", match="protected", file=file, key="A", value="2")
    assert (workspace / "data" / "orders.env").read_text() == "A=1\n"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("SSL_VERIFY", "false"), ("requirepass_auth", "off"), ("verify", False), ("sslmode_ssl", "disable"),
        ("DATABASE_URL", "postgres://h/db?sslmode=disable"), ("INSECURE_SKIP_TLS", "true"), ("PermitRootLogin", "yes"),
        ("protected-mode", "no"), ("checksum", 0),
    ],
)  # fmt: skip
def test_no_safeguard_is_switched_off(tools: Toolbox, key: str, value: Any) -> None:
    refused(tools, "set_value", match="weaken", file="app.env", key=key, value=value)


def test_there_is_no_tool_that_takes_a_shell_line_or_a_signal(tools: Toolbox) -> None:
    for name in ("kill", "shell", "run", "bash", "exec", "delete_file", "chmod"):
        refused(tools, name, BadArguments, match="no tool")
    for tool in tools.tools.values():
        assert not {"command_line", "shell", "script", "signal"} & set(tool.parameters)


def test_shell_signs_in_arguments_stay_text(tools: Toolbox, workspace: Path) -> None:
    evil = "x; touch owned $(touch owned) `touch owned` | touch owned"
    action = tools.preview(Step(tool="set_value", args={"file": "app.env", "key": "NAME", "value": evil}), 1)
    assert tools.apply(action).status == "succeeded"
    assert not (workspace / "owned").exists()
    assert f"NAME='{evil}'" in (workspace / "app.env").read_text()
    outcome = tools.apply(
        tools.preview(Step(tool="rerun_test", args={"test_id": "t.py::x; touch owned", "times": 1}), 1)
    )
    assert outcome.status == "failed"
    assert not (workspace / "owned").exists()


@pytest.mark.parametrize("pid", [1, os.getpid(), os.getppid()], ids=["first", "own", "parent"])
def test_processes_that_are_never_ended(tools: Toolbox, pid: int) -> None:
    refused(tools, "end_process", match="not ended", pid=pid)


def test_unknown_and_missing_arguments_are_named(tools: Toolbox) -> None:
    refused(tools, "set_value", BadArguments, match="force", file="app.env", key="A", value=1, force=True)
    refused(tools, "set_value", BadArguments, match="file", key="A", value=1)
    refused(tools, "end_process", BadArguments, match="started", pid=1, started=5)
    with pytest.raises(BadArguments, match="is a change"):
        tools.probe("set_value", {"file": "app.env", "key": "A", "value": 1})


def test_a_file_that_changed_since_the_plan_is_left_alone(tools: Toolbox, workspace: Path) -> None:
    action = tools.preview(Step(tool="set_value", args={"file": "app.env", "key": "PORT", "value": 2}), 1)
    (workspace / "app.env").write_text("PORT=7\n")
    outcome = tools.apply(action)
    assert outcome.status == "failed"
    assert "changed since" in outcome.output
    assert (workspace / "app.env").read_text() == "PORT=7\n"


def test_undo_puts_back_the_bytes_and_leaves_what_others_changed(tools: Toolbox, workspace: Path) -> None:
    file = workspace / "app.env"
    file.chmod(0o600)
    before = file.read_bytes()
    action = tools.preview(Step(tool="set_value", args={"file": "app.env", "key": "PORT", "value": 2}), 1)
    assert tools.apply(action).status == "succeeded"
    assert tools.revert(action).status == "succeeded"
    assert file.read_bytes() == before
    assert file.stat().st_mode & 0o777 == 0o600
    assert tools.apply(action).status == "succeeded"
    file.write_text("somebody else\n")
    assert tools.revert(action).status == "failed"
    assert file.read_text() == "somebody else\n"


def test_copies_for_undo_lie_in_the_data_directory_alone(tools: Toolbox, workspace: Path) -> None:
    before = sorted(workspace.iterdir())
    digest = hashlib.sha256((workspace / "app.env").read_bytes()).hexdigest()
    tools.apply(tools.preview(Step(tool="set_value", args={"file": "app.env", "key": "PORT", "value": 2}), 1))
    assert sorted(workspace.iterdir()) == before
    copy = tools.data_dir / "copies" / digest
    assert copy.is_file()
    assert copy.stat().st_mode & 0o077 == 0
    copy.write_text("damaged")
    action = tools.preview(Step(tool="set_value", args={"file": "app.env", "key": "PORT", "value": 3}), 1)
    assert action.undo


def test_a_new_file_is_taken_away_again(box: Box, workspace: Path) -> None:
    tools = box(services={"shop": {"config": ["new/app.env"]}})
    action = tools.preview(Step(tool="set_value", args={"file": "new/app.env", "key": "A", "value": "b"}), 1)
    assert tools.apply(action).status == "succeeded"
    assert (workspace / "new" / "app.env").read_text() == "A=b\n"
    assert tools.revert(action).status == "succeeded"
    assert not (workspace / "new" / "app.env").exists()


def test_edits_of_one_plan_build_on_each_other(tools: Toolbox, workspace: Path) -> None:
    steps = [
        Step(tool="set_value", args={"file": "app.env", "key": key, "value": "x"}) for key in ("PORT", "NEW", "PORT2")
    ]
    actions: list[Any] = []
    for number, step in enumerate(steps):
        actions.append(tools.preview(step, number, actions))
    assert [tools.apply(action).status for action in actions] == ["succeeded"] * 3
    assert (workspace / "app.env").read_text() == "PORT=x\nMEMORY_LIMIT=256m\nNEW=x\nPORT2=x\n"
    assert [tools.revert(action).status for action in reversed(actions)] == ["succeeded"] * 3
    assert (workspace / "app.env").read_text() == "PORT=1\nMEMORY_LIMIT=256m\n"


def test_a_secret_goes_into_the_file_and_nowhere_else(tools: Toolbox, workspace: Path) -> None:
    action = tools.preview(Step(tool="set_value", args={"file": "app.env", "key": "WORD", "secret": "db"}), 1)
    outcome = tools.apply(action)
    assert outcome.status == "succeeded", outcome.output
    assert "WORD=s3cret-value" in (workspace / "app.env").read_text()
    assert "s3cret-value" not in action.model_dump_json() + outcome.model_dump_json()
    seen = tools.probe("env_value", {"name": "WORD"})
    assert seen["present"]
    refused(tools, "set_value", file="app.env", key="W", secret="../app.env")


@pytest.mark.parametrize(
    ("probe", "args"),
    [
        ("read_file", {"path": "secrets/db"}),
        ("read_file", {"path": "/etc/shadow"}),
        ("read_log", {"file": "/etc/ssh/ssh_host_rsa_key"}),
        ("read_file", {"path": "/proc/self/environ"}),
        ("http_check", {"url": "file:///etc/passwd"}),
        ("http_check", {"url": "http://me:word@127.0.0.1/"}),
        ("python_module", {"module": "os; import x"}),
        ("command_present", {"command": "--version"}),
        ("read_log", {"unit": "--vacuum-size=1"}),
        ("largest_files", {"path": "-delete"}),
    ],
)
def test_probes_that_would_tell_or_do_too_much(tools: Toolbox, probe: str, args: dict[str, Any]) -> None:
    with pytest.raises(ToolError):
        tools.probe(probe, args)


def test_a_link_to_a_secret_is_not_read_either(tools: Toolbox, workspace: Path) -> None:
    (workspace / "innocent.log").symlink_to("secrets/db")
    with pytest.raises(NotAllowed, match="secrets"):
        tools.probe("read_log", {"file": "innocent.log"})


def test_a_check_that_changes_something_is_no_probe(box: Box, workspace: Path) -> None:
    tools = box(
        checks={"deploy": {"command": ["touch", "deployed"], "effect": "change"}, "look": {"command": ["true"]}}
    )
    with pytest.raises(NotAllowed, match="changes something"):
        tools.probe("check_result", {"check": "deploy"})
    assert [result.name for result in tools.health().results] == ["check:look"]
    assert not (workspace / "deployed").exists()
    assert tools.run_check("deploy").passed
    assert (workspace / "deployed").exists()


def test_what_cannot_be_seen_is_neither_passed_nor_failed(tools: Toolbox) -> None:
    assert tools.evaluate(Check(probe="no_such_probe", expect=("result.x == 1",))).passed is None
    assert tools.evaluate(Check(probe="memory_usage", expect=("result.no_such_field == 1",))).passed is None
    assert tools.evaluate(Check(probe="memory_usage", expect=("result.total_bytes > 1",))).passed is True
    assert tools.evaluate(Check(probe="memory_usage", expect=("result.total_bytes < 1",))).passed is False


def test_everything_that_comes_back_is_redacted(tmp_path: Path, workspace: Path, box: Box) -> None:
    (workspace / "app.log").write_text("using hunter2\n")
    place = box(services={"shop": {"logs": ["app.log"]}}, checks={"c": {"command": ["echo", "hunter2"]}}).place
    tools = Toolbox(place, tmp_path / "d", redact=lambda text: text.replace("hunter2", "[secret]"))
    assert tools.probe("read_log", {})["text"] == "using [secret]"
    assert "hunter2" not in tools.run_check("c").detail

"""Tools that clients know (free_port is in test_tools_ports): memory, timeouts, tests, logs; and env_value."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from devops_agent.errors import NotAllowed, ToolError
from devops_agent.model import Action, Outcome, Step
from devops_agent.tools.toolbox import Toolbox

Box = Callable[..., Toolbox]


def perform(tools: Toolbox, tool: str, **args: Any) -> tuple[Action, Outcome]:
    action = tools.preview(Step(tool=tool, args=args), 1)
    return action, tools.apply(action)


@pytest.mark.parametrize(
    ("name", "before", "args", "after"),
    [
        ("app.env", "MEMORY_LIMIT=256m # each\n", {"mb": 512}, "MEMORY_LIMIT=512m # each\n"),
        ("app.env", "JAVA_OPTS=-Xms64m -Xmx512m\n", {"mb": 1024}, "JAVA_OPTS=-Xms64m -Xmx1024m\n"),
        (
            "app.env",
            "NODE_OPTIONS=--max-old-space-size=512\n",
            {"mb": 2048},
            "NODE_OPTIONS=--max-old-space-size=2048\n",
        ),
        ("php.ini", "[PHP]\nmemory_limit = 128M\n", {"mb": 256}, "[PHP]\nmemory_limit = 256M\n"),
        ("shop.service", "[Service]\nMemoryMax=1G\n", {"mb": 1500}, "[Service]\nMemoryMax=2G\n"),
        (
            "deploy.yaml",
            "spec:\n  resources:\n    requests: {memory: 64Mi}\n    limits:\n      memory: 128Mi # tight\n",
            {"mb": 256},
            "spec:\n  resources:\n    requests: {memory: 64Mi}\n    limits:\n      memory: 256Mi # tight\n",
        ),
        (
            "redis.conf",
            "maxmemory 64mb\nmaxmemory-policy noeviction\n",
            {"mb": 128},
            "maxmemory 128mb\nmaxmemory-policy noeviction\n",
        ),
    ],
)
def test_memory_is_raised_where_it_is_written(
    box: Box, workspace: Path, name: str, before: str, args: dict[str, Any], after: str
) -> None:
    (workspace / name).write_text(before)
    tools = box(services={"shop": {"config": [name]}})
    action, outcome = perform(tools, "increase_memory", **args)
    assert outcome.status == "succeeded", outcome.output
    assert (workspace / name).read_text() == after
    assert tools.apply(action).status == "already"
    assert tools.revert(action).status == "succeeded"
    assert (workspace / name).read_text() == before


@pytest.mark.parametrize(
    ("name", "before", "seconds", "after"),
    [
        ("app.env", "REQUEST_TIMEOUT=30\n", 60, "REQUEST_TIMEOUT=60\n"),
        ("app.env", "TIMEOUT_MS=3000\n", 60, "TIMEOUT_MS=60000\n"),
        ("shop.service", "[Service]\nTimeoutStartSec=1min 30s\n", 300, "[Service]\nTimeoutStartSec=300s\n"),
        (
            "ci.yml",
            "jobs:\n  test:\n    timeout-minutes: 5 # too tight\n",
            600,
            "jobs:\n  test:\n    timeout-minutes: 10 # too tight\n",
        ),
        ("ci.yml", "test:\n  timeout: 1h\n", 5400, "test:\n  timeout: 2h\n"),
        ("jest.config.json", '{"testTimeout": 5000}\n', 30, '{"testTimeout": 30000}\n'),
        (
            "pyproject.toml",
            "[tool.pytest.ini_options]\ntimeout = 10\n",
            60,
            "[tool.pytest.ini_options]\ntimeout = 60\n",
        ),
        ("site.nginx", "server {\n  proxy_read_timeout 5s;\n}\n", 60, "server {\n  proxy_read_timeout 60s;\n}\n"),
    ],
)
def test_timeouts_are_raised_where_they_are_written(
    box: Box, workspace: Path, name: str, before: str, seconds: int, after: str
) -> None:
    (workspace / name).write_text(before)
    _, outcome = perform(box(services={"shop": {"config": [name]}}), "increase_timeout", seconds=seconds)
    assert outcome.status == "succeeded", outcome.output
    assert (workspace / name).read_text() == after


@pytest.mark.parametrize(
    "text", ["MEMORY_LIMIT=2g\n", "MEMORY_LIMIT=-1\n", "MEMORY_LIMIT=unlimited\n", "MEMORY_LIMIT=512m\n"]
)
def test_nothing_is_ever_lowered(box: Box, workspace: Path, text: str) -> None:
    (workspace / "app.env").write_text(text)
    action, outcome = perform(box(services={"shop": {"config": ["app.env"]}}), "increase_memory", mb=512)
    assert (action.already, outcome.status) == (True, "already")
    assert (workspace / "app.env").read_text() == text


def test_which_one_is_asked_with_the_candidates_named(box: Box, workspace: Path) -> None:
    (workspace / "app.env").write_text("WEB_MEMORY=256m\nWORKER_MEMORY=256m\n")
    tools = box(services={"shop": {"config": ["app.env"]}})
    with pytest.raises(NotAllowed, match=r"WEB_MEMORY = 256m; .*WORKER_MEMORY = 256m"):
        perform(tools, "increase_memory", mb=512)
    assert perform(tools, "increase_memory", mb=512, key="WEB_MEMORY")[1].status == "succeeded"
    assert (workspace / "app.env").read_text() == "WEB_MEMORY=512m\nWORKER_MEMORY=256m\n"


def test_without_a_setting_or_an_inventory_it_asks(box: Box, workspace: Path) -> None:
    with pytest.raises(NotAllowed, match="no inventory"):
        perform(box(), "increase_memory", mb=512)
    with pytest.raises(NotAllowed, match="nothing that limits memory"):
        perform(box(services={"shop": {}}), "increase_memory", mb=512)
    (workspace / "app.env").write_text("MEMORY=1m\n")
    assert perform(box(), "increase_memory", mb=2, file="app.env")[1].status == "succeeded"
    with pytest.raises(NotAllowed, match="outside the workspace"):
        perform(box(), "increase_memory", mb=2, file="../elsewhere.env")


def test_without_an_inventory_the_usual_files_are_named(box: Box, workspace: Path) -> None:
    (workspace / ".github" / "workflows").mkdir(parents=True)
    (workspace / ".github" / "workflows" / "ci.yml").write_text("jobs:\n  test:\n    timeout-minutes: 5\n")
    with pytest.raises(NotAllowed, match=r"\.github/workflows/ci\.yml: jobs\.test\.timeout-minutes = 5"):
        perform(box(), "increase_timeout", seconds=600)
    assert perform(box(), "increase_timeout", seconds=600, file=".github/workflows/ci.yml")[1].status == "succeeded"


def test_more_memory_than_the_machine_has_is_no_limit(box: Box, workspace: Path) -> None:
    (workspace / "app.env").write_text("MEMORY=1m\n")
    with pytest.raises(NotAllowed, match="the machine has"):
        perform(box(services={"shop": {"config": ["app.env"]}}), "increase_memory", mb=1 << 23)


COUNTER = "#!/bin/sh\nn=$(cat n 2>/dev/null || echo 0); n=$((n+1)); echo $n > n; echo run $n; [ $n -ge {} ]\n"


@pytest.mark.parametrize(
    ("passes", "status", "word"),
    [(1, "succeeded", "first attempt"), (2, "succeeded", "flaky"), (9, "failed", "broken")],
)
def test_flaky_is_told_from_broken(box: Box, workspace: Path, passes: int, status: str, word: str) -> None:
    (workspace / "check").write_text(COUNTER.format(passes))
    (workspace / "check").chmod(0o755)
    _, outcome = perform(box(checks={"smoke": {"command": ["./check"]}}), "rerun_test", test_id="smoke")
    assert (outcome.status, word in outcome.output) == (status, True), outcome.output
    assert (workspace / "n").read_text().strip() == str(min(passes, 3))


def argv(tools: Toolbox, test_id: str, **args: Any) -> list[str]:
    command = tools.preview(Step(tool="rerun_test", args={"test_id": test_id, **args}), 1).commands[0]
    assert command.kind == "run"
    return list(command.argv)


def test_the_projects_own_runner_is_found(box: Box, workspace: Path) -> None:
    tools = box()
    with pytest.raises(NotAllowed, match="no test runner"):
        argv(tools, "x")
    (workspace / "go.mod").write_text("module x\n")
    assert argv(tools, "TestPay/card") == ["go", "test", "-count=1", "-run", "^TestPay$/^card$", "./..."]
    (workspace / "conftest.py").write_text("")
    assert argv(tools, "tests/test_a.py::test_b")[1:] == [
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--",
        "tests/test_a.py::test_b",
    ]
    with pytest.raises(NotAllowed, match="several test runners"):
        argv(tools, "something")
    web = workspace / "web"
    web.mkdir()
    (web / "package.json").write_text('{"scripts": {"test": "mocha"}}')
    assert argv(tools, "pays", folder="web") == ["npm", "test", "--", "-g", "pays"]
    with pytest.raises(NotAllowed, match="outside the workspace"):
        argv(tools, "x", folder="../..")
    with pytest.raises(NotAllowed, match="not the name of a test"):
        argv(tools, "--pdb")


def test_a_real_test_is_run_again(box: Box, workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (workspace / "test_it.py").write_text("def test_good(): pass\ndef test_bad(): assert 1 == 2\n")
    python = Path(shutil.which("pytest") or "").parent / "python"
    (workspace / ".venv" / "bin").mkdir(parents=True)
    import sys

    (workspace / ".venv" / "bin" / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (workspace / ".venv" / "bin" / "python").chmod(0o755)
    assert python
    tools = box()
    assert perform(tools, "rerun_test", test_id="test_it.py::test_good")[1].status == "succeeded"
    outcome = perform(tools, "rerun_test", test_id="test_it.py::test_bad", times=2)[1]
    assert outcome.status == "failed"
    assert "broken: failed 2 times of 2" in outcome.output


def test_logs(box: Box, workspace: Path) -> None:
    (workspace / "a.log").write_text("".join(f"line {number}\n" for number in range(1000)))
    (workspace / "b.log").write_text("other\n")
    tools = box(services={"a": {"logs": ["a.log"]}, "b": {"logs": ["b.log", "gone.log"]}})
    seen = tools.probe("read_log", {"file": "a.log", "lines": 2})
    assert (seen["text"], seen["truncated"]) == ("line 998\nline 999", True)
    seen = tools.probe("read_log", {})
    assert "==> " in seen["text"]
    assert seen["text"].splitlines()[-1] == "other"
    assert len(seen["errors"]) == 1
    assert tools.probe("service_logs", {"service": "b"})["text"].endswith("other")
    with pytest.raises(ToolError, match="no inventory"):
        box().probe("read_log", {})


def test_the_end_of_a_very_large_log(box: Box, workspace: Path) -> None:
    with (workspace / "big.log").open("wb") as file:
        file.seek(1 << 30)
        file.write(b"\nthe end\n")
    seen = box(services={"a": {"logs": ["big.log"]}}).probe("read_log", {"lines": 1})
    assert (seen["text"], seen["truncated"]) == ("the end", True)


def test_what_is_known_of_a_variable(box: Box, workspace: Path) -> None:
    (workspace / "app.env").write_text("PORT=1\nAPI_TOKEN=abc\nEMPTY=\n")
    (workspace / "env.example").write_text("# site zurich: CHF\nCURRENCY=\n# say how\nREGION=eu-1\n# OLD=1\n")
    tools = box(services={"shop": {"config": ["app.env"], "templates": ["env.example"]}})

    def seen(name: str) -> dict[str, Any]:
        return tools.probe("env_value", {"name": name})

    assert (seen("PORT")["present"], seen("PORT")["value"]) == (True, "1")
    assert (seen("EMPTY")["present"], seen("EMPTY")["empty"]) == (True, True)
    assert (seen("API_TOKEN")["present"], seen("API_TOKEN")["value"]) == (True, None)
    assert (seen("CURRENCY")["present"], seen("CURRENCY")["proper"], seen("CURRENCY")["hint"]) == (
        False,
        None,
        "site zurich: CHF",
    )
    assert seen("REGION")["proper"] == "eu-1"
    assert not seen("NOWHERE")["documented"]
    assert tools.probe("setting", {"file": "app.env", "key": "PORT"})["value"] == "1"
    assert tools.probe("setting", {"file": "app.env", "key": "API_TOKEN"})["value"] is None

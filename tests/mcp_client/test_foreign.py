"""Tools of other MCP servers as probes: real servers over stdio and HTTP, allowed, limited, masked, ended."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("mcp")

from devops_agent.distil.redact import redact
from devops_agent.errors import BadArguments, ConfigError, NotAllowed, ToolError
from devops_agent.inventory import Inventory, Place
from devops_agent.model import Diagnosis, Digest, Evidence, Incident, Plan, Proposal, Step
from devops_agent.pipeline import Agent, handle
from devops_agent.planners import Look
from devops_agent.planners.offer import function
from devops_agent.policy import Fit, Policy
from devops_agent.run import MemoryJournal, Run, attempts
from devops_agent.scan import Signatures
from devops_agent.tools import foreign, registry
from devops_agent.tools.outward import Outward
from devops_agent.tools.toolbox import Toolbox

SERVER = str(Path(__file__).with_name("there.py"))


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Where the server leaves traces. Whatever it started is ended after the test; the test says whether it had to."""
    yield tmp_path
    for pid in running(tmp_path):
        os.kill(pid, signal.SIGKILL)


def running(folder: Path) -> list[int]:
    pids = [int(path.suffix[1:]) for path in folder.glob("pid.*")]
    return [pid for pid in pids if _alive(pid)]


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def tables(folder: Path, **more: Any) -> dict[str, Any]:
    server = {"command": [sys.executable, SERVER, str(folder)], "probes": ["query_*", "fetch"], "timeout": 15}
    return {"there": {**server, **more}}


def toolbox(folder: Path, known: dict[str, Any], **inventory: Any) -> Toolbox:
    place = Place(Inventory.model_validate(inventory), folder=folder)
    everything = {**registry.tools(), **known}
    return Toolbox(place, folder / "data", everything, redact=lambda text: redact(text)[0])


def close(known: dict[str, Any]) -> None:
    for tool in known.values():
        tool.session.close()


@pytest.fixture
def known(folder: Path) -> Iterator[dict[str, Any]]:
    made = foreign.tools(tables(folder, changes={"silence": "change"}))
    yield made
    close(made)
    assert running(folder) == []


def test_only_what_is_allowed_is_offered_and_nothing_runs_until_it_is_asked(
    folder: Path, known: dict[str, Any]
) -> None:
    names = {
        "query_metrics",
        "query_environment",
        "query_much",
        "query_slowly",
        "query_badly",
        "query_and_exit",
        "fetch",
    }
    assert {name.removeprefix("there__") for name in known} == names | {"silence"}
    assert {name for name, tool in known.items() if tool.kind == "change"} == {"there__silence"}
    assert running(folder) == []
    told = function(known["there__query_metrics"])
    assert told.schema["required"] == ["name"]
    assert "over the last minutes" in told.description
    one = foreign.tools(tables(folder, probes=["query_and_drop"]))
    assert list(one) == ["there__query_and_drop"]
    close(one)


def test_an_answer_is_data_that_is_masked_and_capped(
    folder: Path, known: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "key-of-the-agent")
    box = toolbox(folder, known)
    seen = box.probe("there__query_metrics", {"name": "errors"})
    assert seen["text"].startswith("errors: 1 2 3 over 5 minutes")
    assert "hunter2" not in str(seen)
    much = box.probe("there__query_much", {})
    assert (much["truncated"], len(much["text"]) < 65_000) == (True, True)
    assert "key-of-the-agent" not in str(box.probe("there__query_environment", {}))
    assert len(running(folder)) == 1
    with pytest.raises(ToolError, match="query_badly"):
        box.probe("there__query_badly", {})


@pytest.mark.parametrize(
    ("args", "said"),
    [({}, "'name' is a required property"), ({"name": 5}, "name"), ({"name": "x", "unit": "s"}, "no such argument")],
)
def test_arguments_are_judged_by_its_schema(
    folder: Path, known: dict[str, Any], args: dict[str, Any], said: str
) -> None:
    with pytest.raises(BadArguments, match=said):
        toolbox(folder, known).probe("there__query_metrics", args)
    assert running(folder) == []


@pytest.mark.slow
def test_a_server_that_hangs_or_dies_is_ended_with_all_it_started(folder: Path) -> None:
    known = foreign.tools(tables(folder, timeout=1.5))
    box = toolbox(folder, known)
    with pytest.raises(ToolError, match=r"no answer within 1\.5 s"):
        box.probe("there__query_slowly", {})
    assert running(folder) == []
    with pytest.raises(ToolError, match="there"):
        box.probe("there__query_and_exit", {})
    assert "1 2 3" in box.probe("there__query_metrics", {"name": "x"})["text"]  # started anew
    close(known)
    assert running(folder) == []


@pytest.mark.slow
def test_a_server_that_cannot_be_started_offers_nothing(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert foreign.tools({"gone": {"command": ["no-such-program"], "probes": ["*"]}}) == {}
    silent = {"command": [sys.executable, "-c", "import time; time.sleep(60)"], "probes": ["*"], "start_timeout": 1}
    assert foreign.tools({"silent": silent}) == {}
    assert "mcp_servers.gone" in caplog.text
    assert "mcp_servers.silent" in caplog.text
    assert foreign.tools(tables(folder, probes=["nothing_*"])) == {}
    assert "it has no tool nothing_*" in caplog.text


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({}, "either `command` or `url`"),
        ({"command": ["x"], "url": "http://127.0.0.1/"}, "either `command` or `url`"),
        ({"command": ["x"], "changes": {"drop": "read"}}, "effect of a change"),
        ({"command": ["x"], "probe": ["y"]}, "mcp_servers.there.probe"),
        ({"command": ["x"], "env": {"TOKEN": "$NOT_SET_ANYWHERE"}}, "NOT_SET_ANYWHERE is not set"),
    ],
)
def test_wrong_settings_name_server_and_field(table: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=r"mcp_servers\.there") as raised:
        foreign.tools({"there": table})
    assert said in str(raised.value)


def test_addresses_that_a_planner_made_up_are_not_handed_over(folder: Path, known: dict[str, Any]) -> None:
    box = toolbox(folder, known)
    box.outward = Outward(box.place)
    box.outward.reported(Digest(evidence=(Evidence(id="log:1", source="log", text="GET http://shop.lan/cart failed"),)))
    assert box.probe("there__fetch", {"url": "http://shop.lan/cart"})["text"] == "fetched"
    for url in ("http://evil.example/?d=c2VjcmV0", "http://169.254.169.254/latest/"):
        with pytest.raises(NotAllowed):
            box.probe("there__fetch", {"url": url})
    assert (folder / "fetched").read_text() == "http://shop.lan/cart\n"


class Silencing:
    """Looks with a tool of the server, and proposes one that is declared to be a change."""

    name = "model"

    def diagnose(self, digest: Any, history: Any, look: Look) -> Diagnosis:
        seen = look("there__query_metrics", {"name": "errors"})
        return Diagnosis(cause="config_invalid", confidence=1.0, looked=(seen,))

    def propose(self, diagnosis: Diagnosis, run: Any) -> Proposal:
        return Proposal(
            cause=diagnosis.cause, steps=(Step(tool="there__silence", args={"alert": "disk"}, why="noise"),)
        )


def walked(folder: Path, known: dict[str, Any], policy: Policy) -> MemoryJournal:
    place = Place(Inventory(), folder=folder)
    box = partial(Toolbox, data_dir=folder / "data", tools={**registry.tools(), **known})
    agent = Agent(Silencing(), policy, Signatures([]), box, {place.name: place}, settle=0.0, max_attempts=1)
    journal = MemoryJournal()
    incident = Incident(id="i", title="t", log="ERROR: it is broken\nexit code 1\n")
    handle(incident, agent, place, Run(journal, patience=0.0))
    return journal


def test_a_declared_change_is_a_plan_that_policy_judges(folder: Path, known: dict[str, Any]) -> None:
    denied = attempts(walked(folder, known, Policy((("deny", Fit()),))))[0]
    assert denied.plan is not None
    assert [(each.tool, each.effect) for each in denied.plan.actions] == [("there__silence", "change")]
    assert denied.diagnosis is not None
    assert denied.diagnosis.looked[0].data is not None
    assert not (folder / "silenced").exists()
    done = attempts(walked(folder, known, Policy((("allow", Fit()),))))[0]
    assert [each.status for each in done.outcomes] == ["succeeded"]
    assert (folder / "silenced").read_text() == "disk 1\n"


def test_an_undeclared_one_is_never_a_step(folder: Path) -> None:
    known = foreign.tools(tables(folder, probes=["silence"]))
    plan = attempts(walked(folder, known, Policy((("allow", Fit()),))))[0].plan
    close(known)
    assert isinstance(plan, Plan)
    assert all(action.effect == "read" for action in plan.actions)


@pytest.mark.slow
def test_over_http(folder: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen([sys.executable, SERVER, str(folder), str(port)], stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.1)
        known = foreign.tools({"far": {"url": f"http://127.0.0.1:{port}/mcp", "probes": ["query_metrics"]}})
        assert toolbox(folder, known).probe("far__query_metrics", {"name": "x"})["text"].startswith("x: 1 2 3")
        close(known)
    finally:
        process.kill()
        process.wait(10)

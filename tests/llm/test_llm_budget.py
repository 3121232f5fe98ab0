"""Caps of a day over incidents, callers and processes; and the way from the settings to a model that is asked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from devops_agent import planning
from devops_agent.bootstrap import build_agent, build_worker, make_incident, open_jobs
from devops_agent.config import Settings
from devops_agent.errors import ConfigError
from devops_agent.jobs.spending import spent
from devops_agent.planners.cascade import CascadePlanner
from devops_agent.planners.runbook import RunbookPlanner
from llm.scripted import Reply, serving

LOG = "starting\nERROR: the frobnicator has lost its marbles\nexit 1\n"
ENDING = Reply(
    calls=[
        (
            "conclude",
            {
                "cause": "config_invalid",
                "summary": "It lost them.",
                "confidence": 0.9,
                "evidence": [{"id": "log:2", "quote": "lost its marbles"}],
            },
        )
    ]
)


def settings(folder: Path, **more: Any) -> Settings:
    return Settings(data_dir=folder, patience_seconds=0, settle_seconds=0, **more)


def test_the_cap_of_a_day_holds_over_jobs_and_the_runbooks_answer_then(tmp_path: Path) -> None:
    with serving(ENDING) as server:
        made = settings(tmp_path, model_base_url=server.url, budget_day_dollars=0.054)
        jobs = open_jobs(made)
        worker = build_worker(made, jobs, build_agent(made))
        reports = []
        for number in range(3):
            log = LOG.replace("frobnicator", f"frobnicator of {'abc'[number]}")
            name = jobs.submit([make_incident(log, made)], requester="ann").jobs[0]
            worker.work_until_answered(name)
            reports.append(jobs.report(name))
        asked = len(server.asked)
    causes = [made.attempts[-1].diagnosis.cause for made in reports]
    assert 1 <= asked < 3
    assert causes == ["config_invalid"] * asked + ["unknown"] * (3 - asked)
    assert "one day may cost $0.054" in reports[-1].attempts[-1].diagnosis.remarks[0]
    assert reports[-1].usage.requests == 0
    rows = {row.account: row for row in spent(jobs.engine)}
    assert rows["ann"].calls == asked
    assert rows["ann"].dollars == pytest.approx(sum(made.usage.dollars for made in reports))
    assert rows[""].dollars <= 0.054


def test_who_plans_by_settings_and_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("OPEN_AI_API_KEY", "OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    assert isinstance(build_agent(settings(tmp_path)).planner, RunbookPlanner)
    with pytest.raises(ConfigError, match="no key for gpt-4o"):
        build_agent(settings(tmp_path, planner="model"))
    with pytest.raises(ConfigError, match="DEVOPS_AGENT_MODEL_PRICE"):
        build_agent(settings(tmp_path, model_base_url="http://127.0.0.1:1/v1", model_price="cheap"))
    (tmp_path / ".env").write_text("ANTHROPIC_API_KEY=k\n")
    own = settings(tmp_path, model="claude-sonnet-5-5")
    planner = build_agent(own).planner
    assert isinstance(planner, CascadePlanner)
    assert planner.order == "auto"
    assert planning.who_plans(own)[1].startswith("Runbooks plan; anthropic:claude-sonnet-5-5 is asked")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert isinstance(build_agent(own).planner, RunbookPlanner)
    assert "pip install 'devops-agent[llm]'" in planning.who_plans(own)[1]
    with pytest.raises(ConfigError, match=r"devops-agent\[llm\]"):
        build_agent(settings(tmp_path, model="claude-sonnet-5-5", planner="model_first"))


def run(folder: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    base = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    given = {f"DEVOPS_AGENT_{name}": value for name, value in env.items()}
    return subprocess.run(
        [sys.executable, "-m", "devops_agent", *arguments],
        env={**base, "DEVOPS_AGENT_DATA_DIR": str(folder / "data"), **given},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_on_the_command_line(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    log.write_text(LOG.replace("marbles", "marbles token=ghp_" + "a1B2" * 9))
    known = tmp_path / "known.log"
    known.write_text("bind() to 0.0.0.0:1 failed (98: Address already in use)\nexit 1\n")
    with serving(ENDING) as server:
        shown = run(tmp_path, "handle", str(log), "--show-request", MODEL_BASE_URL=server.url)
        request = json.loads(shown.stdout)
        assert (request["url"], request["body"]["model"]) == (f"{server.url}/chat/completions", "gpt-4o")
        assert request["bytes"] <= 8192
        assert "lost its marbles" in shown.stdout
        assert "ghp_" not in shown.stdout
        quiet = run(tmp_path, "handle", str(known), "--show-request", MODEL_BASE_URL=server.url)
        assert "nothing would be sent: the runbooks answer (port_in_use)" in quiet.stderr
        assert server.asked == []
        said = run(tmp_path, "handle", str(log), "--dry-run", MODEL_BASE_URL=server.url)
        assert "Cause: config_invalid  (confidence 0.75)" in said.stdout
        assert "concluded by a model in 1 turns" in said.stdout
        assert "Model: 1 request to gpt-4o; 1000 tokens in, 100 out; $0.0035" in said.stdout
        assert b"ghp_" not in server.asked[0].raw
        found = run(tmp_path, "diagnose", str(log), "--planner", "model", "--json", MODEL_BASE_URL=server.url)
        assert json.loads(found.stdout)["cause"] == "config_invalid"
        alone = run(tmp_path, "diagnose", str(log), "--json", MODEL_BASE_URL=server.url)
        assert json.loads(alone.stdout)["cause"] == "unknown"
        assert len(server.asked) == 2


def test_without_a_model_nothing_of_it_is_imported(tmp_path: Path) -> None:
    code = (
        "import sys; from devops_agent.bootstrap import build_agent; from devops_agent.config import Settings; "
        f"build_agent(Settings(data_dir={str(tmp_path)!r})); "
        "print([m for m in sys.modules if m.split('.')[0] in ('pydantic_ai', 'openai', 'anthropic', 'genai_prices') "
        "or m.startswith('devops_agent.llm.wire')])"
    )
    env = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    ran = subprocess.run(
        [sys.executable, "-c", code], env=env, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "[]"

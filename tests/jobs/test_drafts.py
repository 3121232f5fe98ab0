"""The whole circle: a failure that no runbook knows, an answer from elsewhere, its proof, a draft, then a runbook."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from devops_agent import bootstrap
from devops_agent.config import Settings
from devops_agent.errors import RequestError
from devops_agent.jobs import audit, drafts
from devops_agent.model import Check, Diagnosis, Proposal, Report, Step
from devops_agent.planners.draft import Draft

JOINS = """
import pathlib, re, sys
here = pathlib.Path(sys.argv[1])
epoch = re.search(r"RING_EPOCH=(\\d+)", (here / "app.env").read_text())[1]
ledger = (here / "ledger").read_text().strip()
if epoch != ledger:
    sys.exit(f"ringd[311]: FATAL ring epoch {epoch} in app.env is behind the ledger's epoch {ledger}, will not join")
"""


class Ring:
    """A place whose check fails where a setting is behind a ledger."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "joins.py").write_text(JOINS)
        (folder / "own").mkdir()
        check = {"command": [sys.executable, "joins.py", str(folder)]}
        inventory = {
            "workspace": str(folder),
            "services": {"ring": {"config": ["app.env"]}},
            "checks": {"joins": check},
        }
        (folder / "ring.yaml").write_text(yaml.safe_dump(inventory))
        (folder / "policy.yaml").write_text("- {allow: {effect: change}}\n")
        self.settings = Settings(
            data_dir=folder / "data",
            inventory=folder / "ring.yaml",
            policy=folder / "policy.yaml",
            patience_seconds=0,
            settle_seconds=0,
        )

    def breaks(self, epoch: int, ledger: int) -> str:
        """The log of the failing check."""
        (self.folder / "app.env").write_text(f"# ring\nRING_EPOCH={epoch}\nPORT=9000\n")
        (self.folder / "ledger").write_text(f"{ledger}\n")
        command = [sys.executable, "joins.py", str(self.folder)]
        ended = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False)
        assert ended.returncode == 1
        return f"joining the ring\n{ended.stderr}exit code 1\n"

    def works(self) -> bool:
        command = [sys.executable, "joins.py", str(self.folder)]
        return subprocess.run(command, cwd=self.folder, capture_output=True, check=False).returncode == 0

    def handle(self, log: str) -> Report:
        """Through the agent's own command, with the own runbooks: no model."""
        (self.folder / "new.log").write_text(log)
        names = {"DATA_DIR": "data", "RUNBOOKS": "own", "INVENTORY": "ring.yaml", "POLICY": "policy.yaml"}
        environment = {**os.environ, **{f"DEVOPS_AGENT_{name}": str(self.folder / at) for name, at in names.items()}}
        for name in ("OPENAI_API_KEY", "OPEN_AI_API_KEY"):
            environment.pop(name, None)
        argv = [sys.executable, "-m", "devops_agent", "handle", str(self.folder / "new.log"), "--json"]
        ended = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=90, check=False)
        assert ended.returncode in (0, 3), ended.stderr
        return Report.model_validate(json.loads(ended.stdout))


class Knowing:
    """Stands for a model: knows what this failure means, cites the line, looks, and proposes."""

    name = "model"

    def __init__(self, ledger: str, proof: bool = True) -> None:
        self.ledger, self.proof = ledger, proof

    def diagnose(self, digest: Any, history: Any, look: Any) -> Diagnosis:
        line = next(each for each in digest.evidence if "FATAL" in each.text)
        seen = look("setting", {"file": "app.env", "key": "RING_EPOCH"})
        return Diagnosis(
            cause="config_invalid",
            summary="The ring's epoch in the settings is behind the ledger's.",
            confidence=0.8,
            evidence=(line.id, seen.id),
            planner="model",
            service="ring",
            advice=("Set RING_EPOCH to the ledger's epoch.",),
            looked=(seen,),
        )

    def propose(self, diagnosis: Diagnosis, run: Any) -> Proposal:
        args = {"file": "app.env", "key": "RING_EPOCH", "value": self.ledger}
        gone = Check(
            probe="setting", args={"file": "app.env", "key": "RING_EPOCH"}, expect=(f"result.value == '{self.ledger}'",)
        )
        checks = (gone,) if self.proof else ()
        return Proposal(
            cause=diagnosis.cause, steps=(Step(tool="set_value", args=args, why="as the ledger says"),), checks=checks
        )


@pytest.fixture
def ring(tmp_path: Path) -> Ring:
    return Ring(tmp_path)


def solved(ring: Ring, log: str, planner: Any) -> tuple[Any, str]:
    """The job that this planner solved, and the store."""
    store = bootstrap.open_jobs(ring.settings)
    worker = bootstrap.build_worker(
        ring.settings, store, replace(bootstrap.build_agent(ring.settings), planner=planner)
    )
    worker.shelf = None
    job = store.submit([bootstrap.make_incident(log, ring.settings)], "test").jobs[0]
    worker.work_until_answered(job)
    return store, job


def test_what_a_model_found_out_is_known_next_time(ring: Ring) -> None:
    log = ring.breaks(3107, 4711)
    before = ring.handle(log)
    assert before.status == "needs_person"
    assert before.attempts[0].diagnosis is not None
    assert before.attempts[0].diagnosis.cause != "config_invalid"

    store, job = solved(ring, log, Knowing("4711"))
    made = store.report(job)
    assert made.status == "resolved", made.summary
    draft = bootstrap.draft_runbook(ring.settings, store, job)
    assert draft.problems == ()
    assert not draft.trial.harmful
    assert draft.trial.healthy >= 300
    assert {each.effect for each in draft.trial.verdicts} == {"new"}
    assert "4711" not in draft.text.split("examples:")[0].replace(job, "")
    body = yaml.safe_load(draft.text)
    remedy = body["findings"][0]["remedy"][0]
    assert (remedy["change"], remedy["args"]["value"], remedy["args"]["file"]) == ("set_value", "$limit", "$path")

    file = drafts.keep(store, draft, ring.folder / "own", "rita")
    assert file.name == f"{draft.id}.yaml"
    assert [each.actor for each in audit.entries(store.engine, job) if each.event == "runbook kept"] == ["rita"]
    with pytest.raises(RequestError, match="exists already"):
        drafts.keep(store, draft, ring.folder / "own", "rita")

    again = ring.handle(ring.breaks(5, 90210))
    last = again.attempts[-1].diagnosis
    assert last is not None
    assert (again.status, last.runbook, last.planner) == ("resolved", draft.id, "runbooks"), again.summary
    assert ring.works()
    with pytest.raises(RequestError, match="known already"):
        bootstrap.draft_runbook(ring.settings, store, again.job or "")


def test_what_a_real_request_to_a_model_found_out_is_known_next_time(
    ring: Ring, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pydantic_ai")
    from llm.scripted import Asked, Reply, serving

    def answers(asked: Asked) -> Reply:
        """Looks at the setting, and concludes from what it sees."""
        if not any(name == "setting" for name, _, _ in asked.results):
            name = "setting" if "setting" in asked.functions else "find_tools"
            args = {"file": "app.env", "key": "RING_EPOCH"} if name == "setting" else {"words": "setting of a file"}
            return Reply(calls=[(name, args)])
        line = re.search(r"(log:\d+)\| (ringd.*)", asked.said[0])
        assert line
        step = {"tool": "set_value", "args": {"file": "app.env", "key": "RING_EPOCH", "value": "4711"}, "why": "ledger"}
        check = {"probe": "setting", "args": step["args"] | {}, "expect": ["result.value == '4711'"]}
        check["args"] = {"file": "app.env", "key": "RING_EPOCH"}
        said = {
            "cause": "config_invalid",
            "summary": "The ring's epoch is behind.",
            "confidence": 0.9,
            "service": "ring",
        }
        quoted = [{"id": line[1], "quote": line[2]}]
        return Reply(calls=[("conclude", {**said, "evidence": quoted, "steps": [step], "checks": [check]})])

    log = ring.breaks(3107, 4711)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    with serving(answers) as server:
        settings = ring.settings.model_copy(update={"model_base_url": server.url})
        store = bootstrap.open_jobs(settings)
        worker = bootstrap.build_worker(settings, store, bootstrap.build_agent(settings))
        job = store.submit([bootstrap.make_incident(log, settings)], "test").jobs[0]
        worker.work_until_answered(job)
        assert len(server.asked) >= 2
    made = store.report(job)
    assert made.status == "resolved", made.summary
    draft = bootstrap.draft_runbook(settings, store, job)
    assert draft.sound, draft.problems
    drafts.keep(store, draft, ring.folder / "own", "rita")
    again = ring.handle(ring.breaks(5, 90210))
    last = again.attempts[-1].diagnosis
    assert last is not None
    assert (again.status, last.runbook, again.usage.requests) == ("resolved", draft.id, 0)


def test_only_what_is_proven_is_learnt_from(ring: Ring) -> None:
    store, job = solved(ring, ring.breaks(3107, 4711), Knowing("4712"))
    assert store.report(job).status != "resolved"
    with pytest.raises(RequestError, match="not repaired and proven"):
        bootstrap.draft_runbook(ring.settings, store, job)


def test_a_draft_that_would_name_other_incidents_says_so(ring: Ring) -> None:
    store, job = solved(ring, ring.breaks(3107, 4711), Knowing("4711"))
    draft = bootstrap.draft_runbook(ring.settings, store, job)
    wrong = Draft(draft.id, job, draft.text, ("match.any: too wide",), (), draft.trial)
    with pytest.raises(RequestError, match="too wide"):
        drafts.keep(store, wrong, ring.folder / "own", "rita")
    with pytest.raises(RequestError, match="must be named"):
        drafts.keep(store, draft, ring.folder / "own" / "other.yaml", "rita")


@pytest.mark.slow
def test_on_the_command_line_nothing_is_written_unless_somebody_says_so(ring: Ring) -> None:
    _, job = solved(ring, ring.breaks(3107, 4711), Knowing("4711"))
    environment = {**os.environ, "DEVOPS_AGENT_DATA_DIR": str(ring.folder / "data")}
    command = [sys.executable, "-m", "devops_agent", "runbooks", "draft", job]

    def run(*more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, *more], env=environment, capture_output=True, text=True, timeout=90, check=False
        )

    shown = run()
    assert shown.returncode == 0, shown.stderr
    assert "cause: config_invalid" in shown.stdout
    assert "1 runbooks" in shown.stdout
    refused = run("--out", str(ring.folder / "own"))
    assert refused.returncode == 2
    assert "a person reads it first" in refused.stderr
    assert not list((ring.folder / "own").iterdir())
    kept = run("--out", str(ring.folder / "own"), "--yes")
    assert kept.returncode == 0, kept.stderr
    assert [each.suffix for each in (ring.folder / "own").iterdir()] == [".yaml"]
    assert json.loads(run("--json").stdout)["sound"]
    assert run("--keep").returncode == 2

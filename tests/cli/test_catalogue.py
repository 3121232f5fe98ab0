"""`tools` and `runbooks`: generated from the things themselves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from .conftest import Agent

KNOWN = {
    "read_log": set(),
    "increase_memory": {"mb"},
    "rerun_test": {"test_id"},
    "increase_timeout": {"seconds"},
    "free_port": {"port"},
}
OWN = {
    "id": "own_frobnicator",
    "cause": "config_invalid",
    "title": "The frobnicator is not configured",
    "description": "It needs a left and a right side.",
    "references": ["https://example.org/frobnicator"],
    "match": {"any": ["frobnicator has left the building"]},
    "advice": ["Configure both sides."],
    "examples": {"match": ["ERROR: frobnicator has left the building"], "ignore": ["frobnicator is at home"]},
}


def test_tools_are_listed_with_their_parameters(agent: Agent) -> None:
    said = {each["name"]: each for each in json.loads(agent("tools", "--json").stdout)}
    for name, parameters in KNOWN.items():
        assert set(said[name]["parameters"].get("required", [])) == parameters
    assert all(each["summary"] and each["kind"] in ("probe", "change") for each in said.values())
    assert all(each["effect"] == "read" for each in said.values() if each["kind"] == "probe")
    text = agent("tools").stdout.decode()
    assert all(f"\n{name} " in text for name in said)


def test_runbooks_are_listed_and_shown(agent: Agent) -> None:
    said = json.loads(agent("runbooks", "list", "--json").stdout)
    assert "port_in_use" in [each["id"] for each in said]
    only = json.loads(agent("runbooks", "list", "--cause", "port_in_use", "--json").stdout)
    assert {each["cause"] for each in only} == {"port_in_use"}
    shown = json.loads(agent("runbooks", "show", "port_in_use", "--json").stdout)
    assert shown["match"]["any"]
    assert yaml.safe_load(agent("runbooks", "show", "port_in_use").stdout)["cause"] == "port_in_use"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("runbooks", "show", "port_in_us"), "did you mean 'port_in_use'"),
        (("runbooks", "list", "--cause", "nonsense"), "nonsense"),
        (("runbooks", "lint", "missing"), "missing"),
        (("runbooks", "test"), "PATH: name a runbook"),
        (("runbooks", "test", "missing"), "missing"),
    ],
)
def test_wrong_usage_is_named(agent: Agent, arguments: tuple[str, ...], named: str) -> None:
    ran = agent(*arguments)
    assert ran.returncode == 2
    assert named in ran.stdout.decode() + ran.stderr.decode()
    assert "Traceback" not in ran.stderr.decode()


def test_lint_accepts_a_good_runbook_and_names_what_is_wrong_with_a_bad_one(agent: Agent, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    file = own / "own_frobnicator.yaml"
    file.write_text(yaml.safe_dump(OWN))
    good = agent("runbooks", "lint", str(own))
    assert (good.returncode, good.stdout) == (0, b""), good.stdout
    file.write_text(yaml.safe_dump({**OWN, "cause": "nonsense", "match": {"any": ["(a+)+$"]}}))
    bad = agent("runbooks", "lint", str(own))
    assert bad.returncode == 2
    assert b"own_frobnicator.yaml" in bad.stdout
    assert b"cause" in bad.stdout


def test_own_runbooks_are_used(agent: Agent, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "own_frobnicator.yaml").write_text(yaml.safe_dump(OWN))
    log = b"step one\nERROR: the frobnicator has left the building\nexit code 9\n"
    assert json.loads(agent("diagnose", "--json", said=log).stdout)["cause"] == "unknown"
    said = json.loads(agent("diagnose", "--json", said=log, env={"DEVOPS_AGENT_RUNBOOKS": str(own)}).stdout)
    assert (said["cause"], said["runbook"]) == ("config_invalid", "own_frobnicator")


def test_own_runbooks_that_are_wrong_are_named_with_their_field(agent: Agent, tmp_path: Path) -> None:
    file = tmp_path / "own_frobnicator.yaml"
    env = {"DEVOPS_AGENT_RUNBOOKS": str(tmp_path)}
    for wrong, field in (({"cause": "config_invalit"}, "cause: 'config_invalit'"), ({"titel": "x"}, "titel: ")):
        file.write_text(yaml.safe_dump({**OWN, **wrong}))
        ran = agent("diagnose", said=b"anything\n", env=env)
        assert ran.returncode == 2
        assert f"own_frobnicator.yaml: {field}" in ran.stderr.decode()


def test_a_package_brings_runbooks_along(agent: Agent, tmp_path: Path) -> None:
    package = tmp_path / "site" / "acme_runbooks"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise SystemExit('must not be imported')\n")
    (package / "own_frobnicator.yaml").write_text(yaml.safe_dump(OWN))
    told = tmp_path / "site" / "acme_runbooks-1.0.dist-info"
    told.mkdir()
    (told / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-runbooks\nVersion: 1.0\n")
    (told / "entry_points.txt").write_text("[devops_agent.runbooks]\nacme = acme_runbooks\n")
    env = {"PYTHONPATH": str(tmp_path / "site")}
    said = json.loads(agent("diagnose", "--json", said=b"ERROR: frobnicator has left the building\n", env=env).stdout)
    assert said["runbook"] == "own_frobnicator"
    own = tmp_path / "own"
    own.mkdir()
    (own / "own_frobnicator.yaml").write_text(yaml.safe_dump({**OWN, "cause": "file_not_found"}))
    env["DEVOPS_AGENT_RUNBOOKS"] = str(own)
    said = json.loads(agent("diagnose", "--json", said=b"ERROR: frobnicator has left the building\n", env=env).stdout)
    assert said["cause"] == "file_not_found"


def test_backtest_tells_what_a_runbook_would_change(agent: Agent, tmp_path: Path) -> None:
    own, logs = tmp_path / "own_frobnicator.yaml", tmp_path / "logs"
    own.write_text(yaml.safe_dump(OWN))
    for name, text in {
        "new.log": "ERROR: frobnicator has left the building\nexit code 1\n",
        "other.log": "Error: listen EADDRINUSE: address already in use :::3000\nexit code 1\n",
        "quiet/fine.log": "frobnicator is at home\nbuild succeeded\n",
    }.items():
        (logs / name).parent.mkdir(parents=True, exist_ok=True)
        (logs / name).write_text(text)
    ran = agent("runbooks", "test", str(own), "--logs", str(logs), "--json")
    said = json.loads(ran.stdout)
    assert (ran.returncode, said["logs"], said["healthy"], said["counts"]["new"]) == (0, 3, 1, 1)
    assert [each["log"] for each in said["verdicts"]] == ["new.log"]
    own.write_text(yaml.safe_dump({**OWN, "match": {"any": ["EADDRINUSE: address", "frobnicator (?:is|has)"]}}))
    (logs / "other.log").write_text("EADDRINUSE: address already in use :::3000\nfrobnicator has left\nexit code 1\n")
    (logs / "quiet/fine.log").write_text("ERROR: frobnicator is at home\n")
    ran = agent("runbooks", "test", str(own), "--logs", str(logs))
    assert ran.returncode == 3
    assert b"false alarm      1" in ran.stdout


def test_backtest_reads_the_kept_incidents(agent: Agent, tmp_path: Path) -> None:
    own = tmp_path / "own_frobnicator.yaml"
    own.write_text(yaml.safe_dump(OWN))
    log = tmp_path / "failed.log"
    log.write_text("ERROR: frobnicator has left the building\nexit code 1\n")
    assert b"no incident is kept" in agent("runbooks", "test", str(own)).stderr
    assert agent("handle", str(log)).returncode == 3
    said = json.loads(agent("runbooks", "test", str(own), "--json").stdout)
    assert (said["logs"], said["counts"]["new"]) == (1, 1)
    assert said["verdicts"][0]["after"] == "config_invalid"


def test_a_cause_is_corrected_and_shown_with_the_runbook_and_in_the_statistics(agent: Agent, tmp_path: Path) -> None:
    log = tmp_path / "failed.log"
    log.write_text("Error: listen EADDRINUSE: address already in use :::3000\nexit code 1\n")
    agent("handle", str(log), "--dry-run")
    job = json.loads(agent("jobs", "--json").stdout)[0]
    said = agent("job", job["id"], "--cause", "disk_full", "--reason", "seen")
    assert said.returncode == 0
    assert b"port_in_use corrected to disk_full by" in said.stdout
    assert agent("job", job["id"], "--cause", "disk_fool").returncode == 2
    runbook = json.loads(agent("job", job["id"], "--json").stdout)["attempts"][-1]["diagnosis"]["runbook"]
    shown = agent("runbooks", "show", runbook)
    assert b"0 of 1 judged answers right (0 confirmed, 1 corrected)" in shown.stdout
    assert yaml.safe_load(shown.stdout)["id"] == runbook
    stats = json.loads(agent("stats", "--json").stdout)
    assert (stats["fails_most"][0]["cause"], stats["fails_most"][0]["corrected"]) == ("port_in_use", 1)
    assert runbook not in stats["never_fired"]
    assert b"What fails most" in agent("stats").stdout

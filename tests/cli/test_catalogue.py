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
        (("runbooks", "test"), "No such command"),
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

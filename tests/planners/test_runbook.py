"""Observing, findings with unknown conditions, bindings, proposals; the journal replays looks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from devops_agent.errors import CommandFailed
from devops_agent.inventory import Inventory, Place
from devops_agent.model import Attempt, Diagnosis, Digest, Hit, Step
from devops_agent.planners import Look, NoLook
from devops_agent.planners.runbook import RunbookPlanner
from devops_agent.run import MemoryJournal, Run
from devops_agent.runbooks.load import library

TEXT = """
id: one
cause: port_in_use
title: A port is taken
description: Something.
references: [https://example.test/doc]
match: {any: ['taken (?P<port>\\d+)', taken]}
defaults: {port: $service.ports.0, path: /}
observe:
  - {name: owner, probe: port_owner, args: {port: $port}}
  - {name: status, probe: service_status, args: {service: $service.name}}
  - {name: usage, probe: disk_usage, args: {path: $path, 'host?': $host}}
findings:
  - {id: passed, summary: over, when: [owner.listening == false]}
  - id: stray
    summary: a stray process
    when: [owner.ours == true]
    confidence: high
    remedy:
      - {change: free_port, args: {port: $port}, why: it is in the way}
      - {wait_until: {probe: port_owner, args: {port: $port}, expect: [result.listening == true]}, why: it comes up}
  - id: other
    cause: disk_full
    summary: the disk is full
    when: [usage.percent > 90, 'status.state != "running"']
    ask: {question: Free which folder?, propose: $path}
    advice: [tidy up]
gone:
  - {probe: port_owner, args: {port: $port}, expect: [result.ours == false]}
  - {probe: disk_usage, args: {path: $host}, expect: [result.percent < 90]}
planned:
  - {tool: read_log}
  - {tool: free_port, params: {port: $port}, when: on_port_conflict}
advice: [look yourself]
examples: {match: [x], ignore: [y]}
"""
PLACE = Place(Inventory.model_validate({"services": {"web": {"supervisor": "runit", "ports": [8000]}}}))


class Box:
    """Probes that answer from a table; what is not in it cannot be looked at."""

    def __init__(self, answers: dict[str, dict[str, Any]], place: Place = PLACE) -> None:
        self.place = place
        self.answers = answers
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def probe(self, name: str, args: dict[str, Any]) -> dict[str, Any]:
        self.asked.append((name, args))
        if name not in self.answers:
            raise CommandFailed("not here")
        return self.answers[name]


@pytest.fixture
def planner(tmp_path: Path) -> RunbookPlanner:
    (tmp_path / "one.yaml").write_text(TEXT)
    return RunbookPlanner(library(folder=tmp_path, shipped=tmp_path / "library.json"))


def digest(**groups: str) -> Digest:
    hit = Hit(signature="one", pattern=0 if groups else 1, lines=(1,), text="taken", groups=groups)
    return Digest(hits=(hit,), failing=True, lines_read=1)


def look(planner: RunbookPlanner, box: Box, journal: MemoryJournal | None = None, **groups: str) -> Diagnosis:
    run = Run(journal if journal is not None else MemoryJournal(), "0/")
    return planner.diagnose(digest(**groups), (), Look(box, run))


def test_the_first_finding_whose_conditions_all_hold(planner: RunbookPlanner) -> None:
    box = Box({"port_owner": {"listening": True, "ours": True}, "disk_usage": {"percent": 99}})
    found = look(planner, box, port="9000")
    assert (found.cause, found.finding, found.summary, found.service) == (
        "port_in_use",
        "stray",
        "a stray process",
        "web",
    )
    assert found.bindings["port"] == 9000
    assert found.facts == {"port": "9000"}
    assert ("port_owner", {"port": 9000}) in box.asked
    assert ("disk_usage", {"path": "/"}) in box.asked
    proposal = planner.propose(found, Run(MemoryJournal()))
    assert proposal.steps[0] == Step(tool="free_port", args={"port": 9000}, why="it is in the way")
    assert proposal.steps[1].tool == "wait_until"
    assert [check.args for check in proposal.checks] == [{"port": 9000}]


def test_a_condition_on_what_was_not_seen_neither_holds_nor_fails(planner: RunbookPlanner) -> None:
    found = look(planner, Box({"disk_usage": {"percent": 99}}), port="9000")
    assert found.finding is None
    assert found.summary == "A port is taken."
    assert found.advice == ("look yourself",)
    assert [one.data is None for one in found.looked] == [True, True, False]
    assert "not here" in found.looked[0].text
    assert planner.propose(found, Run(MemoryJournal())).steps == ()


def test_a_finding_may_name_another_cause_and_ask(planner: RunbookPlanner) -> None:
    answers = {"disk_usage": {"percent": 99}, "service_status": {"state": "stopped"}, "port_owner": {"listening": True}}
    found = look(planner, Box(answers), port="1")
    assert (found.cause, found.finding, found.advice) == ("disk_full", "other", ("tidy up",))
    assert planner.propose(found, Run(MemoryJournal())).question == "Free which folder? (proposed: /)"


def test_defaults_come_from_the_inventory(planner: RunbookPlanner) -> None:
    found = look(planner, Box({"port_owner": {"listening": True, "ours": True}}))
    assert (found.bindings["port"], found.facts) == (8000, {})
    assert found.planned[1].args == {"port": 8000}


def test_an_unbound_name_skips_the_look_and_plans_without_it(planner: RunbookPlanner) -> None:
    box = Box({"disk_usage": {"percent": 1}}, Place())
    found = look(planner, box)
    assert [name for name, _ in box.asked] == ["disk_usage"]
    assert [(step.tool, step.args) for step in found.planned] == [("read_log", {}), ("free_port", {})]


def test_a_look_is_spared_where_what_was_seen_before_speaks_against_it(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text(TEXT.replace("'host?': $host}}", "'host?': $host}, when: [owner.ours == true]}"))
    spared = RunbookPlanner(library(folder=tmp_path, shipped=tmp_path / "library.json"))
    for ours, names in (
        (False, ["port_owner", "service_status"]),
        (True, ["port_owner", "service_status", "disk_usage"]),
    ):
        box = Box({"port_owner": {"ours": ours}, "service_status": {"state": "running"}})
        look(spared, box, port="1")
        assert [name for name, _ in box.asked] == names


def test_a_remedy_with_an_unbound_name_asks_instead(planner: RunbookPlanner) -> None:
    found = look(planner, Box({"port_owner": {"ours": True, "listening": True}}), port="1")
    bare = found.model_copy(update={"bindings": {}})
    proposal = planner.propose(bare, Run(MemoryJournal()))
    assert proposal.steps == ()
    assert "$port" in (proposal.question or "")


def test_without_looking_the_text_alone_speaks(planner: RunbookPlanner) -> None:
    found = planner.diagnose(digest(port="9000"), (), NoLook())
    assert (found.cause, found.finding, found.looked) == ("port_in_use", None, ())


def test_a_walk_after_a_crash_sees_what_the_first_one_saw(planner: RunbookPlanner) -> None:
    journal = MemoryJournal()
    first = look(planner, Box({"port_owner": {"listening": True, "ours": True}}), journal, port="9000")
    box = Box({"port_owner": {"listening": False}})
    again = look(planner, box, journal, port="9000")
    assert again == first
    assert box.asked == []


def test_what_was_tried_is_not_the_answer_again_where_another_fits(planner: RunbookPlanner) -> None:
    box = Box({"port_owner": {"listening": False}})
    found = look(planner, box, port="9000")
    assert found.finding == "passed"
    tried = (Attempt(diagnosis=found),)
    again = planner.diagnose(digest(port="9000"), tried, Look(box, Run(MemoryJournal(), "1/")))
    assert again.cause == "port_in_use"


def test_no_failure_proposes_nothing(planner: RunbookPlanner) -> None:
    found = planner.diagnose(Digest(lines_read=3), (), NoLook())
    assert not found.failure
    assert planner.propose(found, Run(MemoryJournal())).steps == ()

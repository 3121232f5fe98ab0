"""The library: its shipped form, staleness, own runbooks, errors that name file and field."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from devops_agent.errors import ConfigError, NotFound
from devops_agent.runbooks.lint import lint
from devops_agent.runbooks.load import build, library
from devops_agent.scan import Signatures

TEXT = """
id: {id}
cause: port_in_use
title: {title}
description: A port is taken.
references: [https://example.test/doc]
match: {{any: ['port (?P<port>\\d+) taken', {{text: 'taken port', confidence: low}}], none: [dry run]}}
advice: [free it]
examples: {{match: [port 80 taken], ignore: ['dry run: port 80 taken']}}
"""


def write(folder: Path, name: str, title: str = "Taken", more: str = "") -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(TEXT.format(id=name, title=title) + more)
    return path


def test_patterns_and_bodies_are_shipped(tmp_path: Path) -> None:
    write(tmp_path, "one")
    shipped = tmp_path / "library.json"
    build(tmp_path, shipped)
    loaded = library(folder=tmp_path, shipped=shipped)
    assert list(loaded.runbooks) == ["one"]
    assert loaded.runbook("one").strength(1) == "low"
    found = Signatures(loaded.signatures()).find(["port 81 taken", "dry run: port 82 taken"])
    assert [(each.pattern.owner, each.pattern.number, each.lines) for each in found] == [("one", 0, (0,))]
    with pytest.raises(NotFound):
        loaded.runbook("two")


def test_an_edited_file_is_seen_at_once(tmp_path: Path) -> None:
    path = write(tmp_path, "one", "Before")
    shipped = tmp_path / "library.json"
    build(tmp_path, shipped)
    write(tmp_path, "one", "After!")
    os.utime(path, ns=(1, 1))
    assert library(folder=tmp_path, shipped=shipped).runbook("one").title == "After!"
    assert json.loads(json.loads(shipped.read_text())["bodies"]["one"])["title"] == "After!"


def test_a_broken_shipped_form_is_made_anew(tmp_path: Path) -> None:
    write(tmp_path, "one")
    shipped = tmp_path / "library.json"
    shipped.write_text("{")
    assert list(library(folder=tmp_path, shipped=shipped).runbooks) == ["one"]


def test_a_wrong_file_is_left_out_and_named(tmp_path: Path) -> None:
    write(tmp_path, "one")
    (tmp_path / "two.yaml").write_text("id: two\ncause: [")
    shipped = tmp_path / "library.json"
    loaded = library(folder=tmp_path, shipped=shipped)
    assert list(loaded.runbooks) == ["one"]
    assert "two.yaml" in loaded.problems[0]
    with pytest.raises(ConfigError, match=r"two\.yaml"):
        build(tmp_path, shipped)


def test_own_runbooks_take_the_place_of_shipped_ones(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    base = tmp_path / "base"
    base.mkdir()
    write(base, "one", "Shipped")
    write(base, "two", "Shipped")
    write(own, "one", "Own")
    loaded = library([own], folder=base, shipped=tmp_path / "library.json")
    assert loaded.runbook("one").title == "Own"
    assert loaded.runbook("two").title == "Shipped"
    assert [each.owner for each in loaded.signatures()].count("one") == 3
    with pytest.raises(ConfigError, match="no such directory"):
        library([tmp_path / "nowhere"], folder=base, shipped=tmp_path / "library.json")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ("surprise: 1", "surprise"),
        ("confidence: sure", "confidence"),
        ("observe: [{name: a}]", "observe.0.probe"),
        ("findings: [{id: x}]", "findings.0.summary"),
        ("findings: [{id: x, summary: y, remedy: [{why: z}]}]", "findings.0.remedy"),
    ],
)
def test_errors_name_file_and_field(tmp_path: Path, change: str, field: str) -> None:
    path = write(tmp_path, "one", more=change + "\n")
    with pytest.raises(ConfigError, match=field) as caught:
        library([tmp_path], folder=tmp_path / "..", shipped=tmp_path / "x.json")
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ("findings: [{id: x, summary: y, when: [what is this]}]", "findings.x.when", "not a condition"),
        ("findings: [{id: x, summary: y, when: [usage.percent > 1]}]", "findings.x.when", "neither observed"),
        (
            "observe: [{name: a, probe: port_owner, args: {port: 1}, when: [usage.percent > 1]}]",
            "observe.a.when",
            "neither observed",
        ),
        ("findings: [{id: x, summary: y, cause: bad_luck}]", "findings.x.cause", "vocabulary"),
        ("observe: [{name: a, probe: port_owner, args: {port: $pid}}]", "observe.a", "bound by nothing"),
        ("observe: [{name: a, probe: port_master, args: {port: $port}}]", "observe.a", "no probe"),
        ("observe: [{name: a, probe: port_owner, args: {puerto: 1}}]", "observe.a", "no parameter puerto"),
        ("observe: [{name: a, probe: service_status}]", "observe.a", "needs the parameter service"),
        ("observe: [{name: a, probe: port_owner, args: {port: 700000}}]", "observe.a", "65535"),
        ("observe: [{name: a, probe: free_port, args: {port: $port}}]", "observe.a", "is a change"),
        ("gone: [{probe: port_owner, args: {port: $port}, expect: [port.x == 1]}]", "gone", "neither observed"),
        ("planned: [{tool: magic}]", "planned", "no tool magic"),
        ("defaults: {colour: red}", "defaults.colour", "fact"),
    ],
)
def test_lint_names_what_is_wrong(tmp_path: Path, change: str, field: str, words: str) -> None:
    from devops_agent.tools.registry import tools

    path = write(tmp_path, "one", more=change + "\n")
    problems = [(problem.field, problem.text) for problem in lint(path, tools())]
    assert any(one == field and words in text for one, text in problems), problems


def test_lint_checks_name_examples_and_groups(tmp_path: Path) -> None:
    path = write(tmp_path, "one")
    other = path.rename(tmp_path / "other.yaml")
    text = other.read_text().replace("port 80 taken]", "nothing]").replace("?P<port>", "?P<harbour>")
    other.write_text(text.replace("none: [dry run]", "none: []"))
    problems = "\n".join(map(str, lint(other)))
    assert "file is named other.yaml" in problems
    assert "does not fire" in problems
    assert "fires: " in problems
    assert "harbour is not a fact" in problems

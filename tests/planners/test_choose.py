"""Which cause is named: certainty of the words, place, what explains what, thin evidence."""

from __future__ import annotations

from pathlib import Path

import pytest

from devops_agent.model import Digest, Evidence, Hit
from devops_agent.planners import NoLook
from devops_agent.planners.choose import candidates, confidences
from devops_agent.planners.runbook import RunbookPlanner
from devops_agent.runbooks.load import Library, library

TEXT = """
id: {id}
cause: {cause}
title: About {id}
description: Something.
references: [https://example.test/doc]
confidence: {confidence}
match: {{any: ['{id} (?P<port>\\d+)', '{id}']}}
advice: [look]
examples: {{match: [x], ignore: [y]}}
"""


@pytest.fixture
def shelf(tmp_path: Path) -> Library:
    rows = [
        ("refused", "connection_refused", "high"),
        ("slow", "connection_timeout", "high"),
        ("broken", "test_failure", "high"),
        ("service", "service_failed", "high"),
        ("full", "disk_full", "high"),
        ("maybe", "dns_failure", "low"),
    ]
    for key, cause, confidence in rows:
        (tmp_path / f"{key}.yaml").write_text(TEXT.format(id=key, cause=cause, confidence=confidence))
    return library(folder=tmp_path, shipped=tmp_path / "library.json")


def hit(key: str, line: int, weight: float = 0.8, **groups: str) -> Hit:
    return Hit(signature=key, pattern=0 if groups else 1, lines=(line,), text=key, groups=groups, weight=weight)


def diagnose(shelf: Library, *hits: Hit, failing: bool = True, lines: int = 500) -> tuple[str, float]:
    digest = Digest(hits=hits, failing=failing, lines_read=lines)
    found = RunbookPlanner(shelf).diagnose(digest, (), NoLook())
    return found.cause, found.confidence


@pytest.mark.parametrize(
    ("hits", "cause"),
    [
        ([hit("refused", 9), hit("slow", 3)], "connection_refused"),
        ([hit("broken", 1, 1.0), hit("refused", 9, 0.6)], "connection_refused"),
        ([hit("service", 1), hit("broken", 9)], "test_failure"),
        ([hit("full", 4), hit("refused", 9)], "disk_full"),
        ([hit("refused", 4), hit("full", 9)], "connection_refused"),
        ([hit("refused", 4, 0.2), hit("full", 9, 0.9)], "disk_full"),
        ([hit("broken", 1, 1.0), hit("refused", 9, 0.0)], "test_failure"),
        ([], "unknown"),
        ([hit("maybe", 3, 0.1)], "unknown"),
        ([hit("not_in_the_library", 3)], "unknown"),
    ],
)
def test_the_right_one_is_named(shelf: Library, hits: list[Hit], cause: str) -> None:
    assert diagnose(shelf, *hits)[0] == cause


def test_two_that_compete_share_the_confidence(shelf: Library) -> None:
    alone = diagnose(shelf, hit("full", 4))[1]
    contested = diagnose(shelf, hit("full", 4), hit("refused", 5))[1]
    assert contested < alone
    found = candidates([hit("full", 4), hit("refused", 5)], shelf.runbooks, shelf.causes)
    shares = confidences(found)
    assert list(shares) == ["disk_full", "connection_refused"]
    assert all(0 < value < 1 for value in shares.values())


def test_alternatives_are_the_other_causes(shelf: Library) -> None:
    digest = Digest(hits=(hit("full", 4), hit("refused", 5)), failing=True, lines_read=99)
    found = RunbookPlanner(shelf).diagnose(digest, (), NoLook())
    assert [each.cause for each in found.alternatives] == ["connection_refused"]


def test_a_log_without_failure_has_no_cause(shelf: Library) -> None:
    digest = Digest(hits=(hit("full", 4),), failing=False, lines_read=500)
    found = RunbookPlanner(shelf).diagnose(digest, (), NoLook())
    assert (found.cause, found.failure, found.confidence) == ("unknown", False, 0.0)


def test_a_pasted_line_speaks_for_itself(shelf: Library) -> None:
    assert diagnose(shelf, hit("full", 1, 0.05), failing=False, lines=1)[0] == "disk_full"
    assert diagnose(shelf, hit("maybe", 1, 0.05), failing=False, lines=1)[0] == "unknown"


def test_evidence_names_the_decisive_lines(shelf: Library) -> None:
    evidence = tuple(Evidence(id=f"log:{n}", source="log", text=f"line {n}", line=n) for n in (3, 4, 5))
    digest = Digest(hits=(hit("full", 4),), evidence=evidence, failing=True, lines_read=9)
    assert RunbookPlanner(shelf).diagnose(digest, (), NoLook()).evidence == ("log:4",)
    unknown = Digest(evidence=evidence, failing=True, lines_read=9)
    assert RunbookPlanner(shelf).diagnose(unknown, (), NoLook()).evidence == ("log:3", "log:4", "log:5")

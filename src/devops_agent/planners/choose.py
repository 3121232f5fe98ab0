"""Choosing among the runbooks that a log hit: how telling the words are, where they stand, and what explains what."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from devops_agent.model import Hit
from devops_agent.runbooks.causes import Causes
from devops_agent.runbooks.lines import compiled
from devops_agent.scan.memory import remembered, stands

CERTAINTY = {"low": 0.5, "medium": 0.78, "high": 0.95}
"""How often a signature of that confidence is right where it stands at a decisive place."""

ANSWER = 0.35
"""Below this the evidence is thin, and the answer is `unknown`."""

SLOPE, OFFSET = 0.64, 1.69
"""From a score's log odds to those of being right: fitted on 1230 of the project's own cases, 2026-11-22
(benchmarks/calibration; on 1140 others: Brier score .040 instead of .058, risk .005 at half of the coverage)."""

MOST = 0.99
"""Nothing that was read in a log is surer than that."""

_UNDERNEATH = 0.3
"""What is left of a cause that another one explains."""

_COMPARABLE = 0.65
"""An explaining cause must itself be at least so strong, compared with what it explains."""

_FINE = re.compile(
    r"\bPASS(?:ED)?\b(?!.*\bFAIL)|^\s*(?:[✓✔√]|ok \d+\b)|(?:\.{2,}| -|:) ?(?:ok|OK|Passed|SKIPPED)$|\[ +OK \]"
    r"|^\S+\.py::\S+(?:\[|$)"
    r"|^\s*\d+ ?\| |^\d+\|\S"
    r"|^\[[\w./-]+ (?:\(root-commit\) )?[0-9a-f]{7,40}\] |^\^?[0-9a-f]{7,12} \S|HEAD is now at [0-9a-f]{7}"
    r"|^Commit message: \"|^\s*Merge (?:branch|pull request|remote-tracking branch|tag) "
    r"|^debug\d: |\[class,load\]|\((?:ignored|skipped|expected|harmless|non-fatal)\b|\bas expected\b"
    r"|^(?:[\w.@:~/-]{0,60} ?\$|\+{1,4}) [a-z./(\"'](?:[^\s|]*[^\s|:])?(?: [^|]*)?$"
    r"|^\s+-{1,2}[a-zA-Z][\w-]*(?:,| |=|$)|\bexcept \(?[\w., ]{1,80}\)?(?: as \w+)?:$|favicon\.ico|robots\.txt"
)
"""Lines that tell of no failure, whatever words they have: a test that passed or is only named, source code beside its
line number, rows of a table, messages of commits, commands behind a prompt or of `set -x`, what `ssh -v` and
`java -verbose` tell of every start, options in a help text, and what browsers ask every site for."""

_COMPARED = re.compile(
    r"^E\s{2,}(?:\+  where |(?:AssertionError: )?assert [^:]{1,80} (?:==|!=|in|is|<|>)|AssertionError: assert )"
    r"|(?i:\bexpected\b.{0,60}\b[1-5]\d\d\b.{0,60}\b(?:but (?:was|got|received)|got|received|actual|to (?:be|equal))\b)"
    r"|(?i:^\s*(?:- )?(?:expected|received|actual)(?: status(?: code)?)?: {0,10}<?[1-5]\d\d\b)"
    r"|\bassert(?:ion)?\b.{0,40}\b[1-5]\d\d [!=]==? [1-5]\d\d\b"
)
"""What a test compares: a status that it did not expect says of the test that it failed, not why."""

_OF_TESTS = frozenset({"test_failure", "snapshot_mismatch", "test_timeout", "coverage_below_threshold"})

_QUIET = re.compile(
    r"(?:^|[\s\[|:])(?:DEBUG|TRACE|INFO|VERBOSE|FINE)(?:$|[\s\]|:])|\blevel[\"']?[=:] ?[\"']?(?:debug|info|trace)\b"
    r"|^(?:debug|info|trace|verbose):|\[Note\]"
)
"""A program that says something at such a level does not take it for its failure."""

_LOUD = re.compile(r"\b(?:ERROR|FATAL|PANIC|CRITICAL|SEVERE)\b")

_fine = stands(_FINE)
_compared = stands(_COMPARED)


@dataclass
class Candidate:
    """One runbook that was hit, with its hits (the most telling first) and its score."""

    runbook: Any
    hits: list[Hit]
    score: float
    first: int
    place: float
    explained_by: str | None = None
    named: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def cause(self) -> str:
        """The cause that the runbook is about."""
        return str(self.runbook.cause)


def candidates(hits: Iterable[Hit], runbooks: Mapping[str, Any], causes: Causes, floor: float = 0.0) -> list[Candidate]:
    """All runbooks that were hit, the best first. `floor`: the least that any place counts (more in pasted lines)."""
    by_runbook: dict[str, list[Hit]] = {}
    for hit in hits:
        if _fine(hit.text):
            continue
        if hit.signature in runbooks and hit.pattern < len(runbooks[hit.signature].match.any):
            by_runbook.setdefault(hit.signature, []).append(hit)
    found = [_candidate(runbooks[key], own, floor) for key, own in by_runbook.items()]
    _explain(found, causes)
    return _ordered(found)


@remembered
def quiet(text: str) -> bool:
    """Whether a program says this at a level at which it tells of no failure of its own, nor passes on another's."""
    return _QUIET.search(text) is not None and not _LOUD.search(text)


def confidences(found: list[Candidate]) -> dict[str, float]:
    """Confidence by cause, best first: the best runbook's score, shared with the causes that compete with it."""
    best: dict[str, Candidate] = {}
    for candidate in found:
        best.setdefault(candidate.cause, candidate)
    if not best:
        return {}
    total = sum(candidate.score**3 for candidate in best.values())
    first, *others = best.values()
    sure = earned(first.score * (0.5 + 0.5 * first.score**3 / total))
    shares = {first.cause: sure}
    for other in others:
        share = other.score**3 / total * other.score
        shares[other.cause] = round(min(share, max(0.01, 1 - sure)), 3)
    return shares


def earned(score: float) -> float:
    """How often answers with such a score are right, as measured: never quite sure."""
    odds = math.log(max(score, 0.001) / max(1 - score, 0.001))
    return round(min(MOST, 1 / (1 + math.exp(-(SLOPE * odds + OFFSET)))), 3)


def _candidate(runbook: Any, hits: list[Hit], floor: float) -> Candidate:
    def telling(scored: tuple[float, Hit]) -> tuple[float, int, int, int]:
        score, hit = scored
        return (-round(score, 1), hit.lines[0] if hit.lines else 0, -len(hit.groups), hit.pattern)

    scored = sorted(((_score(runbook, hit, floor), hit) for hit in hits), key=telling)
    ordered = [hit for _, hit in scored]
    return Candidate(
        runbook=runbook,
        hits=ordered,
        score=max(score for score, _ in scored),
        first=min((hit.lines[0] for hit in ordered if hit.lines), default=0),
        place=ordered[0].weight,
    )


def _score(runbook: Any, hit: Hit, floor: float) -> float:
    weight = hit.weight * (0.4 if quiet(hit.text) else 1.0)
    if runbook.cause not in _OF_TESTS and _compared(hit.text):
        weight *= 0.4
    return CERTAINTY[runbook.strength(hit.pattern)] * (0.25 + 0.75 * max(weight, floor))


def _explain(found: list[Candidate], causes: Causes) -> None:
    """Lower the score of every candidate that another, about as strong one explains."""
    strength = {id(one): one.score for one in found}
    for outer in found:
        for inner in found:
            if strength[id(inner)] >= _COMPARABLE * strength[id(outer)] and causes.explains(inner.cause, outer.cause):
                outer.explained_by = inner.cause
                outer.score = strength[id(outer)] * _UNDERNEATH
                break


def _ordered(found: list[Candidate]) -> list[Candidate]:
    """The best score first; scores that hardly differ are decided by the earlier line, then by who says more of it."""
    found = sorted(found, key=lambda one: (-round(one.score, 1), one.first, one.runbook.id))
    level = [one for one in found if (round(one.score, 1), one.first) == (round(found[0].score, 1), found[0].first)]
    if len(level) > 1:
        level.sort(key=lambda one: (-_explained(one), one.runbook.id))
    return level + found[len(level) :]


def _explained(candidate: Candidate) -> int:
    """How much of a line the candidate's patterns account for: long words are more exact than short ones."""
    sources = candidate.runbook.patterns()
    lengths = [0]
    for hit in candidate.hits:
        match = compiled(sources[hit.pattern][1]).search(hit.text)
        lengths.append(match.end() - match.start() if match else 0)
    return max(lengths)

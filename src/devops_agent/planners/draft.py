"""From answer to knowledge: a runbook drafted from an incident that was diagnosed without one and proven repaired.

The signature is the decisive line, made general; what the remedy was given is bound to where it came from. The draft is
tried at once on healthy logs and on the incidents that are kept. A person reads it and keeps it, or not.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from devops_agent.condition import parse
from devops_agent.errors import AgentError, RequestError
from devops_agent.model import UNKNOWN, Attempt, Check, Diagnosis, Digest, Report
from devops_agent.planners.backtest import Backtest, Stored, backtest, split
from devops_agent.planners.examples import losing
from devops_agent.planners.generalise import candidates
from devops_agent.planners.reasons import Seen, Sources, seen
from devops_agent.runbooks.lines import compiled
from devops_agent.runbooks.lint import lint
from devops_agent.runbooks.load import Library
from devops_agent.tools.base import Tool

LINES = 3
"""So many decisive lines become patterns at most."""
TRIALS = 4
"""How often a pattern that disturbs others is replaced by a narrower one."""
_OPPOSITE = {"==": "!=", "!=": "==", ">=": "<", "<": ">=", ">": "<=", "<=": ">"}
_STEERING = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
_LEFT_OUT = frozenset({"wait_until", "run_check"})


@dataclass(frozen=True)
class Draft:
    """A runbook that nobody has kept yet: its text, what the lint says, what it would have done, what to look at."""

    id: str
    job: str
    text: str
    problems: tuple[str, ...]
    remarks: tuple[str, ...]
    trial: Backtest

    @property
    def sound(self) -> bool:
        """Whether nothing speaks against keeping it."""
        return not self.problems and not self.trial.harmful


@dataclass(frozen=True)
class Case:
    """What a draft is made from: the attempt that helped, and what was known about its service."""

    job: str
    digest: Digest
    attempt: Attempt
    diagnosis: Diagnosis
    entry: Mapping[str, Any]
    address: str


def proven(made: Report) -> Attempt:
    """The attempt whose repair made the incident go away. Raises RequestError that says why there is none to learn
    from."""
    last = made.attempts[-1] if made.attempts else Attempt()
    said, proof, plan = last.diagnosis, last.verification, last.plan
    if said is None or not said.failure or said.cause == UNKNOWN:
        raise RequestError(f"job: {made.job} was not diagnosed; there is nothing to write down")
    if said.runbook is not None:
        raise RequestError(f"job: {made.job} was answered by the runbook {said.runbook}: it is known already")
    acted = any(each.status == "succeeded" for each in last.outcomes)
    if proof is None or not proof.over or not acted or plan is None or last.undone:
        raise RequestError(f"job: {made.job} was not repaired and proven (it is {made.status})")
    return last


def case(made: Report, entry: Mapping[str, Any] | None, address: str) -> Case:
    """What there is to learn from a report. `entry`: the inventory's entry of the service concerned; `address`: where
    the incident can be read. Raises RequestError."""
    attempt = proven(made)
    if made.digest is None or attempt.diagnosis is None:
        raise RequestError(f"job: {made.job} has no diagnosis")
    return Case(made.job or made.incident.id, made.digest, attempt, attempt.diagnosis, entry or {}, address)


def draft(
    found: Case, known: Library, tools: Mapping[str, Tool], quiet: Mapping[str, str], kept: Iterable[Stored]
) -> Draft:
    """The runbook, the narrowest that is needed: tried on healthy logs and kept incidents until it disturbs none."""
    logs = [*(Stored(f"healthy: {name}", text.encode(), True) for name, text in quiet.items()), *kept]
    silent = "\n".join(quiet.values())
    last: Draft | None = None
    for skipped in range(TRIALS):
        made, remarks = _runbook(found, known, tools, lambda regex: not _hits(regex, silent), skipped)
        if made is None:
            break
        last = _tried(found.job, made, remarks, known, tools, logs)
        if last.sound:
            return last
    if last is None:
        raise RequestError(f"job: {found.job}: no decisive line that can be told from those of healthy logs")
    return last


def _runbook(
    found: Case, known: Library, tools: Mapping[str, Tool], quiet: Callable[[re.Pattern[str]], bool], skipped: int
) -> tuple[dict[str, Any] | None, list[str]]:
    said, plan = found.diagnosis, found.attempt.plan
    lines = _decisive(found)
    looks = seen(said.looked, tools)
    sources = Sources(lines[:1], looks, said.service, found.entry)
    remedy = [
        {"change": action.tool, "args": sources.bound("", action.args), "why": action.why or "what was proven to help"}
        for action in (plan.actions if plan else ())
        if action.effect != "read" and action.tool not in _LEFT_OUT
    ]
    checks = plan.checks if plan else ()
    gone = [goal for each in checks if (goal := _goal(each, sources))["expect"]]
    when, passed, more = _conditions(checks, looks, sources)
    observe = _observations([*looks, *more], sources, {each.split(".")[0] for each in [*when, *passed]})
    patterns, matched = _patterns(lines, sources.groups, quiet, skipped)
    if not patterns:
        return None, []
    findings: list[dict[str, Any]] = (
        [{"id": "passed", "summary": "The log shows it; it is over.", "when": passed}] if passed else []
    )
    findings.insert(
        0, {"id": "found", "summary": said.summary or "As it was found before.", "when": when, "remedy": remedy}
    )
    if not when:
        findings = findings[:1]
    made = {
        "id": _id(said.cause, matched[0], known),
        "cause": said.cause,
        "title": (said.summary or said.cause).rstrip(".")[:90],
        "description": f"Drafted from {found.job}, which was repaired and proven. {said.summary}",
        "references": [found.address],
        "match": {"any": patterns},
        "confidence": "high",
        "observe": observe,
        "findings": findings,
        "gone": gone,
        "planned": [{"tool": "read_log"}],
        "advice": list(said.advice) or [f"{each['change']}: {each['why']}" for each in remedy],
        "examples": {"match": matched, "ignore": [_other(found.digest, patterns)]},
    }
    remarks = [f"taken over as it was: {each}" for each in dict.fromkeys(sources.literals)]
    return {name: value for name, value in made.items() if value not in ([], "")}, remarks


def _decisive(found: Case) -> list[str]:
    """The cited lines of the log, those that name what the remedy was given first."""
    cited = [each.text.strip() for each in found.digest.evidence if each.line and each.id in found.diagnosis.evidence]
    lines = list(dict.fromkeys(each for each in cited if len(each) >= 12))[: 2 * LINES]
    if not lines:
        raise RequestError(f"job: {found.job}: the diagnosis cites no line of the log")
    plan = found.attempt.plan
    values = [str(value) for action in (plan.actions if plan else ()) for value in action.args.values()]
    return sorted(lines, key=lambda line: -sum(len(value) > 1 and value in line for value in values))


def _patterns(
    lines: Sequence[str], groups: Mapping[str, str], quiet: Callable[[re.Pattern[str]], bool], skipped: int
) -> tuple[list[str], list[str]]:
    """Patterns of the decisive lines and the lines themselves; every group must be in the first pattern."""
    patterns: list[str] = []
    matched: list[str] = []
    for line in lines:
        made = list(_first(candidates(line, groups, quiet), skipped + 1))
        wanted = {name for text, name in groups.items() if text in line}
        fit = [source for source, named in made if patterns or wanted <= set(named)]
        if fit:
            patterns.append(fit[-1])
            matched.append(line)
        if len(patterns) == LINES or (patterns and not groups):
            break
    return patterns[:1] if groups else patterns, matched[: 1 if groups else LINES]


def _goal(check: Check, sources: Sources) -> dict[str, Any]:
    """How one sees that the cause is gone, without what is true of this incident alone: it cannot be said there."""
    told = [text for text in check.expect if sources.bound("", parse(text).right, looks=False) == parse(text).right]
    return {"probe": check.probe, "args": sources.bound("", check.args), "expect": told}


def _conditions(
    checks: Sequence[Check], looks: Sequence[Seen], sources: Sources
) -> tuple[list[str], list[str], list[Seen]]:
    """What was so before the repair, what is so after it, and the looks that tell; from the checks that proved it."""
    when: list[str] = []
    passed: list[str] = []
    more: list[Seen] = []
    for number, check in enumerate(checks, 1):
        look = next((each for each in looks if each.probe == check.probe and each.args == check.args), None)
        if look is None:
            look = Seen(f"proof_{number}", check.probe, dict(check.args), {})
            more.append(look)
        for text in check.expect:
            one = parse(text)
            if one.operator not in _OPPOSITE or not one.left.startswith("result."):
                continue
            field, literal = one.left.removeprefix("result."), text.split(one.operator, 1)[1].strip()
            value = sources.bound(field, one.right, looks=False)
            right = value if value != one.right else literal
            when.append(f"{look.name}.{field} {_OPPOSITE[one.operator]} {right}")
            passed.append(f"{look.name}.{field} {one.operator} {right}")
    return when, passed, more


def _observations(looks: Sequence[Seen], sources: Sources, needed: set[str]) -> list[dict[str, Any]]:
    """The looks that conditions or bindings need; what they are asked comes from the log and the inventory."""
    wanted = needed | sources.used
    made = []
    for look in looks:
        if look.name in wanted:
            args = {name: sources.bound(name, value, looks=False) for name, value in look.args.items()}
            made.append({"name": look.name, "probe": look.probe, **({"args": args} if args else {})})
    return made


def _tried(
    job: str,
    made: dict[str, Any],
    remarks: Sequence[str],
    known: Library,
    tools: Mapping[str, Tool],
    logs: Sequence[Stored],
) -> Draft:
    import yaml

    head = f"# Drafted from {job}: read it, and name references that explain it.\n"
    text = head + yaml.safe_dump(made, sort_keys=False, allow_unicode=True, width=110)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, f"{made['id']}.yaml")
        file.write_text(text, encoding="utf-8")
        problems = [f"{each.field}: {each.text}" for each in lint(file, tools, thorough=True)]
        try:
            with_it, without_it, names = split(known, file)
            trial = backtest(with_it, without_it, names, _touched(logs, made["match"]["any"]))
            trial = replace(trial, logs=len(logs), healthy=sum(each.healthy for each in logs))
            problems += [f"{each.field}: {each.text}" for each in losing(with_it, made["id"])]
        except AgentError as error:
            problems.append(str(error).replace(f"{file}: ", ""))
            trial = Backtest((made["id"],), 0, 0, ())
    return Draft(made["id"], job, text, tuple(problems), tuple(remarks), trial)


def _touched(logs: Iterable[Stored], patterns: Iterable[str]) -> Iterator[Stored]:
    """The logs that a pattern could hit at all (and those in files): the others are what they were without it."""
    regexes = [compiled(source) for source in patterns]
    for each in logs:
        if isinstance(each.log, Path):
            yield each
            continue
        text = _STEERING.sub("", each.log.decode("utf-8", "replace"))
        if any(regex.search(text) for regex in regexes):
            yield each


def _first(found: Iterable[Any], most: int) -> Iterable[Any]:
    for number, each in enumerate(found, 1):
        yield each
        if number >= most:
            return


def _hits(regex: re.Pattern[str], text: str) -> bool:
    return regex.search(text) is not None


def _other(digest: Digest, patterns: Sequence[str]) -> str:
    """A line of the same log that the patterns do not hit."""
    others = (each.text.strip() for each in digest.evidence)
    fit = (each for each in others if len(each) > 5 and not any(compiled(source).search(each) for source in patterns))
    return next(fit, "finished, everything is up")


def _id(cause: str, line: str, known: Library) -> str:
    words = [each.lower() for each in re.findall(r"[A-Za-z]{4,}", line) if each.lower() not in cause]
    name = "_".join([cause, *words[:2]])[:60].strip("_")
    free = (name if number == 1 else f"{name}_{number}" for number in range(1, 100))
    return next(each for each in free if each not in known.runbooks)

"""What every runbook promises, checked: place and id, cause, patterns, references of `$names`, tools, examples.

`lint` needs nothing but the files. With the catalogue of tools it also checks that tools exist and arguments fit; that
examples *win* over the other runbooks is checked by `planners.examples`, which can diagnose.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devops_agent.condition import bind, parse, references
from devops_agent.errors import AgentError, ConfigError
from devops_agent.runbooks.causes import Causes, from_data, read_data
from devops_agent.runbooks.lines import compiled
from devops_agent.runbooks.load import FOLDER, files
from devops_agent.runbooks.patterns import faults
from devops_agent.runbooks.schema import FACTS, Runbook, fact_name

ALWAYS = frozenset({"service", "failing"})
"""Bound from the inventory: the service that a log speaks of, and the only one that fails its health check."""


@dataclass(frozen=True)
class Problem:
    """One broken promise: the file, the field, and what is wrong."""

    path: str
    field: str
    text: str

    def __str__(self) -> str:
        return f"{self.path}: {self.field}: {self.text}"


def lint(
    path: str | Path | None = None, tools: Mapping[str, Any] | None = None, thorough: bool = False
) -> list[Problem]:
    """All problems of a file or of a directory (default: the package's library). `tools`: the catalogue by name.

    `thorough` has hyperscan compile every pattern, which costs a second a file.
    """
    start = Path(path) if path is not None else FOLDER
    if not start.exists():
        raise ConfigError(f"{start}: no such file or directory")
    causes = from_data(read_data())
    problems: list[Problem] = []
    seen: dict[str, Path] = {}
    for file in files(start) if start.is_dir() else [start]:
        try:
            runbook = read_runbook(file)
        except ConfigError as error:
            problems.append(Problem(str(file), "file", str(error).removeprefix(f"{file}: ")))
            continue
        if runbook.id in seen:
            problems.append(Problem(str(file), "id", f"{runbook.id} is used by {seen[runbook.id]} too"))
        seen[runbook.id] = file
        problems += [Problem(str(file), field, text) for field, text in check(runbook, file, causes, tools, thorough)]
    return problems


def read_runbook(path: Path) -> Runbook:
    """The runbook of a file; raises ConfigError that names the field."""
    from devops_agent.runbooks.load import parse_file

    return Runbook.model_validate_json(parse_file(path)[0])


def check(
    runbook: Runbook,
    path: Path,
    causes: Causes,
    tools: Mapping[str, Any] | None = None,
    thorough: bool = False,
) -> Iterator[tuple[str, str]]:
    """Field and text of every problem of one runbook."""
    yield from _place(runbook, path, causes)
    yield from _patterns(runbook, thorough)
    yield from _conditions(runbook)
    yield from _names(runbook)
    if tools is not None:
        yield from _tools(runbook, tools)
    yield from _examples(runbook)


def sound(runbook: Runbook, tools: Mapping[str, Any] | None = None) -> Iterator[tuple[str, str]]:
    """What would make a runbook fail while it is used: conditions, names, and tools where their catalogue is given."""
    yield from _conditions(runbook)
    yield from _names(runbook)
    if tools is not None:
        yield from _tools(runbook, tools)


def fires(runbook: Runbook, text: str) -> bool:
    """Whether the runbook's own patterns hit this text: any, all and none, said as plainly as possible."""
    lines = text.splitlines()
    regexes = [(role, compiled(source)) for role, source in runbook.patterns()]
    wanted = [regex for role, regex in regexes if role == "any"]
    barred = [regex for role, regex in regexes if role == "none"]
    needed = [regex for role, regex in regexes if role == "all"]
    hit = any(
        any(regex.search(line) for regex in wanted) and not any(regex.search(line) for regex in barred)
        for line in lines
    )
    return hit and all(any(regex.search(line) for line in lines) for regex in needed)


def _place(runbook: Runbook, path: Path, causes: Causes) -> Iterator[tuple[str, str]]:
    if runbook.id != path.stem:
        yield "id", f"is {runbook.id}, but the file is named {path.name}"
    named = {"cause": runbook.cause} | {
        f"findings.{each.id}.cause": each.cause for each in runbook.findings if each.cause
    }
    for field, cause in named.items():
        if cause not in causes.meanings:
            yield field, f"{cause} is not in the vocabulary (causes.yaml)"
    area = causes.areas.get(runbook.cause)
    if path.is_relative_to(FOLDER) and path.parent.name != area:
        yield "cause", f"runbooks of this cause live in library/{area}/"
    if len({each.id for each in runbook.findings}) != len(runbook.findings):
        yield "findings", "two findings have the same id"
    for reference in runbook.references:
        if not reference.startswith(("https://", "http://")):
            yield "references", f"not an address: {reference}"


def _patterns(runbook: Runbook, thorough: bool) -> Iterator[tuple[str, str]]:
    for number, (role, source) in enumerate(runbook.patterns()):
        for fault in faults(source, thorough):
            yield f"match.{role}[{number}]", f"{fault}: {source}"
        groups = compiled(source).groupindex
        for group in groups:
            if fact_name(group) not in FACTS:
                yield f"match.{role}[{number}]", f"group {group} is not a fact's name ({', '.join(sorted(FACTS))})"
    for number, source in enumerate(runbook.match.facts):
        field = f"match.facts[{number}]"
        found = list(faults(source, thorough))
        yield from ((field, f"{fault}: {source}") for fault in found)
        if not found and not compiled(source).groupindex:
            yield field, f"names no fact (a group such as (?P<path>...)): {source}"
        for group in () if found else compiled(source).groupindex:
            if fact_name(group) not in FACTS:
                yield field, f"group {group} is not a fact's name ({', '.join(sorted(FACTS))})"
    for name in runbook.defaults:
        if name not in FACTS:
            yield f"defaults.{name}", "is not a fact's name"
        for used in references(runbook.defaults[name]) - ALWAYS:
            yield f"defaults.{name}", f"${used}: only $service may be used here"


def _conditions(runbook: Runbook) -> Iterator[tuple[str, str]]:
    known = {each.name for each in runbook.observe} | FACTS | ALWAYS
    for observation in runbook.observe:
        for text in observation.when:
            yield from _condition(f"observe.{observation.name}.when", text, known)
    for finding in runbook.findings:
        for text in finding.when:
            yield from _condition(f"findings.{finding.id}.when", text, known)
        for step in finding.remedy:
            if step.wait_until:
                for text in step.wait_until.expect:
                    yield from _condition(f"findings.{finding.id}.remedy", text, {"result"} | known)
    for goal in runbook.goals():
        for text in goal.expect:
            yield from _condition("gone", text, {"result"})


def _condition(field: str, text: str, known: set[str]) -> Iterator[tuple[str, str]]:
    try:
        condition = parse(text)
    except ValueError as error:
        yield field, str(error)
        return
    for name in {condition.left.split(".")[0]} | references(condition.right):
        if name not in known:
            yield field, f"{name} in {text!r} is neither observed nor a fact"


def _names(runbook: Runbook) -> Iterator[tuple[str, str]]:
    """Every `$name` must be something that this runbook can bind: a group of a pattern, a default, an observation."""
    bound = {fact_name(group) for _, source in runbook.patterns() for group in compiled(source).groupindex}
    bound |= set(runbook.defaults) | ALWAYS
    for name in references([each.params for each in runbook.planned]) - bound:
        yield "planned", f"${name} is bound by nothing"
    for observation in runbook.observe:
        for name in references(observation.args) - bound:
            yield f"observe.{observation.name}", f"${name} is bound by nothing before it"
        bound.add(observation.name)
    for finding in runbook.findings:
        used = [step.wait_until.args if step.wait_until else step.args for step in finding.remedy]
        for name in references([used, finding.ask.propose if finding.ask else None]) - bound:
            yield f"findings.{finding.id}", f"${name} is bound by nothing"
    for goal in runbook.goals():
        for name in references(goal.args) - bound:
            yield "gone", f"${name} is bound by nothing"


def _tools(runbook: Runbook, tools: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for observation in runbook.observe:
        yield from _call(f"observe.{observation.name}", observation.probe, observation.args, tools, "probe")
    for finding in runbook.findings:
        for step in finding.remedy:
            field = f"findings.{finding.id}.remedy"
            if step.change:
                yield from _call(field, step.change, step.args, tools, "change")
            elif step.wait_until:
                yield from _call(field, step.wait_until.probe, step.wait_until.args, tools, "probe")
    for goal in runbook.goals():
        yield from _call("gone", goal.probe, goal.args, tools, "probe")
    for planned in runbook.planned:
        if planned.tool not in tools:
            yield "planned", f"there is no tool {planned.tool}"


def _call(
    field: str, name: str, args: Mapping[str, Any], tools: Mapping[str, Any], kind: str
) -> Iterator[tuple[str, str]]:
    tool = tools.get(name)
    if tool is None:
        yield field, f"there is no {kind} {name}"
        return
    if tool.kind != kind:
        yield field, f"{name} is a {tool.kind}, not a {kind}"
    given = {key.removesuffix("?") for key in args}
    for key in given - set(tool.parameters):
        yield field, f"{name} has no parameter {key} (it has: {', '.join(tool.parameters)})"
    sure = {key for key in args if not key.endswith("?")}
    for key, parameter in tool.parameters.items():
        if parameter.default is inspect.Parameter.empty and key not in sure:
            yield field, f"{name} needs the parameter {key}"
    literal = {key.removesuffix("?"): value for key, value in args.items() if not references(value)}
    if literal.keys() == given <= set(tool.parameters):
        try:
            tool.check(bind(literal, {}))
        except (AgentError, TypeError, ValueError) as error:
            yield field, str(error)


def _examples(runbook: Runbook) -> Iterator[tuple[str, str]]:
    for example in runbook.examples.match:
        if not fires(runbook, example):
            yield "examples.match", f"does not fire: {example[:120]!r}"
    for example in runbook.examples.ignore:
        if fires(runbook, example):
            yield "examples.ignore", f"fires: {example[:120]!r}"

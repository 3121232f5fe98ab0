"""What a model concludes, checked by code: the cause against the vocabulary, citations against what it was shown,
quotes against their source, steps and checks against the tools themselves."""

from __future__ import annotations

import difflib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from devops_agent import condition
from devops_agent.errors import ToolError
from devops_agent.model import UNKNOWN, Check, Step
from devops_agent.planners import Looking, data
from devops_agent.tools.base import Tool

_MOST = 8
_QUOTE = 400


class Part(BaseModel):
    """Base of what a model may say: more than is asked for is passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore", str_max_length=2000)


class Cited(Part):
    """One citation."""

    id: str
    quote: str = ""


class Wanted(Part):
    """One step."""

    tool: str
    args: dict[str, Any] = {}
    why: str = ""


class Proof(Part):
    """One check."""

    probe: str
    args: dict[str, Any] = {}
    expect: tuple[str, ...] = Field((), max_length=_MOST)


class Conclusion(Part):
    """What a model says when it concludes. None stands for nothing said."""

    cause: str = UNKNOWN
    summary: str = ""
    confidence: float = Field(0.0, ge=0, le=100)
    failure: bool = True
    evidence: tuple[Cited, ...] = Field((), max_length=30)
    steps: tuple[Wanted, ...] = Field((), max_length=_MOST)
    checks: tuple[Proof, ...] = Field((), max_length=_MOST)
    question: str = ""
    advice: tuple[str, ...] = Field((), max_length=_MOST)
    service: str = ""

    @field_validator("*", mode="before")
    @classmethod
    def _said(cls, value: Any, info: Any) -> Any:
        """Models write null where they have nothing to say, and a list as the text of one."""
        if value is None:
            return cls.model_fields[info.field_name].default
        if isinstance(value, str) and info.field_name in ("evidence", "steps", "checks", "advice"):
            try:
                return json.loads(value) if value.strip().startswith("[") else ([value] if value else [])
            except ValueError:
                return value
        return value

    @property
    def sure(self) -> float:
        """The confidence as a share, also where it was given in percent."""
        return self.confidence / 100 if self.confidence > 1 else self.confidence

    def wanted(self) -> tuple[Step, ...]:
        """The steps as the pipeline knows them."""
        return tuple(Step(tool=each.tool, args=each.args, why=data.line(each.why, 200)) for each in self.steps)


@dataclass
class Verdict:
    """What is wrong with a conclusion: with what it says (`false`), with its steps, and which of its checks hold."""

    false: list[str] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)
    checks: list[str] = field(default_factory=list)
    good: list[int] = field(default_factory=list)

    @property
    def problems(self) -> list[str]:
        """All of it, as it is told to the model."""
        return [*self.false, *self.steps, *self.checks]


def read(args: Mapping[str, Any] | None, raw: str = "") -> tuple[Conclusion | None, str]:
    """The conclusion, or what is wrong with its form."""
    if args is None:
        return None, f"the arguments are no JSON object: {data.line(raw, 100)}"
    try:
        return Conclusion.model_validate(args), ""
    except ValidationError as error:
        first = error.errors()[0]
        return None, f"{'.'.join(map(str, first['loc']))}: {first['msg']}"


def judge(
    said: Conclusion, shown: Mapping[str, str], causes: Collection[str], look: Looking, tools: Mapping[str, Tool]
) -> Verdict:
    """Check everything that can be checked. Probes are asked; nothing is changed."""
    verdict = Verdict()
    if not said.failure:
        return verdict
    if said.cause != UNKNOWN and said.cause not in causes:
        near = ", ".join(difflib.get_close_matches(said.cause, causes, 3))
        verdict.false.append(f"cause: {said.cause!r} is not one of the causes" + (f" (perhaps {near})" if near else ""))
    if said.cause != UNKNOWN and not said.evidence:
        verdict.false.append("evidence: a cause needs at least one citation")
    verdict.false += [problem for each in said.evidence if (problem := _citation(each, shown))]
    if verdict.false:
        return verdict
    verdict.steps = _steps(said, look, tools)
    for number, each in enumerate(said.checks):
        if problem := _check(each, look, tools):
            verdict.checks.append(f"checks.{number}: {problem}")
        else:
            verdict.good.append(number)
    return verdict


def known(name: str, shown: Mapping[str, str]) -> str | None:
    """The id that is meant: as it was shown, or without the number of the look."""
    name = name.strip().strip("[]|`")
    if name in shown:
        return name
    return next((each for each in shown if each.rpartition("#")[0] == name), None)


def _citation(cited: Cited, shown: Mapping[str, str]) -> str:
    name = known(cited.id, shown)
    if name is None:
        return f"evidence: {cited.id[:80]!r} was not shown to you"
    if not data.same(cited.quote[:_QUOTE], shown[name]):
        return f"evidence: {cited.quote[:80]!r} does not stand in {name}"
    return ""


def _steps(said: Conclusion, look: Looking, tools: Mapping[str, Tool]) -> list[str]:
    if said.cause == UNKNOWN and said.steps:
        return ["steps: none can be taken for an unknown cause"]
    problems = []
    for number, each in enumerate(said.steps):
        tool = tools.get(each.tool)
        if tool is None:
            problems.append(f"steps.{number}: there is no change {each.tool!r} that fits this place (find_tools)")
        elif tool.kind != "change":
            problems.append(f"steps.{number}: {each.tool} only looks; it is no step")
        else:
            try:
                tool.check(dict(each.args))
            except ToolError as error:
                problems.append(f"steps.{number}: {error}")
    return problems or [f"steps: {refusal}" for refusal in look.refused(said.wanted())]


def _check(proof: Proof, look: Looking, tools: Mapping[str, Tool]) -> str:
    """What is wrong with a check: it must be understood, fail now, and be able to hold later."""
    tool = tools.get(proof.probe)
    if tool is None or tool.kind != "probe":
        return f"there is no probe {proof.probe!r} that fits this place"
    if not proof.expect:
        return "expect: at least one condition is needed"
    for text in proof.expect:
        try:
            if not condition.parse(text).left.startswith("result."):
                return f"{text!r}: conditions are about result.NAME"
        except ValueError as error:
            return str(error)
    found = look.evaluate(Check(probe=proof.probe, args=proof.args, expect=proof.expect))
    if found.passed is None:
        return f"it cannot be told: {data.line(found.detail, 300)}"
    return "it holds already, so it cannot show that the cause is gone" if found.passed else ""

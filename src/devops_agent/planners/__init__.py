"""Who draws conclusions. A planner may look through probes; it cannot act."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from devops_agent.errors import ToolError
from devops_agent.inventory import Place
from devops_agent.model import (
    Action,
    Attempt,
    Check,
    CheckResult,
    Diagnosis,
    Digest,
    Evidence,
    ModelCall,
    Proposal,
    Record,
    Step,
    now,
)
from devops_agent.run import Ledger, Run, calls
from devops_agent.tools.base import Tool

R = TypeVar("R", bound=Record)


class Probes(Protocol):
    """What a toolbox is to a planner: a place, and probes that look there."""

    @property
    def place(self) -> Place:
        """Where the probes look."""
        ...

    def probe(self, name: str, args: dict[str, Any]) -> dict[str, Any]:
        """Typed facts; raises ToolError."""
        ...

    @property
    def tools(self) -> Mapping[str, Tool]:
        """All tools, those that change something too: a planner may name them, never call them."""
        ...

    def has(self, program: str) -> bool:
        """Whether a program can be had at the place."""
        ...

    def preview(self, step: Step, number: int, earlier: Sequence[Action] = ()) -> Action:
        """What a step would do; raises ToolError where the tool refuses. Changes nothing."""
        ...

    def evaluate(self, check: Check) -> CheckResult:
        """Whether a check holds at the moment; None where that cannot be told."""
        ...


class Look:
    """Asks probes, keeping every answer in the journal, so that a walk after a crash sees what the first one saw.

    `learn` is told what each look showed, what it was asked with, and who was asked.
    """

    def __init__(
        self,
        toolbox: Probes,
        run: Run,
        failing: tuple[str, ...] = (),
        learn: Callable[[str, dict[str, Any], str], None] | None = None,
    ) -> None:
        self.place = toolbox.place
        self._learn = learn
        self.failing = failing
        self.seen: list[Evidence] = []
        self._run = run
        self._toolbox = toolbox
        self._asked: dict[str, int] = {}

    def __call__(self, probe: str, args: dict[str, Any]) -> Evidence:
        """What the probe saw. Where it could not look, `data` is None and the text says why."""
        call = f"{probe}({', '.join(f'{key}={value}' for key, value in sorted(args.items()))})"
        number = self._asked[call] = self._asked.get(call, 0) + 1
        evidence = self._run.step(f"look/{call}#{number}", self._ask, f"{call}#{number}", probe, args)
        if self._learn is not None:
            self._learn(json.dumps(evidence.data, default=str) if evidence.data is not None else "", args, probe)
        self.seen.append(evidence)
        return evidence

    @property
    def tools(self) -> Mapping[str, Tool]:
        """All tools of the place."""
        return self._toolbox.tools

    @property
    def ledger(self) -> Ledger | None:
        """Where the cost of calls to models is kept over all incidents."""
        return self._run.ledger

    def has(self, program: str) -> bool:
        """Whether a program can be had at the place."""
        return self._toolbox.has(program)

    def refused(self, steps: Sequence[Step]) -> list[str]:
        """What the tools themselves say against these steps, taken in order; nothing is done."""
        actions: list[Action] = []
        said: list[str] = []
        for step in steps:
            try:
                actions.append(self._toolbox.preview(step, len(actions) + 1, actions))
            except ToolError as error:
                said.append(f"{step.tool}: {error}")
        return said

    def evaluate(self, check: Check) -> CheckResult:
        """Whether a check holds at the moment."""
        return self._toolbox.evaluate(check)

    def calls(self) -> tuple[ModelCall, ...]:
        """The calls to models for this incident in earlier attempts."""
        own = self._run.prefix.rstrip("/")
        before = range(int(own)) if own.isdigit() else ()
        return tuple(call for number in before for call in calls(self._run.journal, f"{number}/"))

    def keep(self, name: str, function: Callable[[], R], durable: bool = False) -> R:
        """The record kept under this name in this attempt, or else what the function makes, kept."""
        return self._run.step(name, function, durable=durable)

    def _ask(self, key: str, probe: str, args: dict[str, Any]) -> Evidence:
        try:
            data = self._toolbox.probe(probe, args)
        except ToolError as error:
            return Evidence(id=key, source=probe, text=f"could not look: {error}", at=now())
        return Evidence(id=key, source=probe, text=_in_words(data), data=data, at=now())


class NoLook:
    """For a diagnosis from the text alone: sees nothing."""

    def __init__(self, place: Place | None = None) -> None:
        self.place = place or Place()
        self.failing: tuple[str, ...] = ()
        self.seen: list[Evidence] = []
        self.tools: Mapping[str, Tool] = {}
        self.ledger: Ledger | None = None
        self._kept: dict[str, Record] = {}

    def __call__(self, probe: str, args: dict[str, Any]) -> Evidence:  # noqa: ARG002
        """Evidence without data: nothing is looked at."""
        return Evidence(id=probe, source=probe, text="nothing was looked at")

    def has(self, program: str) -> bool:  # noqa: ARG002
        """Nothing can be had where nothing is looked at."""
        return False

    def refused(self, steps: Sequence[Step]) -> list[str]:
        """Every step is: there is no place to act in."""
        return [f"{step.tool}: there is no place here to act in" for step in steps]

    def evaluate(self, check: Check) -> CheckResult:
        """It cannot be told."""
        return CheckResult(name=check.probe, passed=None, detail="nothing was looked at")

    def calls(self) -> tuple[ModelCall, ...]:
        """There are no earlier attempts."""
        return ()

    def keep(self, name: str, function: Callable[[], R], durable: bool = False) -> R:  # noqa: ARG002
        """Remembered as long as this object lives."""
        if name not in self._kept:
            self._kept[name] = function()
        return self._kept[name]  # type: ignore[return-value]


class Looking(Protocol):
    """What planners are given to look with."""

    place: Place
    failing: tuple[str, ...]
    """Services of the inventory whose health check fails at the moment."""
    seen: list[Evidence]

    @property
    def tools(self) -> Mapping[str, Tool]:
        """All tools of the place; none where nothing can be looked at."""
        ...

    @property
    def ledger(self) -> Ledger | None:
        """Where the cost of calls to models is kept over all incidents."""
        ...

    def __call__(self, probe: str, args: dict[str, Any]) -> Evidence:
        """What a probe saw; without data where it could not look."""
        ...

    def has(self, program: str) -> bool:
        """Whether a program can be had at the place."""
        ...

    def refused(self, steps: Sequence[Step]) -> list[str]:
        """What the tools themselves say against these steps; nothing is done."""
        ...

    def evaluate(self, check: Check) -> CheckResult:
        """Whether a check holds at the moment; None where that cannot be told."""
        ...

    def calls(self) -> tuple[ModelCall, ...]:
        """The calls to models for this incident in earlier attempts."""
        ...

    def keep(self, name: str, function: Callable[[], R], durable: bool = False) -> R:
        """The record kept under this name in this attempt, or else what the function makes, kept."""
        ...


class Planner(Protocol):
    """From the digest to a diagnosis, and from the diagnosis to what is wanted done."""

    name: str

    def diagnose(self, digest: Digest, history: tuple[Attempt, ...], look: Looking) -> Diagnosis:
        """What is wrong, how sure that is, and on what it rests."""
        ...

    def propose(self, diagnosis: Diagnosis, run: Run) -> Proposal:
        """What is wanted done; empty where no safe remedy is known."""
        ...


def _in_words(data: dict[str, Any]) -> str:
    text = ", ".join(f"{key}: {value}" for key, value in data.items())
    return text if len(text) <= 500 else text[:500] + " …"

"""Who draws conclusions. A planner may look through probes; it cannot act."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Protocol

from devops_agent.errors import ToolError
from devops_agent.inventory import Place
from devops_agent.model import Attempt, Diagnosis, Digest, Evidence, Proposal, now
from devops_agent.run import Run


class Probes(Protocol):
    """What a toolbox is to a planner: a place, and probes that look there."""

    @property
    def place(self) -> Place:
        """Where the probes look."""
        ...

    def probe(self, name: str, args: dict[str, Any]) -> dict[str, Any]:
        """Typed facts; raises ToolError."""
        ...


class Look:
    """Asks probes, keeping every answer in the journal, so that a walk after a crash sees what the first one saw.

    `learn` is told what each look showed and what it was asked with.
    """

    def __init__(
        self,
        toolbox: Probes,
        run: Run,
        failing: tuple[str, ...] = (),
        learn: Callable[[str, dict[str, Any]], None] | None = None,
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
            self._learn(json.dumps(evidence.data, default=str) if evidence.data is not None else "", args)
        self.seen.append(evidence)
        return evidence

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

    def __call__(self, probe: str, args: dict[str, Any]) -> Evidence:  # noqa: ARG002
        """Evidence without data: nothing is looked at."""
        return Evidence(id=probe, source=probe, text="nothing was looked at")


class Looking(Protocol):
    """What planners are given to look with."""

    place: Place
    failing: tuple[str, ...]
    """Services of the inventory whose health check fails at the moment."""
    seen: list[Evidence]

    def __call__(self, probe: str, args: dict[str, Any]) -> Evidence:
        """What a probe saw; without data where it could not look."""
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

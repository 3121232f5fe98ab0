"""The promise that only a planner can check: each example makes its runbook's cause the winner."""

from __future__ import annotations

from collections.abc import Iterator

from devops_agent.distil import distil_source
from devops_agent.inventory import Place
from devops_agent.model import Diagnosis
from devops_agent.planners import NoLook
from devops_agent.planners.runbook import RunbookPlanner
from devops_agent.runbooks.lint import Problem
from devops_agent.runbooks.load import Library
from devops_agent.scan import Signatures


class Reader:
    """Diagnoses texts with one library: no probes, no journal."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self._signatures = Signatures(library.signatures())
        self._planner = RunbookPlanner(library)

    def diagnose(self, text: str) -> Diagnosis:
        """The diagnosis of a log from its text alone."""
        digest = distil_source(text.encode(), self._signatures)
        return self._planner.diagnose(digest, (), NoLook(Place()))


def losing(library: Library, only: str | None = None) -> Iterator[Problem]:
    """Examples that another cause wins, and counter-examples that this runbook wins."""
    reader = Reader(library)
    for key in library.runbooks if only is None else [only]:
        runbook = library.runbook(key)
        for example in runbook.examples.match:
            found = reader.diagnose(example)
            if found.cause != runbook.cause:
                won = f"{found.cause} ({found.runbook})" if found.failure else "no failure"
                yield Problem(key, "examples.match", f"{won} wins: {example[:120]!r}")
        for example in runbook.examples.ignore:
            if reader.diagnose(example).runbook == key:
                yield Problem(key, "examples.ignore", f"wins: {example[:120]!r}")

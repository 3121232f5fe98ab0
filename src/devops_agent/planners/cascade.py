"""Who is asked first: the runbooks, and a model where they do not know enough; or the other way round.

Whatever happens to the model, the incident keeps the runbooks' answer, and a remark that says what went wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from devops_agent.model import UNKNOWN, Alternative, Attempt, Diagnosis, Digest, Proposal
from devops_agent.planners import Looking, NoLook
from devops_agent.planners.asking import Hint
from devops_agent.planners.choose import ANSWER, candidates
from devops_agent.planners.model import ModelPlanner, Thought, trouble
from devops_agent.planners.runbook import PASSED, RunbookPlanner
from devops_agent.run import Run
from devops_agent.runbooks.load import Library

Order = Literal["auto", "model_first", "model"]

CONFIDENT = 0.6
"""An answer of the runbooks that is less sure than that is worth a second opinion."""

HINTS = 3


class CascadePlanner:
    """`auto`: runbooks, then the model. `model_first`: the model, with the runbooks as context. `model`: it alone; of
    the runbooks only their reading of the log is reported where it gives no answer, and nothing is done."""

    name = "cascade"

    def __init__(self, runbooks: RunbookPlanner, model: ModelPlanner, order: Order = "auto") -> None:
        self.runbooks = runbooks
        self.model = model
        self.order = order

    @property
    def library(self) -> Library:
        """The runbooks in force."""
        return self.runbooks.library

    def over(self, runbooks: RunbookPlanner) -> CascadePlanner:
        """The same with other runbooks: those of the moment."""
        return CascadePlanner(runbooks, self.model, self.order)

    def diagnose(self, digest: Digest, history: tuple[Attempt, ...], look: Looking) -> Diagnosis:
        """The better answer of the two; the runbooks' where the model gave none."""
        if self.order == "auto":
            first = self.runbooks.diagnose(digest, history, look)
            if not self._wanting(first, history, look):
                return first
            return _better(first, self.model.think(digest, history, look, self._hints(digest)))
        if self.order == "model_first":
            thought = self.model.think(digest, history, look, self._hints(digest))
            return thought.diagnosis or _remarked(self.runbooks.diagnose(digest, history, look), thought)
        thought = self.model.think(digest, history, look)
        return thought.diagnosis or _remarked(self.runbooks.diagnose(digest, (), NoLook(look.place)), thought)

    def propose(self, diagnosis: Diagnosis, run: Run) -> Proposal:
        """What whoever drew the conclusion proposes."""
        if diagnosis.planner == self.model.name:
            return self.model.propose(diagnosis, run)
        if self.order == "model":
            return Proposal(cause=diagnosis.cause)
        return self.runbooks.propose(diagnosis, run)

    def _wanting(self, said: Diagnosis, history: tuple[Attempt, ...], look: Looking) -> bool:
        """Whether the runbooks' answer is worth asking a model: unknown, unsure, or without a remedy that helps."""
        if not said.failure or (said.finding or "").startswith(PASSED):
            return False
        if said.cause == UNKNOWN or said.confidence < CONFIDENT:
            return True
        tried = any(
            one.verification is not None
            and one.diagnosis is not None
            and (one.diagnosis.runbook, one.diagnosis.finding) == (said.runbook, said.finding)
            for one in history
        )
        return tried or (look.place.known and not self._has_remedy(said))

    def _has_remedy(self, said: Diagnosis) -> bool:
        finding = self.runbooks.finding(said)
        return finding is not None and bool(finding.remedy or finding.ask)

    def _hints(self, digest: Digest) -> list[Hint]:
        """The runbooks that the log speaks for, as context."""
        library = self.runbooks.library
        found = candidates(digest.hits, library.runbooks, library.causes)
        return [
            Hint(
                one.runbook.id,
                one.cause,
                one.runbook.title,
                " ".join(one.runbook.description.split()),
                tuple(dict.fromkeys(_tools(one.runbook))),
            )
            for one in found[:HINTS]
            if one.score >= ANSWER / 2
        ]


def _tools(runbook: object) -> Sequence[str]:
    observed = [each.probe for each in getattr(runbook, "observe", ())]
    wanted = [item.change for finding in getattr(runbook, "findings", ()) for item in finding.remedy if item.change]
    return [*observed, *wanted]


def _better(first: Diagnosis, thought: Thought) -> Diagnosis:
    """The model's answer where it knows more than the runbooks; else theirs, with what it said as an alternative."""
    second = thought.diagnosis
    if second is None:
        return _remarked(first, thought)
    if second.cause != UNKNOWN and second.failure:
        helps = bool(second.planned) and (second.cause == first.cause or second.confidence >= CONFIDENT)
        if first.cause == UNKNOWN or helps or second.confidence > first.confidence:
            return second
        other = Alternative(cause=second.cause, confidence=second.confidence)
        others = (other, *first.alternatives) if second.cause != first.cause else first.alternatives
        return first.model_copy(update={"alternatives": others[:4], "turns": thought.turns})
    if first.cause == UNKNOWN:
        return second
    remark = f"The model was asked too, and does not know more: {second.summary}"
    return first.model_copy(update={"remarks": (*first.remarks, remark), "turns": thought.turns})


def _remarked(first: Diagnosis, thought: Thought) -> Diagnosis:
    said = {
        "remarks": (*first.remarks, f"{trouble(thought)} This is the runbooks' answer."),
        "turns": thought.turns or 1,
    }
    return first.model_copy(update=said)

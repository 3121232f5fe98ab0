"""When the cascade asks a model, and whose answer it takes."""

from __future__ import annotations

from typing import Any

import pytest

from devops_agent.inventory import Inventory, Place
from devops_agent.model import UNKNOWN, Attempt, Diagnosis, Digest, Evidence, Proposal, Step, Verification
from devops_agent.planners import NoLook
from devops_agent.planners.cascade import CascadePlanner
from devops_agent.planners.model import Thought
from devops_agent.planners.runbook import RunbookPlanner
from devops_agent.run import MemoryJournal, Run
from devops_agent.runbooks.load import library

STEP = Step(tool="restart_service", args={"service": "shop"})


class Fixed(RunbookPlanner):
    """Runbooks that always say the same, with or without a remedy."""

    def __init__(self, said: Diagnosis, remedy: bool = True) -> None:
        super().__init__(library())
        self.said = said
        self.remedy = remedy

    def diagnose(self, digest: Any, history: Any, look: Any) -> Diagnosis:
        return self.said

    def finding(self, diagnosis: Diagnosis) -> Any:
        return type("Finding", (), {"remedy": (STEP,) if self.remedy else (), "ask": None})()

    def propose(self, diagnosis: Diagnosis, run: Any) -> Proposal:
        return Proposal(cause=diagnosis.cause, steps=(STEP,))


class Thinking:
    """A model planner that always thinks the same."""

    name = "model"

    def __init__(self, thought: Thought) -> None:
        self.thought = thought
        self.hints: list[Any] = []

    def think(self, digest: Any, history: Any, look: Any, hints: Any = ()) -> Thought:
        self.hints.append(hints)
        return self.thought

    def propose(self, diagnosis: Diagnosis, run: Any) -> Proposal:
        return Proposal(cause=diagnosis.cause)


def known(**more: Any) -> Diagnosis:
    base = {"cause": "disk_full", "confidence": 0.9, "runbook": "disk_full", "finding": "full"}
    return Diagnosis(**(base | more))


def model(**more: Any) -> Thought:
    base = {"cause": "config_invalid", "confidence": 0.8, "planner": "model", "planned": (STEP,)}
    return Thought(Diagnosis(**(base | more)), turns=2)


DIGEST = Digest(evidence=(Evidence(id="log:1", source="log", text="ERROR: x", line=1),), failing=True)
PLACE = Place(Inventory(), "/", "shop")
TRIED = Attempt(diagnosis=known(), verification=Verification(cause_gone=False, over=False))


@pytest.mark.parametrize(
    ("said", "remedy", "place", "history", "asked"),
    [
        (known(), True, PLACE, (), False),
        (known(), False, PLACE, (), True),
        (known(), False, Place(), (), False),
        (known(), True, PLACE, (TRIED,), True),
        (known(confidence=0.4), True, PLACE, (), True),
        (known(cause=UNKNOWN, confidence=0.0), True, Place(), (), True),
        (known(finding="passed"), False, PLACE, (), False),
        (Diagnosis(failure=False), False, PLACE, (), False),
    ],
)
def test_the_model_is_asked_where_runbooks_do_not_know_enough(said, remedy, place, history, asked):
    thinking = Thinking(model())
    CascadePlanner(Fixed(said, remedy), thinking).diagnose(DIGEST, history, NoLook(place))
    assert bool(thinking.hints) is asked


@pytest.mark.parametrize(
    ("said", "thought", "cause"),
    [
        (known(cause=UNKNOWN, confidence=0.0), model(), "config_invalid"),
        (known(cause=UNKNOWN, confidence=0.0), model(cause=UNKNOWN, summary="The vendor knows."), UNKNOWN),
        (known(), model(), "config_invalid"),
        (known(), model(confidence=0.5), "disk_full"),
        (known(), model(planned=()), "disk_full"),
        (known(), model(cause=UNKNOWN), "disk_full"),
        (known(), Thought(trouble="it is not there"), "disk_full"),
        (known(), Thought(Diagnosis(failure=False, planner="model")), "disk_full"),
    ],
)
def test_the_better_answer_is_taken(said, thought, cause):
    planner = CascadePlanner(Fixed(said, remedy=False), Thinking(thought))
    taken = planner.diagnose(DIGEST, (), NoLook(PLACE))
    assert taken.cause == cause
    if thought.trouble:
        assert "it is not there" in taken.remarks[0]
    if thought.diagnosis and not thought.diagnosis.planned and thought.diagnosis.cause != UNKNOWN:
        assert taken.alternatives[0].cause == "config_invalid" or not thought.diagnosis.failure
    proposal = planner.propose(taken, Run(MemoryJournal()))
    assert bool(proposal.steps) is (taken.planner == "runbooks")


def test_alone_it_leaves_nothing_to_the_runbooks_but_their_reading():
    planner = CascadePlanner(Fixed(known()), Thinking(Thought(trouble="it is not there")), "model")
    taken = planner.diagnose(DIGEST, (), NoLook(PLACE))
    assert (taken.cause, planner.propose(taken, Run(MemoryJournal())).steps) == ("disk_full", ())
    first = CascadePlanner(Fixed(known()), Thinking(Thought(trouble="it is not there")), "model_first")
    assert first.propose(first.diagnose(DIGEST, (), NoLook(PLACE)), Run(MemoryJournal())).steps == (STEP,)

"""The planner that asks a language model, where no runbook knows.

What it may look at, cite, change and spend is decided by code: it is shown what fits, its calls are probes only, and
its conclusion is checked before anything comes of it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from devops_agent.llm.request import Function, Message, Request
from devops_agent.model import (
    UNKNOWN,
    Attempt,
    Check,
    Diagnosis,
    Digest,
    Evidence,
    FunctionCall,
    ModelCall,
    Proposal,
    Step,
)
from devops_agent.planners import Looking, asking, conclusion, data, grounds, offer
from devops_agent.planners.asking import Hint, Question
from devops_agent.planners.conclusion import Conclusion, Verdict
from devops_agent.run import Ledger, Run
from devops_agent.runbooks.causes import Causes
from devops_agent.usage import Usage, total

TURNS = 5
PROPOSAL = "model/proposal"
_MORE = 6000
"""Bytes of further functions that one search may add to those that are offered."""

_ANSWERS = 12_000
"""Characters of all answers to the calls of one turn."""

_AT_ONCE = 8
"""Functions that are answered in one turn; what is called beyond that is told to wait."""


class Asking(Protocol):
    """The door to models."""

    def ask(self, request: Request, turn: int, spent: Usage, ledger: Ledger | None = None) -> ModelCall:
        """One question, one answer; a failed one has an `error`."""
        ...


@dataclass
class Thought:
    """What came of asking a model: a diagnosis, or the trouble that stood against one."""

    diagnosis: Diagnosis | None = None
    trouble: str = ""
    turns: int = 0


@dataclass
class _Talk:
    """One conversation as far as it has come. `told`: a conclusion was refused before; `false`: for what it cited."""

    look: Looking
    digest: Digest
    start: Question
    messages: list[Message]
    functions: list[Function]
    asked: dict[str, str] = field(default_factory=dict)
    told: bool = False
    false: bool = False
    silent: bool = False


class ModelPlanner:
    """Diagnoses by asking a model through a door: one conversation an attempt, at most `turns` requests an incident."""

    name = "model"

    def __init__(self, door: Asking, causes: Causes, turns: int = TURNS) -> None:
        self.door = door
        self.causes = causes
        self.turns = turns

    def diagnose(self, digest: Digest, history: tuple[Attempt, ...], look: Looking) -> Diagnosis:
        """What the model concludes; `unknown`, with a remark, where nothing came of asking it."""
        thought = self.think(digest, history, look)
        return thought.diagnosis or Diagnosis(planner=self.name, turns=thought.turns, remarks=(trouble(thought),))

    def propose(self, diagnosis: Diagnosis, run: Run) -> Proposal:
        """What it proposed with its conclusion."""
        found: Proposal | None = run.find(PROPOSAL)
        return found or Proposal(cause=diagnosis.cause)

    def think(self, digest: Digest, history: tuple[Attempt, ...], look: Looking, hints: Sequence[Hint] = ()) -> Thought:
        """Ask until it concludes, has used its turns, or nothing comes of it. Answers are kept before they are used."""
        before = look.calls()
        left = self.turns - sum(1 for call in before if not call.error)
        if left <= 0:
            return Thought(trouble=f"it was asked {self.turns} times for this incident, which is all it may be")
        start = asking.question(digest, history, look, self.causes.meanings, left, hints)
        talk = _Talk(look, digest, start, list(start.request.messages), list(start.request.functions))
        talk.asked = {each.id.rpartition("#")[0]: each.id for each in look.seen}
        made: list[ModelCall] = []
        for turn in range(1, left + 1):
            last = turn == left
            offered = (asking.CONCLUDE,) if last else tuple(talk.functions)
            request = Request(start.request.system, tuple(talk.messages), offered)
            spent = total((*before, *made))
            call = look.keep(f"model/{turn}", partial(self.door.ask, request, turn, spent, look.ledger), durable=True)
            made.append(call)
            ended = self._read(talk, call, turn, last)
            if ended is not None:
                ended.turns = len(made)
                if ended.diagnosis is not None:
                    ended.diagnosis = ended.diagnosis.model_copy(update={"turns": len(made)})
                return ended
        return Thought(trouble=f"it came to no conclusion within {left} turns", turns=len(made))

    def _read(self, talk: _Talk, call: ModelCall, turn: int, last: bool) -> Thought | None:
        """What an answer ends with; None where the conversation goes on."""
        if call.error:
            return Thought(trouble=call.error)
        ending = next((each for each in call.calls if each.name == asking.CONCLUDE.name), None)
        if ending is not None:
            return self._concluded(talk, call, ending, turn, last)
        talk.messages.append(Message("assistant", call.text, call.calls))
        if not call.calls:
            if talk.silent:
                return Thought(trouble="it wrote text instead of calling a function, also when told")
            talk.silent = True
            talk.messages.append(Message("user", "Call a function: `conclude`, or one to look with."))
        room = min(data.RESULT, _ANSWERS // max(1, min(len(call.calls), _AT_ONCE)))
        for number, each in enumerate(call.calls):
            text = _answer(talk, each, room) if number < _AT_ONCE else "Too many at once: this call was not made."
            talk.messages.append(Message("function", text, call=each.id, name=each.name))
        return None

    def _concluded(self, talk: _Talk, call: ModelCall, ending: FunctionCall, turn: int, last: bool) -> Thought | None:
        said, problem = conclusion.read(ending.args, ending.raw)
        verdict = Verdict(false=[f"conclude: {problem}"])
        if said is not None:
            verdict = _kept(talk.look, turn, partial(self._judged, talk, said))
        if verdict.problems and not talk.told and not last:
            talk.told, talk.false = True, bool(verdict.false)
            refused = "\n".join(
                ["Refused. Correct it and conclude again:", *(f"- {each}" for each in verdict.problems)]
            )
            talk.messages.append(Message("assistant", call.text, call.calls))
            for each in call.calls:
                text = refused if each is ending else "Not made: you concluded."
                talk.messages.append(Message("function", text, call=each.id, name=each.name))
            return None
        if said is None or verdict.false:
            return Thought(trouble=f"its conclusion was refused ({'; '.join(verdict.false)})")
        diagnosis, proposal = _made(talk, said, verdict)
        talk.look.keep(PROPOSAL, lambda: proposal)
        return Thought(diagnosis)

    def _judged(self, talk: _Talk, said: Conclusion) -> Verdict:
        if not said.failure and (grounds.telling(talk.digest) or talk.look.failing):
            seen = ", ".join(f"{name} fails its health check" for name in talk.look.failing)
            return Verdict(false=[f"failure: there is one: {seen or 'the log ends in it'}"])
        return conclusion.judge(said, talk.start.shown, self.causes.meanings, talk.look, talk.start.tools)


def trouble(thought: Thought) -> str:
    """What went wrong with the model, in a sentence for people."""
    return f"The model gave no answer that can be used: {thought.trouble.rstrip('.')}."


def _kept(look: Looking, turn: int, judge: Any) -> Verdict:
    """A verdict once and for all: what was looked at for it may be otherwise after a crash."""

    def record() -> Evidence:
        made: Verdict = judge()
        return Evidence(id=f"verdict#{turn}", source="verdict", text="; ".join(made.problems), data=vars(made))

    return Verdict(**(look.keep(f"model/{turn}/verdict", record).data or {}))


def _answer(talk: _Talk, call: FunctionCall, room: int) -> str:
    """What a function that the model called answers: data, or what is wrong with the call."""
    if call.args is None:
        return f"The arguments are no JSON object: {data.line(call.raw, 100)}"
    args = {name: value for name, value in call.args.items() if value is not None}
    if call.name == asking.FIND.name:
        return _find(talk, str(args.get("words", "")))
    if call.name == asking.LINES.name:
        return _lines(talk, args)
    tool = talk.start.tools.get(call.name)
    if tool is None:
        return f"There is no probe {call.name!r} that fits this place; find_tools knows which there are."
    if tool.kind != "probe":
        return f"{call.name} changes something: name it in the steps of your conclusion."
    key = f"{call.name}({', '.join(f'{name}={value}' for name, value in sorted(args.items()))})"
    if key in talk.asked:
        return f"You have seen this already, under the id {talk.asked[key]}; nothing was looked at again."
    seen = talk.look(call.name, args)
    talk.asked[key] = seen.id
    if seen.data is None:
        text = json.dumps({"id": seen.id, "error": data.line(seen.text, 400)}, ensure_ascii=False)
    else:
        text = data.result(seen.id, seen.data, room)
    talk.start.shown[seen.id] = text
    return text


def _find(talk: _Talk, words: str) -> str:
    found = offer.found(talk.start.tools, words)
    offered = {each.name for each in talk.functions}
    new = [tool for tool in found if tool.kind == "probe" and tool.name not in offered]
    talk.functions[0:0] = offer.functions(new, _MORE)
    return "\n".join(offer.described(tool) for tool in found) or "Nothing fits these words and this place."


def _lines(talk: _Talk, args: dict[str, Any]) -> str:
    first, last = (args.get(name) for name in ("first", "last"))
    if not isinstance(first, int) or not isinstance(last, int):
        return "first and last must be line numbers."
    lines = asking.more_lines(talk.digest, first, last)
    talk.start.shown.update((each.id, each.text) for each in lines)
    return asking.numbered(lines) or "The excerpt has no line between these."


def _made(talk: _Talk, said: Conclusion, verdict: Verdict) -> tuple[Diagnosis, Proposal]:
    """The diagnosis and the proposal of a conclusion that was accepted; steps that were refused twice are left out."""
    shown = talk.start.shown
    cited = tuple(dict.fromkeys(name for each in said.evidence if (name := conclusion.known(each.id, shown))))
    if not said.failure:
        quiet = Diagnosis(failure=False, summary="The log shows no failure.", evidence=cited, planner=ModelPlanner.name)
        return quiet, Proposal()
    sure, reason = grounds.capped(
        said.sure, cited, talk.digest, talk.look.seen, bool(talk.start.tools), refused=talk.false
    )
    lowered = f"The model's confidence of {said.sure:.2f} was lowered: {reason}." if reason else ""
    steps: tuple[Step, ...] = () if verdict.steps else said.wanted()
    question = data.line(said.question, 400)
    if verdict.steps:
        named = ", ".join(each.tool for each in said.steps)
        question = question or f"The model proposed {named}, which was refused: {verdict.steps[0]}."
    checks = [said.checks[number] for number in verdict.good]
    diagnosis = Diagnosis(
        cause=said.cause,
        summary=data.line(said.summary, 400),
        confidence=0.0 if said.cause == UNKNOWN else sure,
        evidence=cited,
        planner=ModelPlanner.name,
        service=said.service if said.service in talk.look.place.inventory.services else None,
        advice=tuple(data.line(each, 300) for each in said.advice),
        looked=tuple(talk.look.seen),
        planned=steps,
        remarks=(lowered,) if lowered else (),
    )
    proposal = Proposal(
        cause=said.cause,
        steps=steps,
        checks=tuple(Check(probe=each.probe, args=each.args, expect=each.expect) for each in checks),
        question=question or None,
    )
    return diagnosis, proposal

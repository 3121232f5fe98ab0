"""The door: one question to a model, with retries, a second model, caps, and a pause where nobody answers.

Whatever happens comes back as a `ModelCall`; one that failed has an `error`, and no exception leaves but an interrupt.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from devops_agent.errors import BudgetSpent
from devops_agent.llm import loop, prices
from devops_agent.llm.budget import Caps
from devops_agent.llm.names import Choice
from devops_agent.llm.prices import Price
from devops_agent.llm.request import Request
from devops_agent.llm.wire import Answer, Trouble, Wire
from devops_agent.run import Ledger
from devops_agent.usage import ModelCall, Usage

TRIES = {"rate": 5, "server": 4, "connection": 3, "timeout": 2, "unreadable": 2, "empty": 2, "context": 3, "tools": 2}
"""How often a call is tried that ends in this trouble; any other is not tried again."""

_AT_ONCE = ("context", "tools", "unreadable", "empty")
_SILENT = {"rate": 30.0, "server": 30.0, "connection": 30.0, "timeout": 30.0, "refused": 120.0}
"""After such an end the model is left alone for so many seconds: those who come next need not wait for it in vain."""

_ANSWERED = ("timeout", "unreadable", "empty", "filter")
"""Troubles after which the provider may have charged for an answer that we did not get."""


@dataclass(frozen=True)
class Terms:
    """Which models in which order, how long they may take, and what they may cost.

    `pause`: seconds before the second try of a call; it doubles with each further one.
    """

    choices: tuple[Choice, ...]
    timeout: float = 60.0
    patience: float = 120.0
    answer_tokens: int = 4000
    pause: float = 0.5
    caps: Caps = field(default_factory=Caps)
    prices: dict[str, Price] = field(default_factory=dict)


@dataclass
class _Try:
    """One call as far as it has come."""

    request: Request
    turn: int
    purpose: str
    spent: Usage
    ledger: Ledger | None
    deadline: float
    begun: float
    tries: int = 0
    problems: list[str] = field(default_factory=list)


class Door:
    """Asks models. `redact` masks every text immediately before it is sent. Safe to share between threads."""

    def __init__(self, terms: Terms, redact: Callable[[str], str]) -> None:
        self.terms = terms
        self.redact = redact
        self._lock = threading.Lock()
        self._silent: dict[Choice, tuple[float, str]] = {}
        self._wires: dict[Choice, Wire] = {}
        self._process = os.getpid()

    @property
    def label(self) -> str:
        """The first model's name, for people."""
        return self.terms.choices[0].label

    def ask(
        self, request: Request, turn: int, spent: Usage, ledger: Ledger | None = None, purpose: str = "diagnose"
    ) -> ModelCall:
        """The answer to one request. `spent` is what the incident has used before it."""
        begun = time.monotonic()
        masked = request.redacted(self.redact)
        state = _Try(masked, turn, purpose, spent, ledger, begun + self.terms.patience, begun)
        for choice in self.terms.choices:
            try:
                made = self._with(self._wire(choice), state)
            except BudgetSpent as error:
                state.problems.append(str(error))
                return self._failed(state, f"no model was asked: {error}")
            if made is not None:
                return made
        return self._failed(state, "; ".join(dict.fromkeys(state.problems)) or "no model is configured")

    def _with(self, wire: Wire, state: _Try) -> ModelCall | None:
        """The answer of one model; None when it is given up."""
        choice = wire.choice
        if (quiet := self._quiet(choice)) is not None:
            state.problems.append(f"{choice.label} is left alone for now ({quiet})")
            return None
        try:
            wire.prepare()
        except Trouble as failed:
            state.problems.append(f"{choice.label}: {self.redact(str(failed))}")
            self._leave_alone(choice, failed)
            return None
        state.deadline = time.monotonic() + self.terms.patience
        request, tried, kinds = state.request, 0, dict[str, int]()
        while True:
            tried += 1
            try:
                answer = self._once(wire, request, state)
            except Trouble as failed:
                state.problems.append(f"{choice.label}: {self.redact(str(failed))}")
                kinds[failed.kind] = kinds.get(failed.kind, 0) + 1
                wait = self._wait(failed, tried)
                late = time.monotonic() + wait >= state.deadline
                if kinds[failed.kind] >= TRIES.get(failed.kind, 1) or late:
                    self._leave_alone(choice, failed)
                    return None
                if failed.kind == "context":
                    request = request.shorter()
                elif failed.kind == "tools":
                    wire.plain = True
                time.sleep(wait)
                continue
            return self._kept(wire, request, answer, state)

    def _once(self, wire: Wire, request: Request, state: _Try) -> Answer:
        """One try, within the caps. Raises Trouble, BudgetSpent."""
        tokens = request.tokens()
        price, _ = self._price(wire.choice, tokens, self.terms.answer_tokens)
        tokens += self.terms.answer_tokens
        self.terms.caps.check(state.spent, tokens, price)
        ticket = state.ledger.reserve(tokens, price) if state.ledger else 0
        state.tries += 1
        cost: tuple[int, float] | None = (0, 0.0)
        try:
            left = max(1.0, min(wire.timeout, state.deadline - time.monotonic()))
            answer = loop.run(wire.send(request), left)
            used = answer.tokens_in + answer.tokens_out
            cost = (used, self._price(wire.choice, answer.tokens_in, answer.tokens_out, answer.tokens_cached)[0])
        except TimeoutError as error:
            cost = None
            raise Trouble("timeout", str(error) or "no answer in time") from None
        except Trouble as failed:
            cost = None if failed.kind in _ANSWERED else cost
            raise
        finally:
            if state.ledger is not None and cost is not None:
                state.ledger.settle(ticket, *cost)  # else what was put aside stands: nobody knows better
        return answer

    def _kept(self, wire: Wire, request: Request, answer: Answer, state: _Try) -> ModelCall:
        cost, priced = self._price(wire.choice, answer.tokens_in, answer.tokens_out, answer.tokens_cached)
        return self._record(state, request).model_copy(
            update={
                "model": answer.model or wire.choice.name,
                "provider": wire.choice.provider,
                "text": self.redact(answer.text),
                "calls": answer.calls,
                "finish": answer.finish,
                "tokens_in": answer.tokens_in,
                "tokens_cached": answer.tokens_cached,
                "tokens_out": answer.tokens_out,
                "dollars": round(cost, 8),
                "priced": priced,
            }
        )

    def _failed(self, state: _Try, error: str) -> ModelCall:
        choice = self.terms.choices[0]
        return self._record(state, state.request).model_copy(
            update={"error": self.redact(error)[:1000], "model": choice.name, "provider": choice.provider}
        )

    def _record(self, state: _Try, request: Request) -> ModelCall:
        new = [message.plain() for message in request.messages]
        last = max((at for at, each in enumerate(new) if each["role"] == "assistant"), default=-1)
        return ModelCall(
            turn=state.turn,
            purpose=state.purpose,
            request=request.digest(),
            request_bytes=len(request.text().encode("utf-8", "surrogatepass")),
            system=request.system if last < 0 else "",
            sent=tuple(new[last + 1 :]),
            offered=tuple(each.name for each in request.functions),
            seconds=round(time.monotonic() - state.begun, 3),
            tries=state.tries,
            problems=tuple(state.problems),
        )

    def _price(self, choice: Choice, tokens_in: int, tokens_out: int, cached: int = 0) -> tuple[float, bool]:
        found = prices.dollars(self.terms.prices, choice.provider, choice.name, tokens_in, tokens_out, cached)
        return (0.0, False) if found is None else (found, True)

    def _wait(self, failed: Trouble, tried: int) -> float:
        if failed.kind in _AT_ONCE:
            return 0.0
        if failed.retry_after is not None:
            return max(0.0, failed.retry_after)
        return float(min(20.0, self.terms.pause * 2 ** (tried - 1)) * (0.75 + random.random() / 2))  # noqa: S311 (only spreads load)

    def _quiet(self, choice: Choice) -> str | None:
        with self._lock:
            until, reason = self._silent.get(choice, (0.0, ""))
        return reason if time.monotonic() < until else None

    def _leave_alone(self, choice: Choice, failed: Trouble) -> None:
        seconds = max(_SILENT.get(failed.kind, 0.0), min(failed.retry_after or 0.0, 3600.0))
        if seconds:
            with self._lock:
                self._silent[choice] = (time.monotonic() + seconds, self.redact(str(failed)))

    def _wire(self, choice: Choice) -> Wire:
        """The wire to a model: of this process, for clients do not survive a fork."""
        with self._lock:
            if self._process != os.getpid():
                self._process, self._wires = os.getpid(), {}
            if choice not in self._wires:
                self._wires[choice] = Wire(choice, self.terms.timeout, self.terms.answer_tokens)
            return self._wires[choice]

"""One walk over an incident, kept step by step, so that it can be walked again from the start without doing twice.

`Journal` is the door to the database; a dict is enough in tests. Keys are paths: `0/plan`, `0/once/a1/outcome`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol, TypeVar

from devops_agent import seen
from devops_agent.errors import ApprovalMismatch, Suspended
from devops_agent.model import (
    Approval,
    ApprovalRequest,
    Attempt,
    Digest,
    Evidence,
    ModelCall,
    Outcome,
    Plan,
    Record,
    Ruling,
    keep,
    now,
    revive,
)

R = TypeVar("R", bound=Record)

STOPPED = "stopped by a person"
"""How the outcome of an action begins that was not done because everything was stopped."""


class Journal(Protocol):
    """Kept records of one job. `put` raises LeaseLost where another worker owns the job; it never overwrites.

    `durable` writes are on disk (not only with the operating system) when `put` returns.
    """

    def get(self, key: str) -> dict[str, Any] | None:
        """The kept value, or None."""
        ...

    def put(self, key: str, value: dict[str, Any], durable: bool = False) -> None:
        """Keep one value."""
        ...

    def names(self, prefix: str = "") -> list[str]:
        """Keys below a prefix, in the order of writing."""
        ...


class MemoryJournal(dict[str, dict[str, Any]]):
    """A journal for tests and for walks that need not outlive the process."""

    def put(self, key: str, value: dict[str, Any], durable: bool = False) -> None:  # noqa: ARG002 (memory is as durable as it gets)
        """Keep one record."""
        if key in self:
            raise KeyError(f"kept already: {key}")
        self[key] = value

    def names(self, prefix: str = "") -> list[str]:
        """Keys below a prefix, in the order of writing."""
        return [key for key in self if key.startswith(prefix)]


class Ledger(Protocol):
    """What calls to models have cost over all incidents. The caps of a day lie behind it."""

    def reserve(self, tokens: int, dollars: float) -> int:
        """Put so much aside before a call; gives a ticket. Raises BudgetSpent where a cap would be passed."""
        ...

    def settle(self, ticket: int, tokens: int, dollars: float) -> None:
        """What the call did cost takes the place of what was put aside for it."""
        ...


_SINGLE: dict[str, str] = {
    "diagnosis": "diagnosis",
    "plan": "plan",
    "review": "ruling",
    "request": "request",
    "approval": "approval",
    "recheck": "recheck",
    "brake": "brake",
    "verification": "verification",
}


def attempts(journal: Journal) -> tuple[Attempt, ...]:
    """All attempts that a journal knows of, as far as each has come."""
    found: dict[int, dict[str, Any]] = {}
    for key in journal.names():
        number, slash, name = key.partition("/")
        if not slash or not number.isdigit():
            continue
        fields = found.setdefault(int(number), {"outcomes": [], "undone": [], "calls": []})
        if name in _SINGLE:
            fields[_SINGLE[name]] = record_of(journal, key)
        elif name.endswith("/outcome"):
            fields["undone" if name.startswith("undo/") else "outcomes"].append(record_of(journal, key))
        elif _is_call(name):
            fields["calls"].append(record_of(journal, key).brief())
    return tuple(Attempt(**found[number]) for number in sorted(found))


def record_of(journal: Journal, key: str) -> Any:
    """The record under a key, or None; a journal that has `records` remembers what was made of its values."""
    known: dict[str, Record] | None = getattr(journal, "records", None)
    if known is not None and key in known:
        return known[key]
    kept = journal.get(key)
    if kept is None:
        return None
    found = revive(kept)
    if known is not None:
        known[key] = found
    return found


def calls(journal: Journal, prefix: str = "") -> tuple[ModelCall, ...]:
    """All kept calls to models below a prefix, whole, in the order in which they were made."""
    names = (key for key in journal.names(prefix) if _is_call(key.partition("/")[2]))
    return tuple(record_of(journal, key) for key in names)


def _is_call(name: str) -> bool:
    first, _, turn = name.partition("/")
    return first == "model" and turn.isdigit()


@dataclass
class Run:
    """A walk, or one attempt (scope) of it.

    `approve` answers in place of a person (`--yes`); `patience` is how long verification waits, in seconds; `holds` and
    `brakes` come from the worker, which knows what other jobs do and did.
    """

    journal: Journal
    prefix: str = ""
    approve: Callable[[Plan, Ruling], Approval | None] | None = None
    patience: float = 20.0
    approval_seconds: float = 24 * 3600.0
    dry_run: bool = False
    holds: Callable[[Plan], None] | None = None
    brakes: Callable[[Plan], Ruling] | None = None
    stops: Callable[[], str | None] | None = None
    joins: Callable[[Digest], bool] | None = None
    leads: Callable[[], None] | None = None
    ledger: Ledger | None = None

    def calls(self) -> tuple[ModelCall, ...]:
        """All calls to models for this incident so far, whole."""
        return calls(self.journal)

    def joined(self, digest: Digest) -> bool:
        """Whether another incident that is open gives this one's answer; Suspended until it has one."""
        return self.joins is not None and self.joins(digest)

    def lead(self) -> None:
        """Before this incident stays open: have those that repeat it join it; Suspended where it repeats another."""
        if self.leads is not None:
            self.leads()

    def hold(self, plan: Plan) -> None:
        """Take the plan's hosts for this job alone; Suspended while another job works on one of them."""
        if self.holds is not None and plan.actions:
            self.lead()
            self.holds(plan)

    def brake(self, plan: Plan) -> Ruling:
        """What stands against executing at this very moment: kill switch, freeze, repeated failure, too many hosts."""
        return self.brakes(plan) if self.brakes is not None and plan.actions else Ruling(verdict="allow")

    def stopped(self) -> str | None:
        """Why nothing more may be changed, looked at before every single action; None where all may go on."""
        return self.stops() if self.stops is not None else None

    def scope(self, number: int) -> Run:
        """The part of the journal that belongs to one attempt."""
        return replace(self, prefix=f"{number}/")

    def find(self, name: str) -> Any:
        """The kept record of a step, or None."""
        return record_of(self.journal, self.prefix + name)

    def step(self, name: str, function: Callable[..., R], *args: Any, durable: bool = False) -> R:
        """The kept record of this step, or else what the function returns, kept."""
        found = self.find(name)
        if found is not None:
            return found  # type: ignore[no-any-return]
        with seen.stage(self.prefix + name):
            record = function(*args)
        self._put(self.prefix + name, record, durable)
        return record

    def once(self, action_id: str, repeatable: bool, function: Callable[[], Outcome], name: str = "once") -> Outcome:
        """Do one action: *started* is kept durably before, the outcome after. Never done a second time.

        Found started without an outcome, a repeatable action is applied again, any other becomes `unknown`. One that
        was not started when everything was stopped is `skipped`, and stays so.
        """
        key = f"{name}/{action_id}"
        kept = self.find(f"{key}/outcome")
        if kept is not None:
            return kept  # type: ignore[no-any-return]
        begun = self.journal.get(f"{self.prefix}{key}/started") is not None
        reason = self.stopped() if repeatable or not begun else None
        if reason is not None:
            status: Literal["unknown", "skipped"] = "unknown" if begun else "skipped"
            outcome = Outcome(action_id=action_id, status=status, output=f"{STOPPED}: {reason}")
        elif not begun:
            started = Evidence(id=action_id, source="execute", text="started", at=now())
            self._put(f"{self.prefix}{key}/started", started, durable=True)
            outcome = self._act(key, function)
        elif repeatable:
            outcome = self._act(key, function)
        else:
            text = "interrupted: it was started, and how it ended was not recorded; it is not repeated"
            outcome = Outcome(action_id=action_id, status="unknown", output=text)
        self._put(f"{self.prefix}{key}/outcome", outcome, durable=True)
        return outcome

    def _act(self, key: str, function: Callable[[], Outcome]) -> Outcome:
        with seen.stage(self.prefix + key):
            return function()

    def _put(self, key: str, record: Record, durable: bool) -> None:
        self.journal.put(key, keep(record), durable)
        known: dict[str, Record] | None = getattr(self.journal, "records", None)
        if known is not None:
            known[key] = record

    def approval(self, plan: Plan, ruling: Ruling) -> Approval:
        """The decision about this plan: by policy, by the caller's `approve` where one person is enough, or by persons
        (Suspended until then)."""
        kept: Approval | None = self.find("approval")
        if kept is not None:
            if kept.fingerprint != plan.fingerprint:
                raise ApprovalMismatch("the approval is for another plan")
            return kept
        if ruling.verdict != "ask":
            decided = Approval(
                fingerprint=plan.fingerprint, granted=ruling.verdict == "allow", by="policy", reason=ruling.reason
            )
            return self.step("approval", lambda: decided)
        answered = self.approve(plan, ruling) if self.approve and ruling.persons < 2 else None
        if answered is not None:
            return self.step("approval", lambda: answered)
        self.lead()
        request = self.step("request", self._request, plan, ruling)
        if request.expires <= now():
            text = f"nobody decided until {request.expires:%Y-%m-%d %H:%M} UTC"
            return self.step(
                "approval", lambda: Approval(fingerprint=plan.fingerprint, granted=False, by="expiry", reason=text)
            )
        raise Suspended("approval", until=request.expires)

    def patiently(self, name: str, function: Callable[[], R], good: Callable[[R], bool], every: float = 1.0) -> R:
        """Look again and again, holding no thread, until the record is good or patience is over; keep the last."""
        kept = self.find(name)
        if kept is not None:
            return kept  # type: ignore[no-any-return]
        record = function()
        deadline = self._deadline(name)
        if good(record) or now() >= deadline:
            return self.step(name, lambda: record)
        raise Suspended("settling", until=min(deadline, now() + timedelta(seconds=every)))

    def pause(self, name: str, seconds: float) -> None:
        """Let time pass without holding a thread."""
        begun = self.step(name, lambda: Evidence(id=name, source="run", text="begun", at=now()))
        until = (begun.at or now()) + timedelta(seconds=seconds)
        if now() < until and not _set_back(begun):
            raise Suspended("settling", until=until)

    def history(self) -> tuple[Attempt, ...]:
        """All attempts so far, from the journal."""
        return attempts(self.journal)

    def _request(self, plan: Plan, ruling: Ruling) -> ApprovalRequest:
        expires = now() + timedelta(seconds=self.approval_seconds)
        return ApprovalRequest(fingerprint=plan.fingerprint, persons=ruling.persons, expires=expires)

    def _deadline(self, name: str) -> datetime:
        begun = self.step(f"{name}.begun", lambda: Evidence(id=name, source="run", text="begun", at=now()))
        return now() if _set_back(begun) else (begun.at or now()) + timedelta(seconds=self.patience)


def _set_back(begun: Evidence) -> bool:
    """Whether the clock was set back since: what began in the future has lasted long enough."""
    return begun.at is not None and begun.at > now() + timedelta(seconds=5)

"""Every record, in the order in which the pipeline makes them.

    Incident -> Digest -> Diagnosis -> Proposal -> Plan -> Ruling -> Approval -> Outcomes -> Verification -> Report

All are frozen and refuse unknown fields. `keep` and `revive` turn them into JSON for the journal and back.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import Any, Literal, get_args

from pydantic import Field

from devops_agent.command import Call as Call
from devops_agent.command import Command as Command
from devops_agent.command import Edit as Edit
from devops_agent.command import End as End
from devops_agent.command import Restore as Restore
from devops_agent.command import Run as Run
from devops_agent.command import Wait as Wait
from devops_agent.record import Record as Record
from devops_agent.record import now as now
from devops_agent.usage import FunctionCall as FunctionCall
from devops_agent.usage import ModelCall as ModelCall
from devops_agent.usage import Usage as Usage

SCHEMA_VERSION = 1
"""Version of the kept records: a job that began under another one is started anew, or goes to a person."""

UNKNOWN = "unknown"
Effect = Literal["read", "change", "destroy"]
Verdict = Literal["allow", "ask", "deny"]
Status = Literal["resolved", "no_failure", "planned", "needs_approval", "needs_person", "unresolved", "error"]
OUTCOMES: frozenset[str] = frozenset(get_args(Status)) - {"error"}


class Incident(Record):
    """What was reported. `log` is redacted text; a large one lies in the file `log_file` (redacted too) instead.

    `titled`: somebody gave the title; else it is only the log's first line.
    """

    id: str
    title: str = ""
    titled: bool = True
    log: str = ""
    log_file: str | None = None
    labels: dict[str, str] = {}
    source: str = "cli"
    place: str | None = None
    baseline_file: str | None = None
    redactions: dict[str, int] = {}
    received: datetime = Field(default_factory=now)


class Evidence(Record):
    """A thing seen, citable by its id: `log:214` for line 214, `port_owner(port=8000)#1` for the first such probe."""

    id: str
    source: str
    text: str
    line: int | None = None
    data: dict[str, Any] | None = None
    host: str | None = None
    at: datetime | None = None


class Hit(Record):
    """A runbook's signature that matched: on which lines (from 1), what the named groups took out.

    `weight` (0 to 1) says how decisive the place is: the failing step's first error is 1, a word in passing near 0.
    """

    signature: str
    pattern: int = 0
    lines: tuple[int, ...]
    text: str = ""
    groups: dict[str, str] = {}
    weight: float = 1.0


class Digest(Record):
    """The lines that matter, and the signatures that matched in the whole log."""

    evidence: tuple[Evidence, ...] = ()
    hits: tuple[Hit, ...] = ()
    lines_read: int = 0
    bytes_read: int = 0
    format: str = "plain"
    mode: str = "plain"
    failing: bool = False
    fingerprint: str = ""
    redactions: dict[str, int] = {}


class Alternative(Record):
    """Another cause that the evidence allows."""

    cause: str
    confidence: float
    runbook: str | None = None


class Step(Record):
    """One wanted tool call. `when` is a condition in words for the reader (`always`, `on_port_conflict`, ...)."""

    tool: str
    args: dict[str, Any] = {}
    when: str = "always"
    why: str = ""


class Diagnosis(Record):
    """What is wrong, how sure that is, and on what it rests. `failure` is False where the log shows none.

    `bindings` are the facts and observations that the remedy's `$name.field` refer to; `looked` is what was probed.
    `planned` is what old clients are shown as the plan even where nothing could be looked at; it is never executed.
    Of the earlier answers of the same finding `judged` were judged, by a person or by a remedy that proved them, and
    `right` of these were right. `remarks` say what went wrong on the way to it: a model that did not answer, say.
    """

    cause: str = UNKNOWN
    summary: str = ""
    confidence: float = 0.0
    failure: bool = True
    evidence: tuple[str, ...] = ()
    facts: dict[str, Any] = {}
    alternatives: tuple[Alternative, ...] = ()
    planner: str = "runbooks"
    runbook: str | None = None
    finding: str | None = None
    service: str | None = None
    advice: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    bindings: dict[str, Any] = {}
    looked: tuple[Evidence, ...] = ()
    planned: tuple[Step, ...] = ()
    turns: int = 1
    right: int = 0
    judged: int = 0
    remarks: tuple[str, ...] = ()


class Check(Record):
    """A probe and the conditions on its `result` that must hold: how one sees that the cause is gone."""

    probe: str
    args: dict[str, Any] = {}
    expect: tuple[str, ...] = ()


class Proposal(Record):
    """What the planner wants to be done; nothing in it has been checked yet."""

    cause: str = UNKNOWN
    steps: tuple[Step, ...] = ()
    checks: tuple[Check, ...] = ()
    question: str | None = None


class Action(Record):
    """One change in a plan: the tool, its arguments, what was seen (`pinned`), and exactly what will be done."""

    id: str
    tool: str
    args: dict[str, Any] = {}
    pinned: dict[str, Any] = {}
    host: str = "local"
    effect: Effect = "change"
    repeatable: bool = False
    commands: tuple[Command, ...] = ()
    undo: tuple[Command, ...] = ()
    when: str = "always"
    why: str = ""
    already: bool = False


class Refusal(Record):
    """A step that a tool itself refused while the plan was made, and why."""

    tool: str
    args: dict[str, Any] = {}
    reason: str


class Plan(Record):
    """Exactly what would be done, in order. People approve it by its `fingerprint`.

    Checks of the inventory that change something when they run are its last actions: they are approved with it.
    """

    cause: str = UNKNOWN
    runbook: str | None = None
    actions: tuple[Action, ...] = ()
    checks: tuple[Check, ...] = ()
    refused: tuple[Refusal, ...] = ()
    question: str | None = None
    fingerprint: str = ""

    def sealed(self) -> Plan:
        """This plan with the fingerprint of everything in it that would be done."""
        body = self.model_dump(mode="json", exclude={"fingerprint", "refused"})
        digest = hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
        return self.model_copy(update={"fingerprint": digest[:32]})


class Ruling(Record):
    """Policy's word on a plan: the strictest verdict of its parts, the rule that said so, and why.

    `persons`: how many different persons must approve where the verdict is `ask`; of two or more, none asked for it.
    """

    verdict: Verdict
    persons: int = 1
    rule: str = ""
    reason: str = ""


class Approval(Record):
    """A decision about one plan: by policy (`by` = `policy`), by `--yes`, or by a person, until it expires."""

    fingerprint: str
    granted: bool
    by: str
    at: datetime = Field(default_factory=now)
    expires: datetime | None = None
    reason: str = ""


class ApprovalRequest(Record):
    """That a plan waits for a person, since when and until when; `persons` must approve."""

    fingerprint: str
    persons: int = 1
    asked: datetime = Field(default_factory=now)
    expires: datetime


class Outcome(Record):
    """What became of one action. `unknown`: it was started and nobody knows how it ended; it is never repeated."""

    action_id: str
    status: Literal["succeeded", "already", "failed", "skipped", "unknown"]
    output: str = ""
    seconds: float = 0.0


class CheckResult(Record):
    """One check that was run: passed, failed, or (None) could not be run."""

    name: str
    passed: bool | None
    detail: str = ""


class Health(Record):
    """All services' health and all harmless checks of the inventory at one moment.

    `reported` are checks whose command stands in the incident's log: what failed there, whatever they say by now.
    """

    results: tuple[CheckResult, ...] = ()
    reported: tuple[str, ...] = ()

    def failed(self) -> set[str]:
        """Names of the checks that do not pass."""
        return {result.name for result in self.results if result.passed is False}


class LogMarks(Record):
    """How long each log of the place's services was at one moment, in bytes, by `service:path`."""

    sizes: dict[str, int] = {}


class Recheck(Record):
    """Whether the finding still stands immediately before execution; `needed` False: it passed by itself."""

    needed: bool = True
    reason: str = ""


class Verification(Record):
    """Three answers: is the cause gone, is the incident over, is anything newly broken."""

    cause_gone: bool | None
    over: bool
    before: tuple[CheckResult, ...] = ()
    after: tuple[CheckResult, ...] = ()
    checks: tuple[CheckResult, ...] = ()
    newly_broken: tuple[str, ...] = ()
    reason: str = ""


class Attempt(Record):
    """One round of diagnosis, plan, execution and proof, as far as it has come."""

    calls: tuple[ModelCall, ...] = ()
    diagnosis: Diagnosis | None = None
    plan: Plan | None = None
    ruling: Ruling | None = None
    request: ApprovalRequest | None = None
    approval: Approval | None = None
    recheck: Recheck | None = None
    brake: Ruling | None = None
    outcomes: tuple[Outcome, ...] = ()
    verification: Verification | None = None
    undone: tuple[Outcome, ...] = ()


class Cost(Record):
    """What planning cost: requests to a model, tokens, money in US dollars. All zero without a model."""

    requests: int = 0
    tokens: int = 0
    dollars: float = 0.0


class Report(Record):
    """Everything about one incident, derived from its journal at any moment. `job` is what one approves or looks up."""

    job: str | None = None
    incident: Incident
    digest: Digest | None = None
    health: Health | None = None
    attempts: tuple[Attempt, ...] = ()
    status: Status
    summary: str = ""
    cost: Cost = Cost()
    usage: Usage = Usage()
    error: str | None = None


_KINDS: dict[str, type[Record]] = {kind.__name__: kind for kind in Record.__subclasses__()}


def keep(record: Record) -> dict[str, Any]:
    """A record as JSON for the journal."""
    return {"kind": type(record).__name__, "data": record.model_dump(mode="json")}


def revive(kept: dict[str, Any]) -> Any:
    """The record that `keep` wrote; raises KeyError for a kind that this version does not know."""
    return _KINDS[kept["kind"]].model_validate(kept["data"])

"""The page: how an incident is handled, from the log to the proof. Everything that happens to one happens here.

Data goes one way: Incident -> Digest -> Diagnosis -> Proposal -> Plan -> Ruling -> Approval -> Outcomes ->
Verification. Every step is kept in the journal; after a crash or a wait `handle` passes over what is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field

from devops_agent.distil import distil, distil_source
from devops_agent.errors import ToolError
from devops_agent.execute import execute, stopped, to_undo, undo
from devops_agent.inventory import Place
from devops_agent.model import (
    Action,
    Approval,
    Diagnosis,
    Digest,
    Health,
    Incident,
    LogMarks,
    Outcome,
    Plan,
    Proposal,
    Refusal,
    Ruling,
    Step,
)
from devops_agent.planners import Look, Planner
from devops_agent.policy import Policy
from devops_agent.run import MemoryJournal, Run
from devops_agent.scan import Signatures
from devops_agent.tools import fresh
from devops_agent.tools.outward import Outward
from devops_agent.tools.toolbox import Toolbox
from devops_agent.verify import first_look, recheck, verify


@dataclass(frozen=True)
class Agent:
    """Everything that handling an incident needs, built once by `bootstrap`."""

    planner: Planner
    policy: Policy
    signatures: Signatures
    toolbox: Callable[[Place], Toolbox]
    places: dict[str, Place] = field(default_factory=dict)
    max_attempts: int = 3
    settle: float = 2.0
    excerpt_lines: int = 50


def handle(incident: Incident, agent: Agent, place: Place, run: Run) -> None:
    """Work on one incident until it is over, a person is needed, or the attempts are used up. Returns nothing:
    the report is derived from the journal, at any moment."""
    with closing(agent.toolbox(place)) as toolbox:
        _walk(incident, agent, place, run, toolbox)


def _walk(incident: Incident, agent: Agent, place: Place, run: Run, toolbox: Toolbox) -> None:
    digest: Digest = run.step("distil", distil, incident, agent.signatures, agent.excerpt_lines)
    if run.joined(digest):
        return
    before = run.step("health", first_look, incident, toolbox)
    known = toolbox.outward = Outward(place)
    known.reported(digest)
    for number in range(agent.max_attempts):
        attempt = run.scope(number)
        look = Look(toolbox, attempt, failing(before, run), known.learn)
        diagnosis = attempt.step("diagnosis", agent.planner.diagnose, digest, run.history(), look)
        known.recall(diagnosis.looked)
        proposal = attempt.step("proposal", agent.planner.propose, diagnosis, attempt)
        plan = attempt.step("plan", preview, diagnosis, proposal, toolbox, place)
        ruling = attempt.step("review", agent.policy.review, plan, place)
        if run.dry_run or _nothing_left(diagnosis, plan, run, number):
            return
        marks = attempt.step("marks", fresh.marks, toolbox)
        outcomes = act(plan, ruling, agent.policy, toolbox, attempt) if plan.actions else ()
        verification = verify(plan, outcomes, before, toolbox, attempt, agent.settle)
        undone = undo(plan, to_undo(outcomes, verification), toolbox, attempt)
        if verification.over or not outcomes or _unknown(outcomes) or stopped((*outcomes, *undone)):
            return
        digest = attempt.step("again", distil_fresh, digest, toolbox, marks, agent)
        known.reported(digest)


def look_only(incident: Incident, agent: Agent, place: Place) -> Diagnosis:
    """The diagnosis of an incident as the first attempt would have it, with probes; nothing is planned or kept."""
    run = Run(MemoryJournal())
    with closing(agent.toolbox(place)) as toolbox:
        digest: Digest = run.step("distil", distil, incident, agent.signatures, agent.excerpt_lines)
        before = run.step("health", first_look, incident, toolbox)
        known = toolbox.outward = Outward(place)
        known.reported(digest)
        look = Look(toolbox, run.scope(0), failing(before, run), known.learn)
        return agent.planner.diagnose(digest, (), look)


def failing(before: Health, run: Run) -> tuple[str, ...]:
    """Services whose health check failed when we last looked."""
    last = [attempt.verification.after for attempt in run.history() if attempt.verification]
    results = last[-1] if last else before.results
    names = (result.name for result in results if result.passed is False)
    return tuple(name.removeprefix("health:") for name in names if name.startswith("health:"))


def act(plan: Plan, ruling: Ruling, policy: Policy, toolbox: Toolbox, attempt: Run) -> tuple[Outcome, ...]:
    """Execute what is allowed or approved, where it is still needed and nothing stands against it at this moment."""
    approval = attempt.approval(plan, ruling)
    attempt.hold(plan)
    brake = attempt.step("brake", halt, plan, ruling, approval, policy, toolbox.place, attempt)
    still = attempt.step("recheck", recheck, plan, approval, toolbox)
    return execute(plan, approval, brake, still, toolbox, attempt)


def halt(plan: Plan, ruling: Ruling, approval: Approval, policy: Policy, place: Place, attempt: Run) -> Ruling:
    """What stands against acting now, however it was approved: brakes, an approval too old, a policy that changed."""
    held = attempt.brake(plan)
    return held if held.verdict == "deny" else policy.withdrawn(plan, place, ruling, approval) or held


def preview(diagnosis: Diagnosis, proposal: Proposal, toolbox: Toolbox, place: Place) -> Plan:
    """Exactly what the proposal would do here; nothing at all where a tool refuses one of its steps.

    Checks of the inventory that change something when they run come last: they prove the repair and are approved too.
    """
    steps = list(proposal.steps)
    effects = {name: check.effect for name, check in place.inventory.checks.items() if check.effect != "read"}
    if steps:
        steps += [Step(tool="run_check", args={"check": name}, why="the proof that it works again") for name in effects]
    actions: list[Action] = []
    refused: list[Refusal] = []
    for step in steps:
        try:
            action = toolbox.preview(step, len(actions) + 1, actions)
        except ToolError as error:
            refused.append(Refusal(tool=step.tool, args=step.args, reason=str(error)))
            continue
        own = effects.get(step.args["check"], action.effect) if step.tool == "run_check" else action.effect
        actions.append(action.model_copy(update={"effect": own}))
    plan = Plan(
        cause=proposal.cause,
        runbook=diagnosis.runbook,
        actions=() if refused else tuple(actions),
        checks=proposal.checks,
        refused=tuple(refused),
        question=proposal.question,
    )
    return plan.sealed()


def distil_fresh(digest: Digest, toolbox: Toolbox, marks: LogMarks, agent: Agent) -> Digest:
    """What the services have logged since we acted; the old digest where they have said nothing."""
    lines = fresh.since(toolbox, marks)
    return distil_source(lines, agent.signatures, agent.excerpt_lines) if lines.strip() else digest


def _nothing_left(diagnosis: Diagnosis, plan: Plan, run: Run, number: int) -> bool:
    """No failure, no known cause in a later round, or the very repair that was tried before: a person goes on."""
    if not diagnosis.failure:
        return True
    tried = [(one.diagnosis, one.plan) for one in run.history()[:number]]
    same = any(d and p and d.cause == diagnosis.cause and _done(p) == _done(plan) for d, p in tried)
    return same and bool(number)


def _done(plan: Plan) -> list[tuple[str, str]]:
    return [(action.tool, str(sorted(action.args.items()))) for action in plan.actions]


def _unknown(outcomes: tuple[Outcome, ...]) -> bool:
    return any(outcome.status == "unknown" for outcome in outcomes)

"""Apply an approved plan, action by action, each exactly once; take back what did not help."""

from __future__ import annotations

from functools import partial

from devops_agent.errors import ApprovalMismatch
from devops_agent.model import Action, Approval, Outcome, Plan, Recheck, Ruling, Verification
from devops_agent.run import STOPPED, Run
from devops_agent.tools.toolbox import Toolbox

_STOPS = ("failed", "unknown")


def execute(
    plan: Plan, approval: Approval, brake: Ruling, still: Recheck, toolbox: Toolbox, attempt: Run
) -> tuple[Outcome, ...]:
    """Outcomes of all actions, in order; after one that failed, is unknown or was stopped the rest are skipped.

    Nothing is done without a granted approval of exactly this plan, where a brake holds, or where it passed by itself.
    """
    if not approval.granted or not still.needed or brake.verdict == "deny":
        return ()
    if approval.fingerprint != plan.fingerprint or plan.sealed().fingerprint != plan.fingerprint:
        raise ApprovalMismatch("the approval is for another plan")
    outcomes: list[Outcome] = []
    for action in plan.actions:
        last = outcomes[-1] if outcomes else None
        if last is not None and last.status in (*_STOPS, "skipped"):
            outcomes.append(attempt.step(f"once/{action.id}/outcome", _skipped, action, last))
        else:
            outcomes.append(attempt.once(action.id, action.repeatable, partial(toolbox.apply, action)))
    return tuple(outcomes)


def to_undo(outcomes: tuple[Outcome, ...], verification: Verification) -> tuple[Outcome, ...]:
    """What is to be taken back: everything where it did not help or broke something else.

    Else only what failed half-way, since what removed its cause stays.
    """
    if verification.newly_broken or not (verification.cause_gone or verification.over):
        return outcomes
    return tuple(outcome for outcome in outcomes if outcome.status == "failed")


def undo(plan: Plan, outcomes: tuple[Outcome, ...], toolbox: Toolbox, attempt: Run) -> tuple[Outcome, ...]:
    """Take back, last first, every action that was carried out at least in part and has something to take back."""
    started = {outcome.action_id for outcome in outcomes if outcome.status in ("succeeded", *_STOPS)}
    undone = []
    for action in reversed(plan.actions):
        if action.id in started and action.undo:
            undone.append(attempt.once(action.id, True, partial(toolbox.revert, action), name="undo"))
    return tuple(undone)


def stopped(outcomes: tuple[Outcome, ...]) -> bool:
    """Whether a person stopped everything while these were carried out."""
    return any(outcome.output.startswith(STOPPED) for outcome in outcomes)


def _skipped(action: Action, last: Outcome) -> Outcome:
    text = last.output if last.output.startswith(STOPPED) else "not started: an action before it did not succeed"
    return Outcome(action_id=action.id, status="skipped", output=text)

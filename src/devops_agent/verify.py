"""The proof: is the cause gone, is the incident over, is anything newly broken."""

from __future__ import annotations

from devops_agent.model import Approval, CheckResult, Health, Incident, Outcome, Plan, Recheck, Verification
from devops_agent.run import Run
from devops_agent.tools.toolbox import Toolbox


def first_look(incident: Incident, toolbox: Toolbox) -> Health:
    """What is broken before we touch anything, and which checks the log says have failed."""
    text = incident.log
    reported = []
    for name, check in toolbox.place.inventory.checks.items():
        program = check.command[0] if check.command else ""
        if " ".join(check.command) in text or ("/" in program and program in text):
            reported.append(f"check:{name}")
    return toolbox.health().model_copy(update={"reported": tuple(reported)})


def recheck(plan: Plan, approval: Approval, toolbox: Toolbox) -> Recheck:
    """Look again immediately before execution: hours may have passed since the plan was made.

    The plan is not needed any more where everything that would prove its success is true already.
    """
    if not plan.actions:
        return Recheck(needed=False, reason="nothing to execute")
    if not approval.granted:
        return Recheck(needed=True, reason="not approved")
    proofs = tuple(toolbox.evaluate(check) for check in plan.checks) + toolbox.health().results
    if proofs and all(result.passed for result in proofs):
        return Recheck(needed=False, reason="what failed works again, without us")
    return Recheck(needed=True)


def verify(
    plan: Plan, outcomes: tuple[Outcome, ...], before: Health, toolbox: Toolbox, attempt: Run, settle: float
) -> Verification:
    """Look until the incident is over or patience ends; what passes must pass again a little later (no crash loop)."""

    def look() -> Verification:
        return judge(plan, outcomes, before, toolbox)

    if not any(outcome.status in ("succeeded", "already", "unknown") for outcome in outcomes) or in_vain(outcomes):
        return attempt.step("verification", look)
    first = attempt.patiently("verified", look, lambda seen: seen.over or not (seen.after or seen.checks))
    if not first.over:
        return attempt.step("verification", lambda: first)
    attempt.pause("settled", settle)
    return attempt.step("verification", look)


def in_vain(outcomes: tuple[Outcome, ...]) -> bool:
    """Whether an action failed, and not because its time was over: then there is nothing that could still come."""
    failed = [outcome.output for outcome in outcomes if outcome.status == "failed"]
    return bool(failed) and not any(" within " in output for output in failed)


def judge(plan: Plan, outcomes: tuple[Outcome, ...], before: Health, toolbox: Toolbox) -> Verification:
    """One look: the plan's checks say whether the cause is gone, health and checks whether the incident is over.

    That all is healthy proves nothing where nothing was seen failing: then the incident is over only where the cause is
    proven gone, and, in a place without any health or check, only where we acted.
    """
    after = toolbox.health()  # first: to be asked is work, and may bring the cause back
    checks = tuple(toolbox.evaluate(check) for check in plan.checks)
    cause_gone = _all(checks)
    done = not any(outcome.status in ("failed", "unknown", "skipped") for outcome in outcomes)
    if after.results:
        seen = cause_gone is True or bool(before.failed()) or bool(before.reported)
        over = seen and done and cause_gone is not False and all(result.passed for result in after.results)
    else:
        over = done and cause_gone is True and bool(outcomes)
    return Verification(
        cause_gone=cause_gone,
        over=over,
        before=before.results,
        after=after.results,
        checks=checks,
        newly_broken=tuple(sorted(after.failed() - before.failed())),
        reason=_reason(over, done, after, checks),
    )


def _all(results: tuple[CheckResult, ...]) -> bool | None:
    if not results:
        return None
    if any(result.passed is False for result in results):
        return False
    return None if any(result.passed is None for result in results) else True


def _reason(over: bool, done: bool, after: Health, checks: tuple[CheckResult, ...]) -> str:
    results = after.results + checks
    if over:
        return "passes now: " + ", ".join(result.name for result in results if result.passed)
    failing = [f"{result.name} ({result.detail[:200]})" for result in results if result.passed is False]
    if failing:
        return "still failing: " + "; ".join(failing)
    if not results:
        return "nothing in the inventory or the runbook can prove it"
    if not done:
        return "an action did not succeed"
    return "not proven"

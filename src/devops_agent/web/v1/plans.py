"""Plans that wait for a person, and what persons decide about them: by job, or by the plan's fingerprint."""

from __future__ import annotations

from typing import Any

from devops_agent.errors import ApprovalMismatch, NotFound
from devops_agent.jobs import decisions
from devops_agent.web import auth, contract
from devops_agent.web.api import backend
from devops_agent.web.body import clean
from devops_agent.web.v1.operations import operation
from devops_agent.web.v1.shapes import Because, Decided, Decision, JobPlan, WaitingPlan, WaitingPlans

_DECISION: dict[str, Any] = {"tag": "plans", "role": "approver", "answer": Decided, "problems": (404, 409, 415)}


@operation("GET", "/plans", tag="plans", answer=WaitingPlans)
def list_plans() -> WaitingPlans:
    """All plans that wait for a decision, the one that has waited longest first."""
    return WaitingPlans(items=[_waiting(job) for job, _ in _all_waiting()])


@operation("GET", "/plans/<fingerprint>", tag="plans", answer=WaitingPlan, problems=(404, 409))
def get_plan(fingerprint: str) -> WaitingPlan:
    """The plan with this fingerprint (or the beginning of one, from 8 characters on), while it waits."""
    return _waiting(_named(fingerprint))


@operation("POST", "/plans/<fingerprint>/approve", body=Because, **_DECISION)
def approve_plan(fingerprint: str, body: Because) -> dict[str, Any]:
    """Allow the plan with this fingerprint."""
    return _decide(_named(fingerprint), True, Decision(fingerprint=fingerprint, reason=body.reason, by=body.by))


@operation("POST", "/plans/<fingerprint>/deny", body=Because, **_DECISION)
def deny_plan(fingerprint: str, body: Because) -> dict[str, Any]:
    """Refuse the plan with this fingerprint."""
    return _decide(_named(fingerprint), False, Decision(fingerprint=fingerprint, reason=body.reason, by=body.by))


@operation("GET", "/jobs/<job_id>/plan", tag="plans", answer=JobPlan, problems=(404,))
def get_job_plan(job_id: str) -> JobPlan:
    """The newest plan of a job: exactly what would be, or was, done; and what was decided about it."""
    made = backend().jobs.report(job_id)
    plan = contract.exact_plan(made)
    if plan is None:
        raise NotFound(f"{job_id} has no plan")
    last = [each for each in made.attempts if each.plan is not None][-1]
    return JobPlan(job=job_id, plan=plan, request=last.request, approval=last.approval)


@operation("POST", "/jobs/<job_id>/approve", body=Decision, **_DECISION)
def approve_job(job_id: str, body: Decision) -> dict[str, Any]:
    """Allow the plan that a job waits with.

    With its `fingerprint` exactly the plan that was read is allowed, and no other. An approval is refused (409) once
    the request has expired, for another plan, where it was decided already, and, where policy wants several persons,
    from the one who asked for it or who has approved already. Who decides is the key's name.
    """
    return _decide(job_id, True, body)


@operation("POST", "/jobs/<job_id>/deny", body=Decision, **_DECISION)
def deny_job(job_id: str, body: Decision) -> dict[str, Any]:
    """Refuse the plan that a job waits with: nothing of it is done."""
    return _decide(job_id, False, body)


def _decide(job: str, granted: bool, said: Decision) -> dict[str, Any]:
    by = auth.caller().called(clean(said.by).strip() or "http")
    made = backend().jobs.decide(job, granted, by, clean(said.reason).strip(), said.fingerprint)
    return {"job": job, "approval": made.model_dump(mode="json")}


def _all_waiting() -> list[tuple[str, str]]:
    """Jobs that wait for a decision and the fingerprints of their plans, of those that the caller sees."""
    found = decisions.waiting(backend().jobs.engine)
    mine = auth.caller()
    return [each for each in found if auth.doors().sees(mine, each[0])]


def _named(fingerprint: str) -> str:
    """The job whose plan has this fingerprint."""
    long = len(fingerprint) >= decisions.SHORTEST
    found = [job for job, plan in _all_waiting() if long and plan.startswith(fingerprint)]
    if not found:
        raise NotFound(f"no plan {fingerprint!r} waits for a decision")
    if len(found) > 1:
        raise ApprovalMismatch(f"several jobs wait with such a plan: {', '.join(found)}; decide by job")
    return found[0]


def _waiting(job: str) -> WaitingPlan:
    made = backend().jobs.report(job)
    last = made.attempts[-1] if made.attempts else None
    if last is None or last.plan is None or last.request is None:
        raise NotFound(f"{job} does not wait for a decision any more")
    return WaitingPlan(job=job, title=made.incident.title, cause=last.plan.cause, plan=last.plan, request=last.request)

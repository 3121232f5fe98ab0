"""Reports of jobs, and what a person decides about a plan that waits: as JSON, beside the page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import Blueprint

from devops_agent.errors import RequestError
from devops_agent.web import auth, body, contract
from devops_agent.web.api import backend

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

    from devops_agent.jobs.store import JobRow

blueprint = Blueprint("decisions", __name__)


@blueprint.get("/jobs/<job_id>")
def job(job_id: str) -> ResponseReturnValue:
    """A job and its report, also while it waits or works."""
    from devops_agent.jobs import experience

    jobs = backend().jobs
    row = jobs.job(job_id)
    made = jobs.report(job_id)
    answer: dict[str, Any] = {"job": as_json(row), "report": made.model_dump(mode="json")}
    if waiting := contract.approval_wanted(row.id, made):
        answer["approval"] = waiting
    if spoken := experience.verdict(jobs.engine, row.id):
        answer["verdict"] = spoken
    return answer


@blueprint.post("/jobs/<job_id>/approve")
@auth.needs("approver")
def approve(job_id: str) -> ResponseReturnValue:
    """Allow the plan that a job waits with."""
    return _decide(job_id, granted=True)


@blueprint.post("/jobs/<job_id>/deny")
@auth.needs("approver")
def deny(job_id: str) -> ResponseReturnValue:
    """Refuse the plan that a job waits with."""
    return _decide(job_id, granted=False)


@blueprint.post("/jobs/<job_id>/cause")
@auth.needs("responder")
def cause(job_id: str) -> ResponseReturnValue:
    """Say what the cause of a job was: this confirms or corrects the agent's answer, and is learned from."""
    from devops_agent.jobs import experience

    said = body.json_object()
    named = body.text_field(said, "cause", 80)
    if not named:
        raise RequestError("cause: missing; expected the id of a cause (GET /jobs/<id> shows the one that was named)")
    by = auth.caller().called(body.text_field(said, "by", 200) or "http")
    jobs = backend().jobs
    made = experience.say(jobs.engine, jobs.report(job_id), named, by, body.text_field(said, "reason"))
    return {
        "status": "confirmed" if made.confirmed else "corrected",
        "job_id": job_id,
        "cause": made.cause,
        "answered": made.answered,
        "by": made.by,
    }


def _decide(job_id: str, granted: bool) -> ResponseReturnValue:
    said = body.json_object(optional=True)
    by = auth.caller().called(body.text_field(said, "by", 200) or "http")
    reason = body.text_field(said, "reason")
    fingerprint = body.text_field(said, "fingerprint", 64) if said.get("fingerprint") is not None else None
    made = backend().jobs.decide(job_id, granted, by, reason, fingerprint)
    return {
        "status": "approved" if granted else "denied",
        "job_id": job_id,
        "approval": made.model_dump(mode="json"),
        "waits_for_another_person": granted and backend().jobs.job(job_id).waiting == "approval",
        "check_status_endpoint": f"/jobs/{job_id}",
    }


def as_json(row: JobRow) -> dict[str, Any]:
    """A job as lists show it."""
    return {
        "id": row.id,
        "batch": row.batch,
        "number": row.number,
        "status": row.status,
        "waiting": row.waiting,
        "created": row.created.isoformat(),
        "started": row.started.isoformat() if row.started else None,
        "finished": row.finished.isoformat() if row.finished else None,
        "title": row.title,
        "cause": row.cause,
        "outcome": row.outcome,
        "progress": row.progress,
        "error": row.error,
    }

"""Jobs: how far the work on an incident is, what came of it, cancel, retry, correct."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flask import Response
from flask.typing import ResponseReturnValue

from devops_agent.errors import RequestError
from devops_agent.jobs import experience
from devops_agent.model import Report
from devops_agent.web import auth
from devops_agent.web.api import backend
from devops_agent.web.body import Scenario, clean
from devops_agent.web.problems import Conflict
from devops_agent.web.v1.incidents import accepted, as_job, once_accepted, without_paths
from devops_agent.web.v1.operations import operation
from devops_agent.web.v1.shapes import Accepted, Batch, Because, Cause, Job, Verdict

_MARKDOWN = {"text/markdown": {"type": "string"}}


@operation("GET", "/jobs/<job_id>", tag="jobs", answer=Job, problems=(404,))
def get_job(job_id: str) -> dict[str, Any]:
    """How far a job is. Asked again with `If-None-Match` it answers `304` while nothing has changed."""
    return as_job(backend().jobs.job(job_id))


@operation("GET", "/batches/<batch_id>", tag="jobs", answer=Batch, problems=(404,))
def get_batch(batch_id: str) -> dict[str, Any]:
    """All jobs of one request, as they are now."""
    found = backend().jobs.batch(batch_id)
    return {
        "id": found.id,
        "created": found.created.isoformat(),
        "answered": found.answered,
        "progress": found.progress,
        "jobs": [as_job(each) for each in found.jobs],
    }


@operation("GET", "/jobs/<job_id>/report", tag="jobs", answer=Report, problems=(404,))
def get_report(job_id: str) -> Report:
    """Everything about a job, as far as it has come: evidence, diagnosis, plan, decisions, outcomes, proof."""
    made = backend().jobs.report(job_id)
    return made.model_copy(update={"incident": without_paths(made.incident)})


@operation("GET", "/jobs/<job_id>/report.md", tag="jobs", also=_MARKDOWN, problems=(404,))
def get_markdown(job_id: str) -> ResponseReturnValue:
    """The report as Markdown, for a comment or a summary."""
    from devops_agent import render

    return Response(render.to_markdown(backend().jobs.report(job_id)), mimetype="text/markdown")


@operation(
    "POST", "/jobs/<job_id>/cancel", tag="jobs", role="responder", body=Because, answer=Job, problems=(404, 409, 415)
)
def cancel_job(job_id: str, body: Because) -> dict[str, Any]:
    """End a job that has not ended. What it has done already stays done; it starts nothing more."""
    jobs = backend().jobs
    if not jobs.cancel(job_id, auth.caller().called(_by(body.by)), clean(body.reason) or "cancelled"):
        raise Conflict(f"{job_id} has ended already")
    return as_job(jobs.job(job_id))


@operation(
    "POST",
    "/jobs/<job_id>/retry",
    tag="jobs",
    role="responder",
    answer=Accepted,
    status=202,
    problems=(404, 409, 503),
    headers=("Idempotency-Key",),
)
def retry_job(job_id: str) -> ResponseReturnValue:
    """Work on the same log anew, as a new job. Only once the old one has ended."""
    behind = backend()
    row = behind.jobs.job(job_id)
    if row.status not in ("done", "error"):
        raise Conflict(f"{job_id} has not ended (it is {row.status}); cancel it first")
    incident = behind.jobs.report(job_id).incident
    text = incident.log
    if incident.log_file is not None:
        try:
            text = Path(incident.log_file).read_text(encoding="utf-8", errors="surrogateescape")
        except OSError:
            raise Conflict(f"{job_id}: its log is not kept any more; send it again") from None
    title = incident.title if incident.titled else ""
    order = behind.order([Scenario(clean(text), title, incident.labels, incident.place)])
    return accepted(once_accepted(order, f"retry {job_id}"))


@operation(
    "POST", "/jobs/<job_id>/cause", tag="jobs", role="responder", body=Cause, answer=Verdict, problems=(404, 409, 415)
)
def name_cause(job_id: str, body: Cause) -> dict[str, Any]:
    """Say what the cause really was: it confirms or corrects the answer, and moves the confidence of later ones."""
    jobs = backend().jobs
    by = auth.caller().called(_by(body.by))
    try:
        said = experience.say(jobs.engine, jobs.report(job_id), body.cause, by, clean(body.reason))
    except RequestError as error:
        raise Conflict(str(error)) from None
    return {
        "job": job_id,
        "cause": said.cause,
        "answered": said.answered,
        "confirmed": said.confirmed,
        "by": said.by,
    }


def _by(text: str) -> str:
    return clean(text).strip() or "http"

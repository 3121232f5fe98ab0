"""The endpoints of the contract: health, examples, scenarios in and results out, sync and async."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import Blueprint, current_app, request

from devops_agent.errors import NotFound, RequestError
from devops_agent.model import now
from devops_agent.web import auth, body, contract, examples
from devops_agent.web.backend import Backend
from devops_agent.web.problems import Busy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flask.typing import ResponseReturnValue

    from devops_agent.config import Settings
    from devops_agent.jobs.statistics import View
    from devops_agent.model import Report

SERVICE = "DevOps error resolution agent"
ENOUGH = 5.0
"""Seconds from which on somebody who waits has the time to be answered by the very thread that read the request."""
SYNC_LIMIT = 600.0
"""Seconds after which a waiting request is answered with the job's address, whatever it asked for."""

LOGS = frozenset(
    (
        "text/plain",
        *(
            "application/" + name
            for name in ("octet-stream", "gzip", "x-gzip", "zstd", "x-xz", "x-bzip2", "zip", "x-tar")
        ),
    )
)
"""Types of bodies that are logs as they are; what they really hold, their first bytes say."""

blueprint = Blueprint("api", __name__)
PUBLIC = frozenset(
    f"api.{name}"
    for name in ("health", "example_errors", "process_errors", "process_errors_async", "job_status", "create_incidents")
)


def backend() -> Backend:
    """The jobs behind this application."""
    found: Backend = current_app.extensions["devops_agent"]
    return found


def visible() -> frozenset[str | None] | None:
    """The places whose jobs the caller sees; None for all. Jobs without a place are of the first one."""
    mine = auth.caller().places
    if mine is None:
        return None
    return mine | {None} if next(iter(backend().agent.places)) in mine else frozenset[str | None](mine)


def view() -> View:
    """Whose statistics the caller is told."""
    from devops_agent.jobs.statistics import View

    places = visible()
    return View() if places is None else View(places, auth.caller().name)


@blueprint.get("/health")
@auth.public
def health() -> ResponseReturnValue:
    """That the service answers, and who plans."""
    settings = backend().settings
    return {
        "status": "healthy",
        "service": SERVICE,
        "model": settings.model,
        "api_key_configured": settings.api_key_configured,
        "timestamp": now().isoformat(),
        **planner(settings),
        "runbooks_problem": backend().runbooks_problem(),
    }


@blueprint.get("/stats")
def stats() -> ResponseReturnValue:
    """What fails most, what stays unknown, which runbooks never fire, what was solved without a person."""
    from devops_agent.jobs.statistics import statistics

    behind = backend()
    return statistics(behind.jobs.engine, behind.runbooks(), view=view())


def planner(settings: Settings) -> dict[str, str]:
    """Who plans, and that in a sentence."""
    from devops_agent.planning import who_plans

    who, note = who_plans(settings)
    return {"planner": who, "planner_note": note}


@blueprint.get("/example_errors")
def example_errors() -> ResponseReturnValue:
    """One example of every kind of failure that users send."""
    listed = examples.examples()
    return {"total_examples": len(listed), "example_errors": listed}


@blueprint.post("/process_errors")
@auth.needs("responder")
def process_errors() -> ResponseReturnValue:
    """Work on scenarios and answer when all are done; with `?wait=` at the latest after so many seconds."""
    behind = backend()
    wanted = body.scenarios(behind.settings.max_errors)
    limit = body.wait_seconds(SYNC_LIMIT)
    if limit is None:
        limit = SYNC_LIMIT
    with behind.waiting() as free:
        if not free:
            raise Busy("too many requests wait in this process; use /process_errors_async or try again shortly")
        batch, reports = behind.answer(wanted) if limit >= ENOUGH else (behind.submit(wanted), {})
        if len(reports) < len(batch.jobs) and not behind.wait(batch.id, limit):
            return _accepted(batch.id, "processing")
    return {
        "status": "completed",
        **contract.totals(_rows(behind, batch.jobs, reports)),
        "job_id": batch.id,
        "timestamp": now().isoformat(),
    }


@blueprint.post("/process_errors_async")
@auth.needs("responder")
def process_errors_async() -> ResponseReturnValue:
    """Accept scenarios and answer at once with the address of their job."""
    behind = backend()
    return _accepted(behind.submit(body.scenarios(behind.settings.max_errors)).id, "accepted")


@blueprint.post("/incidents")
@auth.needs("responder")
def create_incidents() -> ResponseReturnValue:
    """Accept one log as it is: plain text, or uploaded files. Answers like `/process_errors_async`.

    `place`, `title` and `labels` may stand beside it, as fields of the form or in the address.
    """
    behind = backend()
    if request.mimetype == "multipart/form-data":
        wanted = [
            _uploaded(each.filename or "", each.stream.read()) for _, each in request.files.items(multi=True) if each
        ]
        if not wanted:
            raise RequestError("log: missing; expected at least one file in the form")
        if len(wanted) > behind.settings.max_errors:
            raise RequestError(f"log: too many files (at most {behind.settings.max_errors} in one request)")
    elif request.mimetype in LOGS:
        wanted = [_uploaded("", body.content())]
    else:
        raise RequestError("body: expected a log as `text/plain`, or files as `multipart/form-data`")
    return _accepted(behind.submit(wanted).id, "accepted")


@blueprint.get("/job_status/<job_id>")
def job_status(job_id: str) -> ResponseReturnValue:
    """How far a job is and, once it is completed, its results."""
    behind = backend()
    batch = behind.jobs.batch(job_id)
    done = batch.answered
    begun = [each.started for each in batch.jobs if each.started]
    ends = [each.finished or each.started or each.created for each in batch.jobs]
    answer: dict[str, Any] = {
        "job_id": job_id,
        "status": "completed" if done else "processing",
        "progress": 100 if done else min(99, batch.progress),
        "started_at": min(begun, default=batch.created).isoformat(),
        "completed_at": max(ends).isoformat() if done else None,
        "total_scenarios": len(batch.jobs),
        "finished_scenarios": sum(each.answered for each in batch.jobs),
        "waiting_for_approval": [each.id for each in batch.jobs if each.waiting == "approval"],
        "timestamp": now().isoformat(),
    }
    if done:
        answer |= contract.totals(_rows(behind, tuple(each.id for each in batch.jobs)))
    return answer


def _rows(behind: Backend, jobs: tuple[str, ...], known: Mapping[str, Report] | None = None) -> list[dict[str, Any]]:
    rows = []
    made = known or {}
    for number, job_id in enumerate(jobs, 1):
        try:
            rows.append(contract.row(number, job_id, made.get(job_id) or behind.jobs.report(job_id)))
        except NotFound as error:
            rows.append(contract.lost(number, job_id, str(error)))
    return rows


def _uploaded(name: str, content: bytes) -> body.Scenario:
    text = backend().unpacked(content)
    if not text.strip():
        raise RequestError("log: empty; expected the text of the failing log")
    given = body.beside()
    return given._replace(context=text, title=given.title or body.file_title(name))


def _accepted(job_id: str, status: str) -> ResponseReturnValue:
    address = f"/job_status/{job_id}"
    answer = {
        "status": status,
        "job_id": job_id,
        "check_status_endpoint": address,
        "timestamp": now().isoformat(),
    }
    return answer, 202, {"Location": address}

"""What a person says about an incident: approve or deny, name the cause, look again, take over."""

from __future__ import annotations

import secrets
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from flask import Response, redirect, request, url_for

from devops_agent.errors import RequestError
from devops_agent.jobs import experience, takeover
from devops_agent.model import Incident, now
from devops_agent.web import auth, contract
from devops_agent.web.api import backend
from devops_agent.web.pages.frame import blueprint, check_form, field, render, who

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue


@blueprint.post("/jobs/<job_id>/decision")
@auth.needs("approver")
def decision(job_id: str) -> ResponseReturnValue:
    """Approve or deny the plan that was shown (and no other: its fingerprint comes along)."""
    check_form()
    wanted = request.form.get("decision")
    if wanted not in ("approve", "deny"):
        raise RequestError("decision: expected approve or deny")
    fingerprint = request.form.get("fingerprint", "")
    if len(fingerprint) < 8:
        raise RequestError("fingerprint: missing; open the incident's page and decide there")
    jobs = backend().jobs
    plan = contract.exact_plan(jobs.report(job_id))
    destroys = plan is not None and any(each.effect == "destroy" for each in plan.actions)
    if wanted == "approve" and destroys and request.form.get("read") != "yes":
        raise RequestError("read: this plan ends or deletes something; confirm that you have read its commands")
    jobs.decide(job_id, wanted == "approve", who(), field("reason", 2000), fingerprint)
    return _back(job_id)


@blueprint.post("/jobs/<job_id>/cause")
@auth.needs("responder")
def cause(job_id: str) -> ResponseReturnValue:
    """Say what the cause was; it is learned from."""
    check_form()
    named = field("cause", 80) or field("other", 80)
    if not named:
        raise RequestError("cause: missing; choose the cause that it was")
    jobs = backend().jobs
    experience.say(jobs.engine, jobs.report(job_id), named, who(), field("reason", 2000))
    return _back(job_id)


@blueprint.post("/jobs/<job_id>/retry")
@auth.needs("responder")
def retry(job_id: str) -> ResponseReturnValue:
    """The same log once more, as a new incident."""
    check_form()
    jobs = backend().jobs
    incident = jobs.report(job_id).incident
    batch = jobs.submit([_again(incident, backend().settings.data_dir / "logs")], requester=who())
    return _back(batch.jobs[0])


@blueprint.post("/jobs/<job_id>/take")
@auth.needs("responder")
def take(job_id: str) -> ResponseReturnValue:
    """A person goes on with it, or has set it right."""
    check_form()
    what = {"take": takeover.take, "close": takeover.close}.get(request.form.get("what", ""))
    if what is None:
        raise RequestError("what: expected take or close")
    what(backend().jobs, job_id, who(), field("reason", 2000))
    return _back(job_id)


@blueprint.get("/jobs/<job_id>/report.md")
def markdown(job_id: str) -> Response:
    """The report as Markdown, to be pasted elsewhere."""
    from devops_agent import render

    made = render.to_markdown(backend().jobs.report(job_id))
    response = Response(made, mimetype="text/markdown")
    response.headers["Content-Disposition"] = f'attachment; filename="{job_id}.md"'
    return response


@blueprint.get("/jobs/<job_id>/trace.html")
def trace(job_id: str) -> Response:
    """Everything that happened to it, as a file that stands by itself."""
    from devops_agent.jobs import traces
    from devops_agent.trace import html

    response = Response(html.page(traces.of_job(backend().jobs, job_id)), mimetype="text/html")
    response.headers["Content-Disposition"] = f'attachment; filename="{job_id}.html"'
    return response


@blueprint.post("/jobs/<job_id>/draft")
@auth.needs("admin")
def draft(job_id: str) -> ResponseReturnValue:
    """A runbook drafted from what was solved without one; a person reads it, and keeps it or not."""
    from devops_agent import bootstrap

    check_form()
    behind = backend()
    made = bootstrap.draft_runbook(behind.settings, behind.jobs, job_id)
    may_edit = behind.settings.runbooks is not None
    return render("draft.html", made=made, text=made.text, name=made.id, may_edit=may_edit, job=job_id)


def _again(old: Incident, folder: Path) -> Incident:
    """A new incident with the log of an old one; a large log's file is copied, since files are forgotten by age."""
    name = f"inc_{secrets.token_hex(8)}"
    made = old.model_copy(update={"id": name, "received": now(), "source": "http"})
    if not old.log_file:
        return made
    if not Path(old.log_file).is_file():
        raise RequestError("log: it has been forgotten by now; submit it again")
    copy = folder / f"{name}.log"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    copy.touch(mode=0o600)
    shutil.copyfile(old.log_file, copy)
    return made.model_copy(update={"log_file": str(copy)})


def _back(job_id: str) -> ResponseReturnValue:
    return redirect(url_for("pages.incident", job_id=job_id), 303)

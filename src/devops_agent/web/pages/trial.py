"""Try it: a log that is pasted, dropped or chosen, or one of the examples."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import redirect, request, url_for

from devops_agent.errors import RequestError
from devops_agent.web import auth, body, examples
from devops_agent.web.api import backend
from devops_agent.web.pages.frame import blueprint, check_form, field, mine, render

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

SECONDS = 1.5
"""How long the form waits for an answer, where that is wanted; then the page goes on by itself."""


@blueprint.get("/try")
def trial() -> ResponseReturnValue:
    """The form for a log, with examples to begin with."""
    chosen = request.args.get("example", "")
    listed = examples.examples()
    text = listed[int(chosen)]["context"] if chosen.isascii() and chosen.isdigit() and int(chosen) < len(listed) else ""
    jobs = backend().jobs
    sent = [jobs.job(job) for job in request.args.getlist("sent")[:5] if auth.doors().sees(auth.caller(), job)]
    limit = backend().settings.max_body_bytes
    return render("trial.html", examples=listed, text=text, sent=sent, places=mine(), limit=limit)


@blueprint.post("/try")
@blueprint.post("/new")
@auth.needs("responder")
def create() -> ResponseReturnValue:
    """Take the log that was pasted or chosen, and show what becomes of it; in the background: stay here."""
    check_form()
    upload = request.files.get("file")
    text = body.clean(request.form.get("log", "").replace("\r\n", "\n"))
    title = field("title", 300)
    if not text.strip() and upload is not None:
        text = backend().unpacked(upload.stream.read())
    if not text.strip():
        raise RequestError("log: empty; paste the output of the failing step, or choose a file")
    batch = backend().submit([body.Scenario(text, title, {}, field("place", 200) or None)])
    job = batch.jobs[0]
    if request.form.get("mode") == "background":
        return redirect(url_for("pages.trial", sent=[job, *request.form.getlist("sent")[:4]]), 303)
    with backend().waiting() as free:
        if free:
            backend().wait(batch.id, SECONDS)
    return redirect(url_for("pages.incident", job_id=job), 303)

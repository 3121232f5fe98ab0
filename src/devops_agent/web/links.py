"""`/links/<token>`: the page behind a link for approval. Opening it changes nothing; its button decides, once."""

from __future__ import annotations

import hmac
import secrets
from typing import TYPE_CHECKING

from flask import Blueprint, Response, make_response, render_template, request

from devops_agent.connect import links
from devops_agent.errors import AgentError, RequestError
from devops_agent.model import Attempt
from devops_agent.web import body, contract, words
from devops_agent.web.api import backend
from devops_agent.web.auth import public
from devops_agent.web.pages.frame import POLICY
from devops_agent.web.problems import Forbidden

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

COOKIE = "devops_agent_link"

blueprint = Blueprint("links", __name__)


@blueprint.get("/links/<token>")
@public
def show(token: str) -> ResponseReturnValue:
    """The plan, and a button for each decision."""
    behind = backend()
    link = links.look(behind.jobs, behind.link_key, token)
    report = behind.jobs.report(link.job)
    last = report.attempts[-1] if report.attempts else Attempt()
    waits = report.status == "needs_approval" and last.plan is not None and last.plan.fingerprint == link.fingerprint
    if not waits:
        raise links.LinkRefused("this plan does not wait for a decision any more")
    form = secrets.token_urlsafe(24)
    page = make_response(
        render_template(
            "link.html",
            link=link,
            report=report,
            diagnosis=last.diagnosis,
            plan=last.plan,
            request=last.request,
            lines=contract.cited(report, last.diagnosis),
            form=form,
            destroys=last.plan is not None and any(each.effect == "destroy" for each in last.plan.actions),
            words=words,
        )
    )
    page.set_cookie(COOKIE, form, path="/links", httponly=True, samesite="Strict", secure=request.is_secure)
    return page


@blueprint.post("/links/<token>")
@public
def decide(token: str) -> ResponseReturnValue:
    """Approve or deny in the name of the person whom the link was sent to."""
    kept, sent = request.cookies.get(COOKIE, ""), request.form.get("form", "")
    if len(kept) < 20 or not hmac.compare_digest(kept.encode(), sent.encode("utf-8", "replace")):
        raise Forbidden("form: open the link in a browser and use the button there")
    wanted = request.form.get("decision")
    if wanted not in ("approve", "deny"):
        raise RequestError("decision: expected approve or deny")
    behind = backend()
    link = links.look(behind.jobs, behind.link_key, token)
    plan = contract.exact_plan(behind.jobs.report(link.job))
    destroys = plan is not None and any(each.effect == "destroy" for each in plan.actions)
    if wanted == "approve" and destroys and request.form.get("read") != "yes":
        raise RequestError("read: this plan ends or deletes something; confirm that you have read its commands")
    reason = body.clean(request.form.get("reason", "")).strip()[:1000]
    made = links.use(behind.jobs, behind.link_key, token, wanted == "approve", reason)
    said = f"The plan was {'approved' if made.granted else 'denied'} by {made.by}."
    return _page(said, 200)


@blueprint.errorhandler(AgentError)
def problem(error: AgentError) -> ResponseReturnValue:
    """An error as a page."""
    if error.status >= 500:
        raise error
    return _page(str(error), error.status)


@blueprint.after_request
def protect(response: Response) -> Response:
    """Nothing but our own style sheet is loaded, nobody frames the page, its address does not leak, nobody keeps it."""
    response.headers["Content-Security-Policy"] = POLICY
    response.headers["Referrer-Policy"] = "same-origin"
    response.headers["X-Frame-Options"] = "DENY"
    response.headers["X-Robots-Tag"] = "noindex, nofollow"
    response.headers["Cache-Control"] = "no-store"
    return response


def _page(said: str, status: int) -> Response:
    return make_response(render_template("link_said.html", said=said), status)

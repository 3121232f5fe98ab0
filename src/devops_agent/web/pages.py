"""The page for people: what waits for a decision, what runs, what happened; an incident's story; a form for a log.

Rendered here, without script and without outside addresses. Everything from logs and tools is escaped, and what could
steer a display (control and direction characters) is made visible.
"""

from __future__ import annotations

import hmac
import secrets
from datetime import datetime
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Response, make_response, redirect, render_template, request, url_for
from werkzeug.exceptions import InternalServerError

from devops_agent.errors import AgentError, RequestError
from devops_agent.model import Attempt, Report, now
from devops_agent.web import auth, body, contract, words
from devops_agent.web.api import backend, planner
from devops_agent.web.problems import Forbidden

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

    from devops_agent.jobs.store import JobRow

blueprint = Blueprint("pages", __name__, url_prefix="/dashboard")

COOKIE = "devops_agent_form"
POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
PER_PAGE = 25
LINE_LIMIT = 2000
_STATES = {
    "resolved": ("good", "resolved"),
    "no_failure": ("good", "no failure"),
    "planned": ("calm", "planned"),
    "needs_approval": ("ask", "waits for approval"),
    "needs_person": ("ask", "needs a person"),
    "unresolved": ("bad", "not resolved"),
    "error": ("bad", "error"),
}
_CONTROL = (*(code for code in range(32) if code != 9), *range(0x7F, 0xA0))
_DIRECTION = (0x61C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A), 0xFEFF)
_VISIBLE = {code: f"\\x{code:02x}" for code in _CONTROL} | {code: f"\\u{code:04x}" for code in _DIRECTION}


@blueprint.get("")
def dashboard() -> ResponseReturnValue:
    """What needs a person first, then what runs, then what happened."""
    jobs = backend().jobs
    page = _page()
    recent = jobs.list(limit=PER_PAGE + 1, offset=(page - 1) * PER_PAGE)
    ended = [row for row in recent[:PER_PAGE] if row.status in ("done", "error")]
    waiting = jobs.list(status="approval", limit=50)
    running = [row for status in ("running", "queued") for row in jobs.list(status=status, limit=20)]
    running += [row for row in jobs.list(status="waiting", limit=50) if row.waiting != "approval"]
    return _render(
        "dashboard.html",
        waiting=[(row, report, heading(row, report)) for row in waiting for report in [jobs.report(row.id)]],
        running=running,
        recent=[(row, heading(row, jobs.report(row.id))) for row in ended],
        open=sum(row.outcome in ("needs_person", "unresolved", "error") for row in ended),
        counts=jobs.counts(),
        page=page,
        more=len(recent) > PER_PAGE,
        refresh=5 if running else None,
        planner=planner(backend().settings),
    )


@blueprint.get("/new")
def new() -> ResponseReturnValue:
    """The form for a log."""
    return _render("new.html")


@blueprint.post("/new")
@auth.needs("responder")
def create() -> ResponseReturnValue:
    """Take the log that was pasted or chosen, and show what becomes of it."""
    _check_form()
    upload = request.files.get("file")
    text = body.clean(request.form.get("log", "").replace("\r\n", "\n"))
    title = body.clean(request.form.get("title", "")).strip()[:300]
    if not text.strip() and upload is not None:
        text = backend().unpacked(upload.stream.read())
    if not text.strip():
        raise RequestError("log: empty; paste the output of the failing step, or choose a file")
    batch = backend().submit([body.Scenario(text, title)])
    return redirect(url_for("pages.incident", job_id=batch.jobs[0]), 303)


@blueprint.get("/jobs/<job_id>")
def incident(job_id: str) -> ResponseReturnValue:
    """The story of one incident, as far as it has come."""
    jobs = backend().jobs
    row = jobs.job(job_id)
    report = jobs.report(row.id)
    last = report.attempts[-1] if report.attempts else Attempt()
    return _render(
        "incident.html",
        row=row,
        report=report,
        diagnosis=last.diagnosis,
        lines=_excerpt(report),
        heading=heading(row, report),
        decide=row.status == "waiting" and row.waiting == "approval",
        destroys=last.plan is not None and any(each.effect == "destroy" for each in last.plan.actions),
        answer=contract.final_response(row.id, report) if row.answered else "",
        refresh=None if row.answered else 2,
    )


@blueprint.post("/jobs/<job_id>/decision")
@auth.needs("approver")
def decision(job_id: str) -> ResponseReturnValue:
    """Approve or deny the plan that was shown (and no other: its fingerprint comes along)."""
    _check_form()
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
    by = auth.caller().called(body.clean(request.form.get("by", "")).strip()[:200] or "dashboard")
    reason = body.clean(request.form.get("reason", "")).strip()[:2000]
    jobs.decide(job_id, wanted == "approve", by, reason, fingerprint)
    return redirect(url_for("pages.incident", job_id=job_id), 303)


@blueprint.errorhandler(AgentError)
def problem(error: AgentError) -> ResponseReturnValue:
    """An error as a page, for those who read pages."""
    if error.status >= 500:
        raise InternalServerError(original_exception=error)
    if request.accept_mimetypes.best_match(["application/json", "text/html"]) != "text/html":
        return {"error": str(error), "code": error.code}, error.status
    return _render("problem.html", message=str(error)), error.status


@blueprint.after_request
def protect(response: Response) -> Response:
    """Nothing but our own style sheet is loaded, nobody frames the page, no address leaks."""
    response.headers["Content-Security-Policy"] = POLICY
    response.headers["Referrer-Policy"] = "same-origin"
    response.headers["X-Frame-Options"] = "DENY"
    return response


@blueprint.app_template_filter("shown")
def shown(text: object, limit: int = LINE_LIMIT) -> str:
    """Text of a log or tool: what could steer a display is made visible, and very long text is cut."""
    line = str(text)
    rest = f" … ({len(line) - limit} more characters)" if len(line) > limit else ""
    return line[:limit].translate(_VISIBLE) + rest


@blueprint.app_template_filter("block")
def block(text: object, limit: int = 20_000) -> str:
    """The same for text of several lines."""
    return "\n".join(shown(line) for line in str(text)[:limit].split("\n"))


@blueprint.app_template_filter("moment")
def moment(at: datetime | None) -> str:
    """A time as the page writes it."""
    return f"{at:%Y-%m-%d %H:%M:%S} UTC" if at else ""


@blueprint.app_template_filter("ago")
def ago(at: datetime | None) -> str:
    """How long ago, or in how long."""
    if at is None:
        return ""
    seconds = (now() - at).total_seconds()
    text = _span(abs(seconds))
    return f"{text} ago" if seconds >= 0 else f"in {text}"


@blueprint.app_template_filter("state")
def state(row: JobRow) -> tuple[str, str]:
    """Colour and words for where a job stands."""
    if row.status in ("done", "error"):
        return _STATES.get(row.outcome or row.status, ("calm", row.outcome or row.status))
    if row.waiting == "approval":
        return _STATES["needs_approval"]
    return "calm", row.status if row.status != "waiting" else f"waits: {row.waiting}"


def heading(row: JobRow, report: Report) -> str:
    """What an incident is called: its title; where that is only the log's first line, the line that decided."""
    first = next((line.strip() for line in report.incident.log.split("\n") if line.strip()), "")
    named = bool(row.title) and not first.startswith(row.title[:100])
    last = report.attempts[-1].diagnosis if report.attempts else None
    lines = contract.cited(report, last) if last is not None and last.failure else []
    return row.title if named or not lines else lines[0].text


def _render(template: str, **values: Any) -> Response:
    token = request.cookies.get(COOKIE, "")
    fresh = len(token) < 20
    if fresh:
        token = secrets.token_urlsafe(24)
    response = make_response(render_template(template, token=token, words=words, **values))
    if fresh:
        response.set_cookie(
            COOKIE, token, path="/dashboard", httponly=True, samesite="Strict", secure=request.is_secure
        )
    return response


def _check_form() -> None:
    kept, sent = request.cookies.get(COOKIE, ""), request.form.get("token", "")
    if len(kept) < 20 or not hmac.compare_digest(kept.encode(), sent.encode("utf-8", "replace")):
        raise Forbidden("token: the form is too old or not ours; reload the page and try again")


def _excerpt(report: Report) -> list[dict[str, Any]]:
    """The lines of the excerpt, with the decisive ones marked and gaps told."""
    if report.digest is None:
        return []
    decisive = {each.id for attempt in report.attempts[:1] if attempt.diagnosis for each in _cited(report, attempt)}
    lines: list[dict[str, Any]] = []
    before: int | None = None
    for each in report.digest.evidence:
        gap = before is not None and each.line is not None and each.line > before + 1
        lines.append({"number": each.line, "text": each.text, "decisive": each.id in decisive, "gap": gap})
        before = each.line
    return lines


def _cited(report: Report, attempt: Attempt) -> list[Any]:
    known = attempt.diagnosis is not None and attempt.diagnosis.cause != "unknown"
    return contract.cited(report, attempt.diagnosis) if known else []


def _page() -> int:
    text = request.args.get("page", "1")
    return max(1, int(text)) if text.isascii() and text.isdigit() and len(text) < 7 else 1


def _span(seconds: float) -> str:
    for size, name in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            count = int(seconds // size)
            return f"{count} {name}{'s' if count != 1 else ''}"
    return f"{int(seconds)} s"

"""History: everything that was handled, searched and filtered by the address; and statistics over it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from flask import request

from devops_agent.errors import NotFound
from devops_agent.jobs import overview, search, trends
from devops_agent.jobs.spending import ALL
from devops_agent.jobs.statistics import statistics as counted
from devops_agent.web import auth, body
from devops_agent.web.api import backend, view, visible
from devops_agent.web.pages.frame import blueprint, mine, number, render

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

PER_PAGE = 30
STATUSES = {
    "approval": "waits for approval",
    "running": "at work",
    "queued": "queued",
    "needs_person": "needs a person",
    "unresolved": "not resolved",
    "error": "error",
    "resolved": "resolved",
    "planned": "planned",
    "no_failure": "no failure",
}
"""What a job can be looked for by: where it stands, or its outcome."""
_STANDS = ("approval", "running", "queued")
LENGTHS = (7, 30, 90)


@blueprint.get("/history")
def history() -> ResponseReturnValue:
    """Incidents that fit the address: words, status, cause, place, days; or those equal to one."""
    jobs = backend().jobs
    asked = {name: body.clean(request.args.get(name, "")).strip()[:200] for name in ("q", "status", "cause", "place")}
    like = request.args.get("like", "")[:100]
    days = number("days", 0, 0, 3650)
    values: dict[str, Any] = {**asked, "days": days, "like": like, "statuses": STATUSES, "alike": None}
    if like:
        if not auth.doors().sees(auth.caller(), like):
            raise NotFound(f"no job {like!r}")
        alike, total = overview.alike(jobs.engine, jobs.job(like).id, limit=200, places=visible())
        return render("history.html", **values | {"alike": alike, "total": total, "lead": jobs.job(like)}, rows=())
    status = asked["status"] if asked["status"] in STATUSES else None
    page = search.find(
        jobs.engine,
        text=asked["q"] or None,
        status=status if status in _STANDS else None,
        outcome=status if status not in _STANDS else None,
        cause=asked["cause"] or None,
        place=asked["place"] or None,
        since=datetime.now(UTC) - timedelta(days=days) if days else None,
        cursor=request.args.get("cursor") or None,
        limit=PER_PAGE,
        places=visible(),
    )
    kept = {name: value for name, value in {**asked, "days": days}.items() if value}
    return render(
        "history.html",
        **values,
        rows=page.rows,
        kept=kept,
        cursor=page.next_cursor,
        first="cursor" not in request.args,
        places=mine(),
    )


@blueprint.get("/statistics")
def statistics() -> ResponseReturnValue:
    """What fails most, what is solved without a person, how long it takes, what stays unknown, what it costs."""
    behind = backend()
    engine = behind.jobs.engine
    length = number("days", 30, 1, 365)
    runbooks = behind.runbooks()
    whose = view()
    counts = counted(engine, runbooks, view=whose)
    days = trends.days(engine, length, whose.places)
    return render(
        "statistics.html",
        counts=counts,
        days=days,
        length=length,
        lengths=LENGTHS,
        outcomes=[name for name in trends.OUTCOMES if any(day.outcomes.get(name) for day in days)],
        times=trends.times(engine, length, whose.places),
        costs=trends.costs(engine, length, whose.account or ALL),
        runbooks=len(runbooks),
        some=whose.places is not None and sorted(each for each in whose.places if each is not None),
    )

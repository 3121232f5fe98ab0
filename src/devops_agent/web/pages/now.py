"""Now: what needs a person first, then what runs, then what was solved by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import abort, redirect, request, url_for

from devops_agent.errors import NotFound
from devops_agent.jobs import overview, search
from devops_agent.web.api import backend, planner, visible
from devops_agent.web.pages.frame import blueprint, mine, render

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue
    from sqlalchemy import Engine

    from devops_agent.jobs.store import JobRow, Jobs

MOST_WAITING = 8
"""Plans that are shown with their actions; further ones are a line each."""


@blueprint.get("/<path:address>")
def nothing(address: str) -> ResponseReturnValue:
    """An address of the pages where there is none: told to a person as a page, to a program as everywhere."""
    if "text/html" not in request.headers.get("Accept", ""):
        abort(404)
    raise NotFound(f"there is no page {address}")


@blueprint.get("")
def dashboard() -> ResponseReturnValue:
    """What needs a person first, then what runs, then what happened."""
    jobs = backend().jobs
    engine = jobs.engine
    places = visible()
    waiting = overview.waiting_since(engine, places)
    groups, open_count = overview.open_groups(engine, places)
    solved, solved_count, alone = overview.solved(engine, places)
    running, more = _running(engine, places)
    return render(
        "now.html",
        waiting=[_asked(jobs, job) for job in waiting[:MOST_WAITING]],
        waiting_rows=[jobs.job(job) for job in waiting[MOST_WAITING:]],
        waiting_count=len(waiting),
        groups=groups,
        open_count=open_count,
        running=running,
        more_running=more,
        solved=solved,
        solved_count=solved_count,
        alone=alone,
        empty=not search.find(engine, limit=1, places=places).rows,
        places=mine(),
        planner=planner(backend().settings),
    )


@blueprint.get("/new")
def new() -> ResponseReturnValue:
    """Where the form for a log used to be."""
    return redirect(url_for("pages.trial"), 301)


def _asked(jobs: Jobs, job: str) -> dict[str, Any]:
    report = jobs.report(job)
    last = report.attempts[-1] if report.attempts else None
    return {"row": jobs.job(job), "last": last, "title": report.incident.title, "place": report.incident.place}


def _running(engine: Engine, places: overview.Places) -> tuple[list[JobRow], int]:
    """Jobs that are worked on, and how many more there are than are shown."""
    found = search.find(engine, status="running", limit=20, places=places).rows
    held = search.find(engine, status="waiting", limit=60, places=places).rows
    found += [row for row in held if row.waiting != "approval"][:20]
    found += search.find(engine, status="queued", limit=20, places=places).rows
    return found[:25], max(0, overview.at_work(engine, places) - 25)

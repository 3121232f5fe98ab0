"""Now: what needs a person first, then what runs, then what was solved by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import redirect, url_for

from devops_agent.jobs import overview
from devops_agent.web.api import backend, planner
from devops_agent.web.pages.frame import blueprint, render

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

    from devops_agent.jobs.store import JobRow, Jobs

MOST_WAITING = 8
"""Plans that are shown with their actions; further ones are a line each."""


@blueprint.get("")
def dashboard() -> ResponseReturnValue:
    """What needs a person first, then what runs, then what happened."""
    jobs = backend().jobs
    engine = jobs.engine
    waiting = overview.waiting_since(engine)
    groups, open_count = overview.open_groups(engine)
    solved, solved_count, alone = overview.solved(engine)
    running, more = _running(jobs)
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
        empty=not jobs.list(limit=1),
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


def _running(jobs: Jobs) -> tuple[list[JobRow], int]:
    """Jobs that are worked on, and how many more there are than are shown."""
    found = jobs.list(status="running", limit=20)
    found += [row for row in jobs.list(status="waiting", limit=60) if row.waiting != "approval"][:20]
    found += jobs.list(status="queued", limit=20)
    return found[:25], max(0, overview.at_work(jobs.engine) - 25)

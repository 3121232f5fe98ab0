"""An incident's story in one column, live while it happens."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from devops_agent.jobs import experience, overview, takeover
from devops_agent.model import Action, Attempt, Outcome, Report, now
from devops_agent.web.api import backend, visible
from devops_agent.web.pages import excerpt
from devops_agent.web.pages.frame import blueprint, render

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

    from devops_agent.jobs.store import JobRow

_NEXT = (
    ("verification", "Finishing"),
    ("/outcome", "Proving that it is over"),
    ("/started", "Acting"),
    ("recheck", "Acting"),
    ("approval", "Looking once more before acting"),
    ("review", "Asking policy"),
    ("plan", "Asking policy"),
    ("proposal", "Working out exact commands"),
    ("diagnosis", "Planning"),
    ("health", "Looking at the place"),
    ("distil", "Looking at the place"),
)
"""What is being done after the last kept step of a walk, by how its key ends."""


@dataclass(frozen=True)
class Step:
    """An action of a plan and what became of it so far: `running` since when, outcome, what was taken back."""

    action: Action
    outcome: Any = None
    undone: Any = None
    running: datetime | None = None
    said: str = ""


@dataclass(frozen=True)
class Chapter:
    """One attempt, made ready to be shown."""

    number: int
    attempt: Attempt
    steps: list[Step]
    lines: list[Any]
    probes: list[Any]
    voted: list[str]
    at: dict[str, datetime]


@blueprint.get("/jobs/<job_id>")
def incident(job_id: str) -> ResponseReturnValue:
    """The story of one incident, as far as it has come."""
    jobs = backend().jobs
    row = jobs.job(job_id)
    report = jobs.report(row.id)
    at = overview.moments(jobs.engine, row.id)
    last = report.attempts[-1] if report.attempts else Attempt()
    alike, alike_count = overview.alike(jobs.engine, row.id, places=visible())
    waits = row.status == "waiting" and row.waiting == "approval"
    return render(
        "incident.html",
        row=row,
        report=report,
        last=last,
        diagnosis=last.diagnosis,
        parts=excerpt.parts(report),
        chapters=[_chapter(report, number, at) for number in range(len(report.attempts))],
        at=at,
        doing=None if row.answered else doing(row, at),
        acting=any(key.endswith("/started") and f"{key[:-7]}outcome" not in at for key in at),
        decide=waits and row.joined is None,
        joined=row.joined,
        destroys=last.plan is not None and any(each.effect == "destroy" for each in last.plan.actions),
        verdict=experience.verdict(jobs.engine, row.id),
        taken=takeover.holder(jobs.engine, row.id),
        alike=alike,
        alike_count=alike_count,
        causes=causes() if row.status == "done" else (),
        seconds=((row.finished or now()) - row.created).total_seconds(),
    )


def doing(row: JobRow, at: dict[str, datetime]) -> str:
    """What is being done at the moment, from the last kept step."""
    if row.status == "queued":
        return "In the queue"
    if row.waiting == "joined":
        return "An equal incident is open; its answer will be this one's too"
    if row.waiting == "settling":
        return "Looking whether it holds"
    last = next(reversed(at), "")
    return next((text for ending, text in _NEXT if last.endswith(ending)), "Reading the log")


def causes() -> list[tuple[str, str]]:
    """All causes with their meanings."""
    from devops_agent.runbooks.causes import from_data, read_data

    return sorted(from_data(read_data()).meanings.items())


def _step(action: Action, outcome: Outcome | None, undone: Outcome | None, started: datetime | None) -> Step:
    """What became of an action; of one that runs also what it has said so far, secrets masked."""
    from devops_agent.distil.redact import redact
    from devops_agent.tools.aloud import so_far

    said = so_far(backend().settings.data_dir, action) if started and outcome is None else ""
    return Step(action, outcome, undone, started, redact(said)[0] if said else "")


def _chapter(report: Report, number: int, at: dict[str, datetime]) -> Chapter:
    attempt = report.attempts[number]
    prefix = f"{number}/"
    mine = {key.removeprefix(prefix): moment for key, moment in at.items() if key.startswith(prefix)}
    done = {each.action_id: each for each in attempt.outcomes}
    undone = {each.action_id: each for each in attempt.undone}
    steps = [
        _step(action, done.get(action.id), undone.get(action.id), mine.get(f"once/{action.id}/started"))
        for action in (attempt.plan.actions if attempt.plan else ())
    ]
    lines, probes = excerpt.grounds(report, attempt)
    voted = [key.removeprefix("vote/") for key in mine if key.startswith("vote/")]
    return Chapter(number, attempt, steps, lines, probes, voted, mine)

"""`jobs`, `job`, `approve`, `deny`: what was done, and what waits for a person."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from devops_agent.cli import options, terminal
from devops_agent.errors import ApprovalMismatch, RequestError

if TYPE_CHECKING:
    from devops_agent.jobs.store import JobRow, Jobs
    from devops_agent.model import Report

Id = Annotated[
    str, typer.Argument(metavar="ID", help="The job's id, as `devops-agent jobs` shows it.", show_default=False)
]
Reason = Annotated[str, typer.Option(help="Why; it is kept with the decision.", show_default=False)]
Plan = Annotated[
    str | None,
    typer.Option(metavar="FINGERPRINT", help="Decide only if the plan still is this one.", show_default=False),
]
STATES = ("queued", "running", "waiting", "done", "error")
OUTCOMES = ("resolved", "no_failure", "planned", "needs_person", "unresolved")
APPROVE = """\b
Examples:
  devops-agent jobs --status waiting
  devops-agent job ID
  devops-agent approve ID --reason "seen, go ahead"
"""


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command(epilog=APPROVE)(approve)
    app.command()(deny)
    app.command()(jobs)
    app.command()(job)


def approve(name: Id, plan: Plan = None, reason: Reason = "", as_json: options.Json = False) -> None:
    """Approve the plan that a job waits with.

    A job of the command line is worked on here and now, one of the service by the service.
    """
    _decide(name, True, plan, reason, as_json)


def deny(name: Id, plan: Plan = None, reason: Reason = "", as_json: options.Json = False) -> None:
    """Deny the plan that a job waits with.

    Nothing of it is done; the job ends for a person to take over.
    """
    _decide(name, False, plan, reason, as_json)


def jobs(
    status: Annotated[
        str | None,
        typer.Option(metavar="STATUS", help=f"Only those: {', '.join((*STATES, *OUTCOMES))}.", show_default=False),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many, newest first.")] = 20,
    watch: Annotated[
        bool, typer.Option("--watch", help="Stay, and show what needs a person as it happens, like the page.")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """All jobs, newest first."""
    if watch:
        from devops_agent.cli.watching import watch as stay

        if as_json or status is not None:
            raise RequestError("--watch: goes with --limit only")
        stay(_open(), limit)
        return
    if status is not None and status not in (*STATES, *OUTCOMES):
        raise RequestError(f"--status: {status!r} is not one of {', '.join((*STATES, *OUTCOMES))}")
    rows = _open().list(status=status, limit=limit)
    if as_json:
        terminal.write_json([_row(each) for each in rows])
        return
    if not rows:
        terminal.hint("no job yet; `devops-agent handle LOG` or POST /process_errors makes one")
        return
    terminal.table(
        ("id", "status", "outcome", "cause", "created", "title"),
        [
            (
                each.id,
                _state(each),
                each.outcome or "",
                each.cause or "",
                f"{each.created:%Y-%m-%d %H:%M:%S}",
                each.title,
            )
            for each in rows
        ],
    )


def job(
    name: Id,
    cause: Annotated[
        str | None,
        typer.Option(
            metavar="CAUSE", help="Say what the cause was: confirms or corrects the answer.", show_default=False
        ),
    ] = None,
    reason: Annotated[str, typer.Option(help="Why (with --cause).", show_default=False)] = "",
    as_json: options.Json = False,
    markdown: options.Markdown = False,
) -> None:
    """Everything about one job.

    Evidence, diagnosis, plan, decisions, outcomes and proof, as far as it has come. With --cause: say what it really
    was; this is kept with who said it, and moves the confidence of later answers.
    """
    from devops_agent import render, report

    options.one_form(as_json, markdown)
    store = _open()
    found = store.report(name)
    if cause is not None:
        _say(store, found, cause, reason, as_json)
        return
    if as_json:
        terminal.write_json(report.to_json(found))
    elif markdown:
        terminal.write(render.to_markdown(found).rstrip("\n"))
    else:
        terminal.report(render.to_text(found).rstrip("\n"))


def _open() -> Jobs:
    from devops_agent import bootstrap

    return bootstrap.open_jobs(options.settings())


def _say(store: Jobs, found: Report, cause: str, reason: str, as_json: bool) -> None:
    from devops_agent.jobs import experience

    said = experience.say(store.engine, found, cause, options.user(), reason)
    if as_json:
        terminal.write_json(asdict(said))
    elif said.confirmed:
        terminal.write(f"{said.job}: {cause} confirmed by {said.by}")
    else:
        terminal.write(f"{said.job}: {said.answered} corrected to {cause} by {said.by}")


def _decide(name: str, granted: bool, plan: str | None, reason: str, as_json: bool) -> None:
    from devops_agent import bootstrap
    from devops_agent.cli import repair

    store = _open()
    mine = store.report(name).incident.source in ("cli", "mcp")
    try:
        decision = store.decide(name, granted, options.user(), reason, plan)
    except ApprovalMismatch:
        _close_expired(store, name, mine)
        raise
    if not as_json:
        word = "approved" if decision.granted else "denied"
        terminal.write(f"{name}: {word} by {decision.by}, plan {decision.fingerprint}")
        if granted and store.job(name).waiting == "approval":
            terminal.write("policy wants another person too; nothing is done before")
    if not mine:
        terminal.hint(f"the service goes on with it; `devops-agent job {name}` shows what became of it")
        if as_json:
            terminal.write_json(decision.model_dump(mode="json"))
        return
    settings = options.settings()
    worker = bootstrap.build_worker(settings, store, bootstrap.build_agent(settings))
    with repair.stopping(name, store, settings):
        found = repair.finish(name, store, worker, asking=False)
    repair.show(name, found, as_json)


def _close_expired(store: Jobs, name: str, mine: bool) -> None:
    """Nobody but the command line goes on with its own jobs: one whose request has expired ends here."""
    from devops_agent.model import now

    request = store.report(name).attempts[-1].request if store.job(name).waiting == "approval" else None
    if mine and request is not None and request.expires <= now():
        from devops_agent import bootstrap

        settings = options.settings()
        bootstrap.build_worker(settings, store, bootstrap.build_agent(settings)).work_until_answered(name)


def _state(row: JobRow) -> str:
    return f"{row.status} ({row.waiting})" if row.waiting else row.status


def _row(row: JobRow) -> dict[str, Any]:
    values = asdict(row)
    return {key: value.isoformat() if isinstance(value, datetime) else value for key, value in values.items()}

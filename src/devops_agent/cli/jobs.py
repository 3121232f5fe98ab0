"""`jobs`, `job`, `approve`, `deny`: what was done, and what waits for a person."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from devops_agent.cli import options, terminal
from devops_agent.errors import RequestError

if TYPE_CHECKING:
    from devops_agent.jobs.store import Jobs

Id = Annotated[
    str, typer.Argument(metavar="ID", help="The job's id, as `devops-agent jobs` shows it.", show_default=False)
]
Reason = Annotated[str, typer.Option(help="Why; it is kept with the decision.", show_default=False)]
Plan = Annotated[
    str | None,
    typer.Option(metavar="FINGERPRINT", help="Decide only if the plan still is this one.", show_default=False),
]
STATES = ("queued", "running", "waiting", "done", "error")
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


def approve(name: Id, plan: Plan = None, reason: Reason = "") -> None:
    """Approve the plan that a job waits with."""
    _decide(name, True, plan, reason)


def deny(name: Id, plan: Plan = None, reason: Reason = "") -> None:
    """Deny the plan that a job waits with.

    Nothing of it is done; the job ends for a person to take over.
    """
    _decide(name, False, plan, reason)


def jobs(
    status: Annotated[
        str | None, typer.Option(metavar="|".join(STATES), help="Only those.", show_default=False)
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many, newest first.")] = 20,
    as_json: options.Json = False,
) -> None:
    """All jobs, newest first."""
    if status is not None and status not in STATES:
        raise RequestError(f"--status: {status!r} is not one of {', '.join(STATES)}")
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


def job(name: Id, as_json: options.Json = False) -> None:
    """Everything about one job.

    Evidence, diagnosis, plan, decisions, outcomes and proof, as far as it has come.
    """
    from devops_agent import report

    found = _open().report(name)
    if as_json:
        terminal.write_json(report.to_json(found))
    else:
        terminal.write(report.to_text(found).rstrip("\n"))


def _open() -> Jobs:
    from devops_agent import bootstrap

    settings = options.settings()
    return bootstrap.open_jobs(settings, bootstrap.build_agent(settings))


def _decide(name: str, granted: bool, plan: str | None, reason: str) -> None:
    decision = _open().decide(name, granted, getpass.getuser(), reason, plan)
    word = "approved" if decision.granted else "denied"
    terminal.write(f"{name}: {word} by {decision.by}; plan {decision.fingerprint}")
    terminal.hint(f"a worker goes on with it (`devops-agent serve`); `devops-agent job {name}` shows what became of it")


def _state(row: Any) -> str:
    return f"{row.status} ({row.waiting})" if row.waiting else str(row.status)


def _row(row: Any) -> dict[str, Any]:
    import dataclasses

    values = dataclasses.asdict(row) if dataclasses.is_dataclass(row) else row.model_dump()
    return {key: value.isoformat() if hasattr(value, "isoformat") else value for key, value in values.items()}  # type: ignore[union-attr]

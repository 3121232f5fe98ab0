"""`audit`: who or what did what, and whether the record is still the one that was written."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from devops_agent.cli import options, terminal

AUDIT = """\b
Examples:
  devops-agent audit                     everything, and whether the chain of hashes holds
  devops-agent audit --job ID --json     one job, for scripts

Exit status: 0 the chain holds, 1 it is broken.
"""


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command(epilog=AUDIT)(audit)


def audit(
    job: Annotated[str | None, typer.Option(metavar="ID", help="Only this job.", show_default=False)] = None,
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="At most so many of the last entries.")] = 200,
    as_json: options.Json = False,
) -> None:
    """The audit trail, verified.

    Each entry is bound to the one before by a hash, so that a changed, missing or added entry shows.
    """
    from devops_agent import bootstrap
    from devops_agent.jobs import audit as trail

    engine = bootstrap.open_jobs(options.settings()).engine
    entries = trail.entries(engine, job, limit=limit, newest=True)
    wrong = list(trail.broken(engine))
    if as_json:
        terminal.write_json({"entries": [_plain(each) for each in entries], "intact": not wrong, "wrong": wrong})
    else:
        rows = [
            (str(each.id), f"{each.at:%Y-%m-%d %H:%M:%S}", each.job, each.event, each.actor, _brief(each.data))
            for each in entries
        ]
        if rows:
            terminal.table(("entry", "when (UTC)", "job", "event", "by", "what"), rows)
        for line in wrong:
            terminal.remark(f"BROKEN: {line}")
        if not wrong:
            terminal.hint("the chain of hashes holds")
    if wrong:
        raise typer.Exit(1)


def _plain(entry: Any) -> dict[str, Any]:
    return {**asdict(entry), "at": entry.at.isoformat()}


def _brief(data: dict[str, Any]) -> str:
    """The few values that say what an entry is about."""
    if "actions" in data:
        return (
            f"{data.get('cause')}: {', '.join(each['tool'] for each in data['actions'])} ({data['fingerprint'][:12]})"
        )
    wanted = ("action", "status", "verdict", "reason", "title", "over", "fingerprint")
    return " ".join(str(data[key])[:80] for key in wanted if data.get(key) not in (None, ""))

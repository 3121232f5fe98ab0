"""`audit`: who or what did what, when; and whether the trail is as it was written."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from devops_agent.cli import options, terminal

if TYPE_CHECKING:
    from devops_agent.jobs.audit import Entry

AUDIT = """\b
Examples:
  devops-agent audit                    the newest entries of all jobs
  devops-agent audit ID --json          everything about one job, with exact commands
"""


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command(epilog=AUDIT)(audit)


def audit(
    name: Annotated[str | None, typer.Argument(metavar="ID", help="Only this job.", show_default=False)] = None,
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="At most so many, the newest.")] = 100,
    as_json: options.Json = False,
) -> None:
    """Show the audit trail, and verify all of it.

    Each entry is bound to the one before by a hash. Exit status 3 where an entry was changed, taken out or put in.
    """
    from devops_agent import bootstrap
    from devops_agent.jobs import audit as trail

    store = bootstrap.open_jobs(options.settings())
    if name is not None:
        store.job(name)
    found = trail.entries(store.engine, name, limit, newest=True)
    problems = list(trail.broken(store.engine))
    if as_json:
        entries = [{**asdict(each), "at": each.at.isoformat()} for each in found]
        terminal.write_json({"intact": not problems, "problems": problems, "entries": entries})
    else:
        rows = [(str(e.id), f"{e.at:%Y-%m-%d %H:%M:%S}", e.job, e.event, e.actor, _gist(e)) for e in found]
        terminal.table(("entry", "at (UTC)", "job", "event", "by", "what"), rows)
        for each in problems:
            terminal.remark(f"the audit trail is BROKEN: {each}")
        if not problems:
            terminal.hint("the trail is intact")
    raise typer.Exit(3 if problems else 0)


def _gist(entry: Entry) -> str:
    """The part of an entry that a line has room for."""
    data: dict[str, Any] = entry.data
    if "actions" in data:
        tools = ", ".join(str(each.get("tool")) for each in data["actions"])
        return f"{data.get('cause')}: {tools} (plan {str(data.get('fingerprint'))[:12]})"
    told = [str(data[key]) for key in ("action", "status", "verdict", "reason", "title") if data.get(key)]
    if not told and data.get("fingerprint"):
        told = [f"plan {str(data['fingerprint'])[:12]}"]
    return " ".join(told)[:120]

"""`traffic`: what hooks brought in that waits, and the messages that were sent, wait or were given up."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from devops_agent.cli import options, terminal
from devops_agent.errors import RequestError

STATES = ("due", "sent", "failed", "dropped")
TRAFFIC = """\b
Examples:
  devops-agent traffic
  devops-agent traffic --state failed
"""


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command(epilog=TRAFFIC, short_help="What came in by hooks, and the messages that went out.")(traffic)


def traffic(
    state: Annotated[str | None, typer.Option(metavar="|".join(STATES), help="Only those.", show_default=False)] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 50,
    as_json: options.Json = False,
) -> None:
    """Show what came in by hooks and waits, and the messages that went out, wait or were given up."""
    if state is not None and state not in STATES:
        raise RequestError(f"--state: {state!r} is not one of {', '.join(STATES)}")
    from devops_agent import bootstrap
    from devops_agent.connect.traffic import lately

    found = lately(bootstrap.open_jobs(options.settings()).engine, state, limit)
    if as_json:
        times = ("at", "due")
        terminal.write_json(
            [
                {key: each.isoformat() if key in times and each else each for key, each in asdict(row).items()}
                for row in found
            ]
        )
        return
    if not found:
        terminal.hint("nothing came in that waits, and nothing was to be told")
        return
    rows = [
        (
            f"{row.at:%Y-%m-%d %H:%M:%S}",
            f"{row.way} {row.name}",
            row.about[:80],
            row.state + (f" until {row.due:%H:%M:%S}" if row.due else ""),
            str(row.tries),
            row.problem[:100],
        )
        for row in found
    ]
    terminal.table(("at (UTC)", "way", "about", "state", "tries", "problem"), rows)

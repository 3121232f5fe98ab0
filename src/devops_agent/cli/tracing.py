"""`trace`: everything that happened to one job."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from devops_agent.cli import options, terminal
from devops_agent.cli.jobs import Id

TRACE = """\b
Examples:
  devops-agent trace JOB                      one line for each thing that happened
  devops-agent trace JOB --html trace.html    all of it, as a page that needs nothing else
"""


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command(epilog=TRACE, short_help="Everything that happened to a job, step by step.")(trace)


def trace(
    name: Id,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write it as an HTML page.", show_default=False)
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Everything that happened to a job: requests to models, answers, looks, decisions, actions, cost.

    Secrets are masked.
    """
    from devops_agent import bootstrap
    from devops_agent.jobs import traces
    from devops_agent.trace import to_text

    made = traces.of_job(bootstrap.open_jobs(options.settings()), name)
    if html is not None:
        from devops_agent.trace.html import page

        html.write_text(page(made), encoding="utf-8")
        terminal.hint(f"written to {html}")
    elif as_json:
        terminal.write_json(made.as_data())
    else:
        for line in to_text(made):
            terminal.write(line)

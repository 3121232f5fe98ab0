"""`handle`: the whole way, from a log to a proven repair, journaled to the database."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from devops_agent.cli import options, terminal

HANDLE = """\b
Examples:
  devops-agent handle deploy.log --inventory shop.yaml --dry-run     show the plan, stop before acting
  devops-agent handle deploy.log --inventory shop.yaml               ask where the policy asks
  devops-agent handle deploy.log --inventory shop.yaml --yes         approve what the policy asks about
  journalctl -u shop | devops-agent handle --inventory shop.yaml --json
"""
EXIT = {"resolved": 0, "no_failure": 0, "error": 1}


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command(epilog=HANDLE)(handle)


def handle(
    log: options.Log = "-",
    inventory: options.Inventory = None,
    policy: options.Policy = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Approve what the policy asks about, never what it denies.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Stop before anything is executed.")] = False,
    baseline: Annotated[Path | None, typer.Option(metavar="LOG", help="A passing log of the same job.")] = None,
    planner: options.Planner = None,
    as_json: options.Json = False,
) -> None:
    """Diagnose, plan, ask, repair, prove, and undo what did not help."""
    settings = options.settings(inventory=inventory, policy=policy, planner=planner)
    if baseline is not None:
        options.readable(baseline, "--baseline")
    source = options.source(log)
    from devops_agent import bootstrap, report

    with terminal.working("working on it"):
        found = bootstrap.handle_log(settings, source, yes=yes, dry_run=dry_run, baseline=baseline)
    if as_json:
        terminal.write_json(report.to_json(found))
    else:
        terminal.write(report.to_text(found).rstrip("\n"))
    raise typer.Exit(EXIT.get(found.status, 3))

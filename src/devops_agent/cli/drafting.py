"""`runbooks draft`: from an incident that was solved without a runbook to the runbook that solves the next one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from devops_agent.cli import options, terminal
from devops_agent.errors import ConfigError, RequestError

if TYPE_CHECKING:
    from devops_agent.planners.draft import Draft

HELP = """\b
Examples:
  devops-agent runbooks draft JOB                       show it, and what it would have matched
  devops-agent runbooks draft JOB --keep                ask, then keep it among your own (DEVOPS_AGENT_RUNBOOKS)
  devops-agent runbooks draft JOB --out drafts/         ask, then write it there
\b
Exit status: 0 nothing to look at; 2 the job is not one to learn from; 3 a person should look first.
"""
NEEDS_PERSON = 3


def draft_runbook(
    job: Annotated[str, typer.Argument(metavar="JOB", show_default=False)],
    out: Annotated[Path | None, typer.Option(metavar="FILE|DIR", help="Where to write it.", show_default=False)] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Write it into your own directory of runbooks.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="You have read it: do not ask.")] = False,
    as_json: options.Json = False,
) -> None:
    """Draft a runbook from a job that was diagnosed without one and is proven repaired.

    Its patterns are tried on healthy logs and on all kept incidents at once. Nothing is written unless you say so.
    """
    from devops_agent import bootstrap

    settings = options.settings()
    target = out or (settings.runbooks if keep else None)
    if keep and target is None:
        raise ConfigError("--keep: DEVOPS_AGENT_RUNBOOKS names no directory of own runbooks; or use --out")
    store = bootstrap.open_jobs(settings)
    with terminal.working("trying it on healthy logs and kept incidents"):
        made = bootstrap.draft_runbook(settings, store, job)
    written = None
    if not as_json:
        _show(made)
    if target is not None and _wanted(made, target, yes, as_json):
        from devops_agent.jobs import drafts

        written = drafts.keep(store, made, target, options.user())
    if as_json:
        terminal.write_json({**_json(made), "written": str(written) if written else None})
    elif written is not None:
        terminal.write(f"kept as {written}")
    raise typer.Exit(0 if made.sound else NEEDS_PERSON)


def _wanted(made: Draft, target: Path, yes: bool, as_json: bool) -> bool:
    if yes:
        return True
    if as_json or not sys.stdin.isatty():
        raise RequestError("--keep, --out: a person reads it first; say so at a terminal, or with --yes")
    return typer.confirm(f"Keep {made.id} in {target}?", default=False)


def _show(made: Draft) -> None:
    from devops_agent.cli import backtest

    terminal.write(made.text.rstrip())
    terminal.write()
    for each in made.remarks:
        terminal.write(f"look at it: {each}")
    for each in made.problems:
        terminal.write(f"wrong: {each}")
    backtest.show(made.trial)


def _json(made: Draft) -> dict[str, Any]:
    from devops_agent.cli import backtest

    told = {"id": made.id, "job": made.job, "runbook": made.text, "sound": made.sound}
    return {
        **told,
        "problems": list(made.problems),
        "remarks": list(made.remarks),
        "trial": backtest.as_data(made.trial),
    }

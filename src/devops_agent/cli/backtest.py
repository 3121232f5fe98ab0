"""`runbooks test`: what runbooks would have done to logs that are kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from devops_agent.cli import options, terminal
from devops_agent.errors import ConfigError, RequestError

if TYPE_CHECKING:
    from devops_agent.config import Settings
    from devops_agent.planners.backtest import Backtest, Stored

HELP = """\b
Examples:
  devops-agent runbooks test my-runbooks/ --logs old-logs/
  devops-agent runbooks test my-runbooks/disk_full_ceph.yaml
\b
Exit status: 0 nothing to look at; 2 a runbook is wrong; 3 a person should look: it would steal a log
from another runbook, change another answer, or name a cause on a healthy log.
"""
NEEDS_PERSON = 3


def try_runbooks(
    path: Annotated[
        Path | None,
        typer.Argument(
            metavar="PATH", help="A runbook or a directory of them; else your own directory.", show_default=False
        ),
    ] = None,
    logs: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Logs to try; those below a folder named quiet or healthy went well. Else: the kept incidents.",
            show_default=False,
        ),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Try runbooks on logs that are kept.

    Each log is diagnosed with them and without them: what they would match, win, newly steal from others, and how often
    they would name a cause on a healthy log. Nothing is probed, changed or stored.
    """
    from devops_agent.planners import backtest
    from devops_agent.runbooks.own import whole_library

    settings = options.settings()
    path = path or settings.runbooks
    if path is None:
        raise RequestError("PATH: name a runbook or a directory of them (or set DEVOPS_AGENT_RUNBOOKS)")
    known = whole_library(settings.runbooks if settings.runbooks != path else None)
    with_it, without_it, tested = backtest.split(known, path)
    kept = backtest.stored_logs(logs) if logs else _incidents(settings)
    with terminal.working("reading the logs"):
        made = backtest.backtest(with_it, without_it, tested, kept)
    if as_json:
        terminal.write_json(as_data(made))
    else:
        show(made)
    raise typer.Exit(NEEDS_PERSON if made.harmful else 0)


def _incidents(settings: Settings) -> Iterator[Stored]:
    """The incidents of the store, each with the log that it was reported with."""
    from devops_agent import bootstrap
    from devops_agent.planners.backtest import Stored

    if not settings.database_url and not Path(settings.data_dir, "devops_agent.db").exists():
        raise ConfigError("--logs: no incident is kept yet; name a directory of logs")
    store = bootstrap.open_jobs(settings)
    for row, incident in store.incidents():
        if incident.log:
            yield Stored(row.id, incident.log.encode("utf-8", "replace"), row.outcome == "no_failure")
        elif incident.log_file and Path(incident.log_file).is_file():
            yield Stored(row.id, Path(incident.log_file), row.outcome == "no_failure")


def show(made: Backtest) -> None:
    """What became of the logs, as text."""
    from devops_agent.planners.backtest import EFFECTS

    terminal.write(f"{len(made.runbooks)} runbooks, {made.logs} logs ({made.healthy} of them healthy)")
    for effect, meaning in EFFECTS.items():
        terminal.write(f"  {effect.replace('_', ' '):12} {made.count(effect):5}  {meaning}")
    if made.verdicts:
        terminal.write()
        rows = [
            (
                each.effect.replace("_", " "),
                each.before,
                f"{each.after} ({each.confidence:.2f})",
                ",".join(each.runbooks),
                each.log,
            )
            for each in made.verdicts
        ]
        terminal.table(("effect", "without", "with", "runbooks that match", "log"), rows)


def as_data(made: Backtest) -> dict[str, object]:
    """What became of the logs, as data."""
    from devops_agent.planners.backtest import EFFECTS

    return {
        "runbooks": list(made.runbooks),
        "logs": made.logs,
        "healthy": made.healthy,
        "harmful": made.harmful,
        "counts": {effect: made.count(effect) for effect in EFFECTS},
        "verdicts": [asdict(each) for each in made.verdicts],
    }

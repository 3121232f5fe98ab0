"""`watch`: follow files or journal units, and report the failures that are seen there."""

from __future__ import annotations

import logging
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from devops_agent.cli import options, terminal
from devops_agent.errors import RequestError

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from devops_agent.config import Settings
    from devops_agent.connect.watcher import Report, Watcher
    from devops_agent.jobs.store import Jobs
    from devops_agent.model import Incident

WATCH = """\b
Examples:
  devops-agent watch /var/log/shop/error.log
  devops-agent watch --unit shop --unit nginx --inventory shop.yaml
  DEVOPS_AGENT_KEY=… devops-agent watch app.log --url https://agent.example
"""


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command(epilog=WATCH)(watch)


def watch(
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="FILE…", help="Files to follow.", show_default=False)
    ] = None,
    unit: Annotated[
        list[str] | None, typer.Option(metavar="UNIT", help="A unit of the systemd journal.", show_default=False)
    ] = None,
    url: Annotated[
        str | None, typer.Option(help="Report to this service; else failures are worked on here.", show_default=False)
    ] = None,
    key_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Its key (or: DEVOPS_AGENT_KEY).", show_default=False)
    ] = None,
    place: Annotated[str | None, typer.Option(help="The place that they belong to.", show_default=False)] = None,
    quiet: Annotated[float, typer.Option(min=0.1, max=600, help="Seconds without lines that end a failure.")] = 2.0,
    longest: Annotated[float, typer.Option(min=1, max=3600, help="Seconds after which it ends anyway.")] = 30.0,
    cool_down: Annotated[float, typer.Option(min=0, help="Seconds in which an equal failure is passed over.")] = 300.0,
    from_start: Annotated[
        bool, typer.Option("--from-start", help="The first time, read what is in the files already, too.")
    ] = False,
    once: Annotated[bool, typer.Option("--once", help="End when what is there has been read.")] = False,
    inventory: options.Inventory = None,
    policy: options.Policy = None,
    planner: options.Planner = None,
) -> None:
    """Follow files or journal units and report failures.

    Lines that belong together are one failure; an equal one is passed over for a while. Files may be rotated or
    truncated. Started again it goes on where it was, also with what came meanwhile. Without --url each failure is
    handled here, as by `handle`; a plan that needs approval waits for `devops-agent approve`.
    """
    if not files and not unit:
        raise RequestError("FILE: missing; name files to follow, or units with --unit")
    from devops_agent.connect import positions
    from devops_agent.connect.follow import FollowedFile, FollowedUnits, Source
    from devops_agent.connect.watcher import Watcher, to_service

    settings = options.settings(inventory=inventory, policy=policy, planner=planner)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    report: Report
    if url is not None:
        report = to_service(_address(url), _key(key_file), place, {"host": os.uname().nodename})
    else:
        report = _here(settings, place)
    sources: list[Source] = []
    known = []
    for name in (*(str(each.absolute()) for each in files or ()), *([", ".join(unit)] if unit else [])):
        receiver = f"{url or ''}\n{place or ''}"
        known.append(positions.Position() if once else positions.kept(settings.data_dir, name, receiver))
    for each, position in zip(files or (), known, strict=False):
        sources.append(FollowedFile(_followable(each, once), from_start or once, position.mark))
    if unit:
        sources.append(FollowedUnits(unit, known[-1].mark))
    watcher = Watcher(sources, report, quiet, longest, cool_down, known)
    _follow(watcher, once)


def _follow(watcher: Watcher, once: bool) -> None:
    """Until somebody ends it, or what is there has been read."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: watcher.stop())
    if not once:
        names = ", ".join(each[0].name for each in watcher.sources)
        terminal.remark(f"watching {names}; end with Ctrl-C")
    watcher.run(once)
    if once and watcher.lost:
        raise typer.Exit(1)


def _here(settings: Settings, place: str | None) -> Report:
    """Works on failures in this process, one after the other."""
    from devops_agent import bootstrap
    from devops_agent.cli.repair import terms
    from devops_agent.connect.watcher import title

    agent = bootstrap.build_agent(settings)
    if place is not None and place not in agent.places:
        raise RequestError(f"--place: no place {place!r} (known: {', '.join(sorted(agent.places))})")
    jobs = bootstrap.open_jobs(settings)
    worker = bootstrap.build_worker(settings, jobs, agent)
    chosen: dict[str, Any] = terms(settings) if place is None else {}

    def report(failure: Any) -> None:
        made = bootstrap.make_incident(failure.text, settings, "watch", title(failure), place)
        made = made.model_copy(update={"labels": {"source": failure.source[:500]}})
        name = _submitted(jobs, made, failure.name, chosen)
        worker.work_until_answered(name)
        found = jobs.report(name)
        terminal.report(f"{name}  {found.status}  {failure.source}\n  {found.summary}")
        sys.stdout.flush()

    return report


def _submitted(jobs: Jobs, made: Incident, name: str, options: dict[str, Any]) -> str:
    """The failure's job; one that was submitted just before all ended is not submitted again."""
    from devops_agent.jobs import intake, replies

    order = intake.order([made], requester="watch", options=options)

    def put(connection: Connection) -> str:
        intake.put(connection, [order])
        return order.batch.id

    return replies.once(jobs.engine, "watch", name, "failure", put)[0]


def _followable(path: Path, once: bool) -> Path:
    """A file that is there and can be read, or may come yet."""
    if path.is_dir():
        raise RequestError(f"FILE: {path} is a directory; name a file")
    if path.exists():
        return options.readable(path, "FILE")
    if once:
        raise RequestError(f"FILE: {path}: no such file")
    if not path.parent.is_dir():
        raise RequestError(f"FILE: {path.parent}: no such directory")
    terminal.remark(f"{path} is not there yet")
    return path


def _address(url: str) -> str:
    from devops_agent.connect.settings import address

    try:
        return address(url)
    except ValueError as error:
        raise RequestError(f"--url: {error}") from None


def _key(file: Path | None) -> str | None:
    if file is not None:
        return options.readable(file, "--key-file").read_text(encoding="utf-8").strip()
    return os.environ.get("DEVOPS_AGENT_KEY")

"""`handle`: the whole way, from a log to a proven repair, journaled to the database."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer

from devops_agent.cli import options, terminal
from devops_agent.errors import ConfigError

if TYPE_CHECKING:
    from devops_agent.config import Settings
    from devops_agent.jobs.store import Jobs
    from devops_agent.jobs.worker import Worker
    from devops_agent.model import Report

HANDLE = """\b
Examples:
  devops-agent handle deploy.log --inventory shop.yaml --dry-run     show the plan, stop before acting
  devops-agent handle deploy.log --inventory shop.yaml               ask where the policy asks
  devops-agent handle deploy.log --inventory shop.yaml --yes         approve what the policy asks about
  devops-agent handle deploy.log --inventory shop.yaml --show-request
                                                                     what a model would be sent; sends nothing
  journalctl -u shop | devops-agent handle --inventory shop.yaml --json
  devops-agent handle build.log --dry-run --markdown >> "$GITHUB_STEP_SUMMARY"
"""
EXIT = {"resolved": 0, "no_failure": 0, "error": 1}
EXIT_PERSON = 3


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
    show_request: Annotated[
        bool, typer.Option("--show-request", help="Print what a model would be sent, redacted, and send nothing.")
    ] = False,
    as_json: options.Json = False,
    markdown: options.Markdown = False,
) -> None:
    """Diagnose, plan, ask, repair, prove, and undo what did not help."""
    options.one_form(as_json, markdown)
    settings = options.settings(inventory=inventory, policy=policy, planner=planner)
    chosen = {"yes": yes, "by": f"{options.user()} (--yes)", "dry_run": dry_run, **terms(settings)}
    source = options.source(log)
    passing = options.readable(baseline, "--baseline") if baseline else None
    from devops_agent import bootstrap

    if show_request:
        raise typer.Exit(_show_request(settings, source, passing))
    jobs = bootstrap.open_jobs(settings)
    worker = bootstrap.build_worker(settings, jobs, bootstrap.build_agent(settings))
    with terminal.working("reading the log"):
        incident = bootstrap.read_incident(source, settings, passing)
    name = jobs.submit([incident], requester=options.user(), options=chosen).jobs[0]
    with stopping(name, jobs, settings):
        found = finish(name, jobs, worker, asking=log != "-" and not (as_json or markdown))
    show(name, found, as_json, markdown)


def _show_request(settings: Settings, source: Path | BinaryIO, passing: Path | None) -> int:
    """Print the first request of this incident. Only probes and health checks are run, as they would be before it."""
    from devops_agent import bootstrap

    with terminal.working("looking"):
        incident = bootstrap.read_incident(source, settings, passing)
        try:
            found = bootstrap.first_request(incident, settings)
        finally:
            for file in filter(None, (incident.log_file, incident.baseline_file)):
                Path(file).unlink(missing_ok=True)
    if isinstance(found, str):
        terminal.remark(f"nothing would be sent: {found}")
    else:
        terminal.write_json(found)
    return 0


def finish(name: str, jobs: Jobs, worker: Worker, asking: bool) -> Report:
    """Work on a job of the command line until it is over, asking at the terminal where a person sits there."""
    asking = asking and sys.stdin.isatty() and sys.stdout.isatty()
    while True:
        with terminal.working("working on it") as said:
            worker.work_until_answered(name, lambda: said(f"working on it, {jobs.job(name).progress} %"))
        found = jobs.report(name)
        if found.status != "needs_approval" or not asking:
            return found
        from devops_agent import render

        terminal.report(render.to_text(found).rstrip("\n"))
        request = found.attempts[-1].request
        try:
            granted = typer.confirm("Carry this plan out?", default=False)
        except typer.Abort:  # Ctrl-C or Ctrl-D: said nothing, so it goes on waiting
            terminal.remark(f"\nnothing was done; {name} goes on waiting for approval")
            raise typer.Exit(EXIT_PERSON) from None
        jobs.decide(name, granted, options.user(), "at the terminal", request.fingerprint if request else None)


@contextmanager
def stopping(name: str, jobs: Jobs, settings: Settings) -> Iterator[None]:
    """Told to stop (Ctrl-C, SIGTERM), end what runs, and the job too: no server shall go on with it later."""
    from devops_agent.tools import children

    over = threading.Event()

    def end_commands() -> None:
        """Again and again: a command may just be starting, and others may be about to."""
        while not over.is_set():
            children.end_own(settings.data_dir)
            over.wait(0.05)

    def stop(number: int, _frame: Any) -> None:
        threading.Thread(target=end_commands, daemon=True).start()
        raise KeyboardInterrupt(signal.Signals(number).name)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    except KeyboardInterrupt as told:
        by = str(told) or "SIGINT"
        jobs.cancel(name, options.user(), f"ended by {by} at the command line")
        terminal.remark(f"{name} was ended; `devops-agent job {name}` shows how far it came")
        raise typer.Exit(143 if by == "SIGTERM" else 130) from None
    finally:
        over.set()
        for number, handler in before.items():
            signal.signal(number, handler)


def show(name: str, found: Report, as_json: bool, markdown: bool = False) -> None:
    """Print the report, say how to go on, and leave with the exit status of its status."""
    from devops_agent import render, report

    if as_json:
        terminal.write_json(report.to_json(found))
    elif markdown:
        terminal.write(render.to_markdown(found).rstrip("\n"))
    else:
        terminal.report(render.to_text(found).rstrip("\n"))
    if found.status == "needs_approval" and as_json:
        terminal.remark(f"approve it with `devops-agent approve {name}`, or deny it with `devops-agent deny {name}`")
    raise typer.Exit(EXIT.get(found.status, EXIT_PERSON))


def terms(settings: Settings) -> dict[str, Any]:
    """Policy and place of this command: kept with the job, so that whoever goes on with it keeps to them too."""
    policy = str(settings.policy.absolute()) if settings.policy else None
    return {"policy": policy, "read_only": settings.read_only, **_place(settings)}


def _place(settings: Settings) -> dict[str, Any]:
    """The one inventory file to use."""
    if settings.inventory is None:
        return {}
    from devops_agent.inventory import load, load_all

    path = settings.inventory.absolute()
    if path.is_dir():
        places = load_all(path)
        if len(places) > 1:
            raise ConfigError(f"--inventory: {path} holds several places ({', '.join(places)}); name one of the files")
        path = next(each for each in sorted(path.glob("*.y*ml")))
    load(path)
    return {"inventory": str(path)}

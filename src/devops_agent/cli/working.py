"""`worker`, `workers`: working on the jobs of a database that several machines share."""

from __future__ import annotations

from typing import Annotated

import typer

from devops_agent.cli import options, terminal

WORKER = """\b
Examples:
  devops-agent worker --inventory places/
  devops-agent worker --inventory places/ --labels network=dmz --jobs 8
  devops-agent worker --inventory places/ --places shop,bank
"""


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command(epilog=WORKER, short_help="Work on jobs of a shared database, without serving HTTP.")(worker)
    app.command(short_help="The workers that share this database.")(workers)


def worker(
    labels: Annotated[
        str | None,
        typer.Option(metavar="NAME=VALUE,...", help="What this worker is labelled with.", show_default=False),
    ] = None,
    places: Annotated[
        str | None,
        typer.Option(metavar="PLACE,...", help="Only jobs of these places.", show_default=False),
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, max=64, help="Jobs worked on at the same time.", show_default=False)
    ] = None,
    inventory: options.Inventory = None,
    policy: options.Policy = None,
    planner: options.Planner = None,
) -> None:
    """Work on jobs until ended by Ctrl-C or SIGTERM, without serving HTTP.

    Any number of workers on any number of machines share the Postgres that DEVOPS_AGENT_DATABASE_URL names. A job goes
    to a worker that knows its place and has the labels that the place's inventory asks for (`worker:`).
    """
    settings = options.settings(
        worker_labels=labels, worker_places=places, workers=jobs, inventory=inventory, policy=policy, planner=planner
    )
    from devops_agent import bootstrap

    bootstrap.work(settings)


def workers(as_json: options.Json = False) -> None:
    """The workers that share this database, and when they were last heard of."""
    from dataclasses import asdict

    from devops_agent import bootstrap
    from devops_agent.jobs import distributed

    rows = distributed.roll(bootstrap.open_jobs(options.settings()).engine)
    if as_json:
        told = [asdict(each) | {"alive": each.alive} for each in rows]
        terminal.write_json([each | {key: each[key].isoformat() for key in ("started", "seen")} for each in told])
        return
    if not rows:
        terminal.hint("no worker has been there within the last day (on SQLite none says so)")
        return
    terminal.table(
        ("worker", "version", "labels", "places", "last seen (UTC)", ""),
        [
            (
                each.owner,
                each.version,
                ",".join(f"{name}={value}" for name, value in each.labels.items()),
                ",".join(each.places),
                f"{each.seen:%Y-%m-%d %H:%M:%S}",
                "" if each.alive else "silent",
            )
            for each in rows
        ],
    )

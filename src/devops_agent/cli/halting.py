"""`halt`, `resume`, `halts`: the kill switch for all machines. They work on the database, also while services run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from devops_agent.cli import options, terminal
from devops_agent.errors import NotFound

if TYPE_CHECKING:
    from devops_agent.jobs.halts import Halt
    from devops_agent.jobs.store import Jobs

HALT = """\b
Examples:
  devops-agent halt "wrong repairs in shop, we are looking"
  devops-agent halt "migration tonight" --place shop
  devops-agent halts                            what stands still, and why
  devops-agent resume                           go on, everywhere
"""
Place = Annotated[
    str | None, typer.Option(metavar="PLACE", help="Only this place; everywhere unless given.", show_default=False)
]


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command(epilog=HALT, short_help="Let nothing be changed from now on, on any machine.")(halt)
    app.command(short_help="Go on after a halt.")(resume)
    app.command(short_help="What stands still, and why.")(halts)


def halt(
    reason: Annotated[str, typer.Argument(metavar="[REASON]", help="Why; shown to everybody.")] = "",
    place: Place = None,
    as_json: options.Json = False,
) -> None:
    """Let nothing be changed from now on, by any worker on any machine that uses this database: the kill switch.

    Logs are still diagnosed and plans made. What has begun ends before its next action and says so; it is not made up
    for later. A file named STOP in the data directory does the same for one machine, without the database.
    """
    from devops_agent.jobs import halts as store

    jobs = _jobs()
    if place is not None:
        store.require_known(place, _places())
    made = store.halt(jobs.engine, options.user(), reason, place)
    _told([made], as_json)


def resume(
    name: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="This halt; all in force unless given.", show_default=False)
    ] = None,
    place: Place = None,
    as_json: options.Json = False,
) -> None:
    """Go on: end the halts in force, or one of them, or those of one place alone."""
    from devops_agent.jobs import halts as store

    engine = _jobs().engine
    found = store.listed(engine) if name is None else [store.by_id(engine, name)]
    found = [each for each in found if place is None or each.place == place]
    if not found:
        raise NotFound("nothing stands still" + (f" in {place}" if place else ""))
    _told([store.end(engine, each.id, options.user()) for each in found], as_json)


def halts(
    every: Annotated[bool, typer.Option("--all", help="Also those that are over.")] = False,
    as_json: options.Json = False,
) -> None:
    """What stands still, since when and why. Exit status 3 while anything does."""
    from devops_agent.jobs import halts as store

    found = store.listed(_jobs().engine, ended=every)
    if found or as_json:
        _told(found, as_json)
    else:
        terminal.hint("nothing stands still")
    raise typer.Exit(3 if any(each.ended is None for each in found) else 0)


def _told(found: list[Halt], as_json: bool) -> None:
    if as_json:
        terminal.write_json([each.record() for each in found])
        return
    terminal.table(
        ("id", "place", "since (UTC)", "by", "state", "reason"),
        [
            (each.id, each.place or "everywhere", f"{each.since:%Y-%m-%d %H:%M:%S}", each.by, _state(each), each.reason)
            for each in found
        ],
    )


def _state(halt: Halt) -> str:
    return "in force" if halt.ended is None else f"ended {halt.ended:%Y-%m-%d %H:%M} by {halt.ended_by}"


def _jobs() -> Jobs:
    from devops_agent import bootstrap

    return bootstrap.open_jobs(options.settings())


def _places() -> list[str]:
    from devops_agent.inventory import load_all

    return list(load_all(options.settings().inventory))

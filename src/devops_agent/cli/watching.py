"""`jobs --watch`: what the page shows, for those who live in a terminal."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from devops_agent.render import clean

if TYPE_CHECKING:
    from rich.console import Group

    from devops_agent.jobs.store import JobRow, Jobs

EVERY = 0.5
"""Seconds between two looks at what happened."""
AGAIN = 15.0
"""Seconds after which times that pass are drawn anew on a terminal, although nothing happened."""
COLOURS = {"resolved": "green", "no_failure": "green", "error": "red", "unresolved": "red", "needs_person": "yellow"}


def watch(store: Jobs, limit: int) -> None:
    """Show what waits, what is open, what runs and what was solved, until Ctrl-C; drawn anew when something happens."""
    from rich.console import Console
    from rich.live import Live

    from devops_agent.jobs import feed

    seen, drawn = -1, 0.0
    console = Console()
    with Live(console=console, screen=console.is_terminal, auto_refresh=False) as live, suppress(KeyboardInterrupt):
        while True:
            newest = feed.newest(store.engine)
            if newest != seen or (console.is_terminal and time.monotonic() - drawn > AGAIN):
                seen, drawn = newest, time.monotonic()
                made = picture(store, limit)
                if console.is_terminal:
                    live.update(made, refresh=True)
                else:
                    console.print(made)
            time.sleep(EVERY)


def picture(store: Jobs, limit: int) -> Group:
    """Everything that a person should see at this moment."""
    from rich.console import Group
    from rich.text import Text

    from devops_agent.jobs import overview

    waiting = [store.job(each) for each in overview.waiting_since(store.engine, limit=limit)]
    groups, open_count = overview.open_groups(store.engine, limit=limit)
    solved, solved_count, alone = overview.solved(store.engine, limit=limit)
    running = [*store.list(status="running", limit=limit), *store.list(status="queued", limit=limit)][:limit]
    head = Text(_headline(len(waiting), open_count, len(running)), style="bold yellow" if waiting else "bold green")
    parts: list[Any] = [head, Text()]
    parts += _part("Waits for your decision", [_waiting(store, row) for row in waiting])
    parts += _part(
        f"Needs a person ({open_count})",
        [(each.job, each.outcome, f"×{each.count}" if each.count > 1 else "", each.title) for each in groups],
    )
    parts += _part("At work", [(row.id, row.waiting or row.status, f"{row.progress} %", row.title) for row in running])
    parts += _part(
        f"Solved in the last 24 hours ({solved_count}, {alone} without a person)",
        [(each.job, "resolved", f"{each.seconds:.0f} s", each.title) for each in solved],
    )
    parts.append(Text("devops-agent job ID tells all about one; approve ID, deny ID decide; Ctrl-C ends this", "dim"))
    return Group(*parts)


def _headline(waiting: int, open_count: int, running: int) -> str:
    if waiting:
        return f"{waiting} {'plan waits' if waiting == 1 else 'plans wait'} for you"
    if open_count:
        return f"{open_count} {'incident needs' if open_count == 1 else 'incidents need'} a person"
    return "At work" if running else "All is quiet"


def _waiting(store: Jobs, row: JobRow) -> tuple[str, str, str, str]:
    report = store.report(row.id)
    plan = report.attempts[-1].plan if report.attempts else None
    request = report.attempts[-1].request if report.attempts else None
    tools = ", ".join(action.tool for action in plan.actions) if plan else ""
    until = f"until {request.expires:%H:%M} UTC" if request else ""
    return row.id, "approval", until, f"{row.title}  →  {tools}"


def _part(title: str, rows: Iterable[tuple[str, str, str, str]]) -> list[Any]:
    from rich.table import Table
    from rich.text import Text

    found = list(rows)
    if not found:
        return []
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False, expand=True)
    table.add_column(no_wrap=True, style="dim")
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, style="dim")
    table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    for job, state, more, text in found:
        name = state.replace("_", " ")
        table.add_row(job, Text(name, COLOURS.get(state, "cyan")), more, Text(clean(text, 300)))
    return [Text(title, "bold"), table, Text()]

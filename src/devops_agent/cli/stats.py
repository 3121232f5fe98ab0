"""`stats`: what fails most, what stays unknown, which rules never fire."""

from __future__ import annotations

from typing import Any

import typer

from devops_agent.cli import options, terminal

STATS = """\b
Examples:
  devops-agent stats
  devops-agent stats --json
"""


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command(epilog=STATS, short_help="What fails most, what stays unknown, what was solved.")(stats)


def stats(as_json: options.Json = False) -> None:
    """What fails most, what stays unknown, which runbooks never fire, and what was solved without a person.

    Counted since the data directory was made; forgetting old incidents does not forget the counts.
    """
    from devops_agent import bootstrap
    from devops_agent.jobs.statistics import statistics
    from devops_agent.runbooks.own import whole_library

    settings = options.settings()
    library = whole_library(settings.runbooks)
    said = statistics(bootstrap.open_jobs(settings).engine, library.runbooks)
    if as_json:
        terminal.write_json(said)
        return
    solved = said["solved"]
    terminal.write(f"{said['answers']} answers; by outcome: {_pairs(said['jobs_by_outcome'])}")
    terminal.write(
        f"repaired and proven: {solved['repaired']} of {solved['acted']}, "
        f"{solved['without_a_person']} of them without a person"
    )
    _table("What fails most", "cause", said["fails_most"])
    _table("Corrected most", "runbook", said["corrected_most"])
    if said["stays_unknown"]:
        terminal.write("\nWhat stays unknown")
        rows = [(str(each["times"]), each["last"][:19], each["example"]) for each in said["stays_unknown"]]
        terminal.table(("times", "last (UTC)", "example"), rows)
    if said["models"]:
        terminal.write("\nWhat asking models cost")
        costs = [
            (each["day"], each["caller"] or "all", str(each["calls"]), str(each["tokens"]), f"${each['dollars']:.4f}")
            for each in said["models"]
        ]
        terminal.table(("day (UTC)", "caller", "calls", "tokens", "dollars"), costs)
    silent = said["never_fired"]
    terminal.write(f"\n{len(silent)} of {len(library.runbooks)} runbooks have never fired (--json names them)")


def _table(title: str, first: str, rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    terminal.write(f"\n{title}")
    shown = [
        (
            each[first],
            str(each["fired"]),
            "" if each["right"] is None else f"{each['right']:.2f} of {each['judged']}",
            f"{each['resolved']} of {each['acted']}",
        )
        for each in rows
    ]
    terminal.table((first, "times", "right, of judged", "remedy helped"), shown)


def _pairs(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {number}" for name, number in sorted(counts.items())) or "none yet"

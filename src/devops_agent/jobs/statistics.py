"""Statistics over everything that was counted: what fails most, what stays unknown, which rules never fire."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine, func, select

from devops_agent.jobs.spending import spent
from devops_agent.jobs.tables import experience, jobs, reading
from devops_agent.model import UNKNOWN

MOST = 20
DAYS = 7
"""What asking models cost is told for so many of the latest days on which one was asked."""


def statistics(engine: Engine, runbooks: Iterable[str], most: int = MOST) -> dict[str, Any]:
    """Everything that `devops-agent stats` and GET /stats tell, as plain JSON values."""
    with reading(engine) as connection:
        ended = select(jobs.c.outcome, func.count()).where(jobs.c.outcome.is_not(None)).group_by(jobs.c.outcome)
        outcomes: dict[str, int] = {row[0]: row[1] for row in connection.execute(ended)}
        sums = [func.sum(experience.c[name]).label(name) for name in _SUMMED]
        causes = connection.execute(
            select(experience.c.cause, *sums).where(experience.c.cause != UNKNOWN).group_by(experience.c.cause)
        ).all()
        unknown = connection.execute(
            select(experience)
            .where(experience.c.cause == UNKNOWN)
            .order_by(experience.c.fired.desc(), experience.c.last.desc())
            .limit(most)
        ).all()
        rules = connection.execute(
            select(experience.c.runbook, *sums).where(experience.c.runbook != "").group_by(experience.c.runbook)
        ).all()
        total = connection.execute(select(*sums)).one()
    fired = {each.runbook for each in rules if each.fired}
    return {
        "answers": total.fired or 0,
        "jobs_by_outcome": outcomes,
        "fails_most": [
            {"cause": each.cause, **_counts(each)} for each in sorted(causes, key=lambda row: (-row.fired, row.cause))
        ][:most],
        "stays_unknown": [
            {
                "fingerprint": each.fingerprint,
                "times": each.fired,
                "example": each.title,
                "last": datetime.fromtimestamp(each.last, UTC).isoformat(),
            }
            for each in unknown
        ],
        "corrected_most": [
            {"runbook": each.runbook, **_counts(each)}
            for each in sorted(rules, key=lambda row: (-row.corrected, row.runbook))
            if each.corrected
        ][:most],
        "by_runbook": [
            {"runbook": each.runbook, **_counts(each)} for each in sorted(rules, key=lambda row: row.runbook)
        ],
        "solved": {"repaired": total.resolved or 0, "without_a_person": total.alone or 0, "acted": total.acted or 0},
        "never_fired": sorted(set(runbooks) - fired),
        "models": [
            {
                "day": each.day,
                "caller": each.account,
                "calls": each.calls,
                "tokens": each.tokens,
                "dollars": each.dollars,
            }
            for each in spent(engine, DAYS)
        ],
    }


_SUMMED = ("fired", "confirmed", "corrected", "acted", "resolved", "alone", "right", "wrong")


def _counts(row: Any) -> dict[str, Any]:
    judged = row.right + row.wrong
    return {
        "fired": row.fired,
        "confirmed": row.confirmed,
        "corrected": row.corrected,
        "acted": row.acted,
        "resolved": row.resolved,
        "right": round(row.right / judged, 3) if judged else None,
        "judged": judged,
    }

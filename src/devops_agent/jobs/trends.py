"""How it went day by day: what came in, what became of it, how long it took."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import Engine, and_, case, func, select

from devops_agent.jobs.overview import Places, within
from devops_agent.jobs.spending import ALL
from devops_agent.jobs.tables import jobs, reading, spendings
from devops_agent.model import UNKNOWN, now

OUTCOMES = ("resolved", "no_failure", "planned", "needs_person", "unresolved", "error")
TIMES = ((1.0, "1 s"), (10.0, "10 s"), (60.0, "1 min"), (600.0, "10 min"), (3600.0, "1 h"), (None, "longer"))
"""Upper bounds in seconds within which an answer or a solution came, and what they are called."""
DAY = 86400


@dataclass(frozen=True)
class Day:
    """One day (UTC): how many incidents by outcome, and how many whose cause stayed unknown."""

    date: date
    outcomes: dict[str, int] = field(default_factory=dict)
    unknown: int = 0

    @property
    def total(self) -> int:
        """All incidents of the day that have ended."""
        return sum(self.outcomes.values())


def days(engine: Engine, count: int = 30, places: Places = None) -> list[Day]:
    """The last so many days, oldest first, also those without any incident."""
    today = now().astimezone(UTC).date()
    dates = [today - timedelta(days=back) for back in range(count - 1, -1, -1)]
    begins = [datetime(each.year, each.month, each.day, tzinfo=UTC).timestamp() for each in dates]
    number: Any = case(*((jobs.c.created < begin + DAY, index) for index, begin in enumerate(begins)), else_=count - 1)
    unknown = func.sum(case((and_(jobs.c.cause == UNKNOWN, jobs.c.outcome != "no_failure"), 1), else_=0))
    query = (
        select(number.label("day"), jobs.c.outcome, func.count().label("number"), unknown.label("unknown"))
        .where(jobs.c.created >= begins[0], jobs.c.outcome.is_not(None), within(places))
        .group_by(number, jobs.c.outcome)
    )
    outcomes: list[dict[str, int]] = [{} for _ in dates]
    unknowns = [0] * count
    with reading(engine) as connection:
        for row in connection.execute(query):
            outcomes[row.day][row.outcome] = row.number
            unknowns[row.day] += row.unknown or 0
    return [Day(*each) for each in zip(dates, outcomes, unknowns, strict=True)]


def times(engine: Engine, count: int = 30, places: Places = None) -> list[tuple[str, int, int]]:
    """In how many cases an answer, and in how many a proven repair, came within each of the bounds."""
    since = now().timestamp() - count * DAY
    took = jobs.c.finished - jobs.c.created
    solved = jobs.c.outcome == "resolved"
    columns: list[Any] = []
    lower = -1.0
    for number, (upper, _) in enumerate(TIMES):
        so_long = and_(took > lower, took <= upper) if upper is not None else took > lower
        columns.append(func.sum(case((so_long, 1), else_=0)).label(f"all{number}"))
        columns.append(func.sum(case((and_(so_long, solved), 1), else_=0)).label(f"good{number}"))
        lower = upper or lower
    with reading(engine) as connection:
        query = select(*columns).where(jobs.c.created >= since, jobs.c.finished.is_not(None), within(places))
        row = connection.execute(query).mappings().one()
    return [(name, row[f"all{number}"] or 0, row[f"good{number}"] or 0) for number, (_, name) in enumerate(TIMES)]


def costs(engine: Engine, count: int = 30, account: str = ALL) -> list[tuple[date, float]]:
    """What models cost on each of the last days, in US dollars, all callers or one; nothing where none was asked."""
    today = now().astimezone(UTC).date()
    dates = [today - timedelta(days=back) for back in range(count - 1, -1, -1)]
    these = (spendings.c.account == account, spendings.c.day >= dates[0].isoformat())
    query = select(spendings.c.day, spendings.c.dollars).where(*these)
    with reading(engine) as connection:
        sums: dict[str, float] = {row[0]: float(row[1] or 0) for row in connection.execute(query)}
    return [(each, sums.get(each.isoformat(), 0.0)) for each in dates] if sums else []

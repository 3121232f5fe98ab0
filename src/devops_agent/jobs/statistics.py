"""Statistics over everything that was counted: what fails most, what stays unknown, which rules never fire.

Who sees some places only is told what became of the jobs that are kept of these (`limited`): the counts that planners
learn from know no places.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Engine, Row, and_, case, exists, func, or_, select

from devops_agent.jobs import experience as learnt
from devops_agent.jobs.overview import Places, within
from devops_agent.jobs.spending import spent
from devops_agent.jobs.tables import audit, experience, jobs, reading, repairs, verdicts
from devops_agent.model import UNKNOWN

MOST = 20
DAYS = 7
"""What asking models cost is told for so many of the latest days on which one was asked."""


@dataclass(frozen=True)
class View:
    """Whose statistics: jobs of these places only, and of what models cost only what this account had to pay."""

    places: Places = None
    account: str | None = None


ALL = View()


def statistics(engine: Engine, runbooks: Iterable[str], most: int = MOST, view: View = ALL) -> dict[str, Any]:
    """Everything that `devops-agent stats` and GET /stats tell, as plain JSON values."""
    with reading(engine) as connection:
        ended = select(jobs.c.outcome, func.count()).where(jobs.c.outcome.is_not(None), within(view.places))
        outcomes = {row[0]: row[1] for row in connection.execute(ended.group_by(jobs.c.outcome))}
        counted = _counted(connection) if view.places is None else limited(connection, view.places)
        unknown = _unknown(connection, most) if view.places is None else _unknown_of(connection, view.places, most)
    total = _added(counted)
    causes = _by(counted, "cause")
    rules = [each for each in _by(counted, "runbook") if each["runbook"]]
    fired = {each["runbook"] for each in rules if each["fired"]}
    worst = sorted(causes, key=lambda row: (-row["fired"], row["cause"]))
    corrected = sorted(rules, key=lambda row: (-row["corrected"], row["runbook"]))
    return {
        "answers": total["fired"],
        "jobs_by_outcome": outcomes,
        "fails_most": [{"cause": each["cause"], **_counts(each)} for each in worst if each["cause"] != UNKNOWN][:most],
        "stays_unknown": [
            {
                "fingerprint": each.fingerprint,
                "times": each.fired,
                "example": each.title,
                "last": datetime.fromtimestamp(each.last, UTC).isoformat(),
            }
            for each in unknown
        ],
        "corrected_most": [{"runbook": each["runbook"], **_counts(each)} for each in corrected if each["corrected"]][
            :most
        ],
        "by_runbook": [
            {"runbook": each["runbook"], **_counts(each)} for each in sorted(rules, key=lambda row: row["runbook"])
        ],
        "solved": {"repaired": total["resolved"], "without_a_person": total["alone"], "acted": total["acted"]},
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
            if view.account in (None, each.account)
        ],
    }


def of_runbook(engine: Engine, runbook: str, places: Places = None) -> list[learnt.Counted]:
    """The counts of each finding of a runbook that ever fired."""
    if places is None:
        return learnt.of_runbook(engine, runbook)
    with reading(engine) as connection:
        rows = _by(limited(connection, places, runbook), "finding")
    names = ("finding", "fired", "confirmed", "corrected", "acted", "resolved", "right")
    return [
        learnt.Counted(**{name: row[name] for name in names}, judged=row["right"] + row["wrong"])
        for row in sorted(rows, key=lambda row: str(row["finding"]))
    ]


def limited(connection: Connection, places: Places, runbook: str | None = None) -> Sequence[Mapping[str, Any]]:
    """The counts of the jobs kept of these places, by runbook, finding and cause."""
    acted = select(repairs.c.job, func.max(repairs.c.helped).label("helped")).group_by(repairs.c.job).subquery()
    proved = and_(acted.c.helped == 1, jobs.c.outcome == "resolved")
    person = exists().where(audit.c.job == jobs.c.id, audit.c.event == "approved", audit.c.actor != "policy")
    right = or_(verdicts.c.confirmed == 1, and_(verdicts.c.job.is_(None), proved))
    counts = {
        "confirmed": verdicts.c.confirmed == 1,
        "corrected": verdicts.c.confirmed == 0,
        "acted": acted.c.job.is_not(None),
        "resolved": proved,
        "alone": and_(proved, ~person),
        "right": right,
        "wrong": verdicts.c.confirmed == 0,
    }
    names = [func.coalesce(jobs.c[name], "").label(name) for name in ("runbook", "finding")]
    sums = [func.sum(case((which, 1), else_=0)).label(name) for name, which in counts.items()]
    answered = and_(jobs.c.cause.is_not(None), jobs.c.outcome.is_not(None), jobs.c.outcome != "no_failure")
    query = (
        select(*names, jobs.c.cause, func.count().label("fired"), *sums)
        .select_from(jobs.outerjoin(verdicts, verdicts.c.job == jobs.c.id).outerjoin(acted, acted.c.job == jobs.c.id))
        .where(answered, within(places))
        .group_by(*names, jobs.c.cause)
    )
    if runbook is not None:
        query = query.where(jobs.c.runbook == runbook)
    return [dict(row) for row in connection.execute(query).mappings()]


def _counted(connection: Connection) -> Sequence[Mapping[str, Any]]:
    """The counts of all that was ever answered, by runbook and cause."""
    sums = [func.sum(experience.c[name]).label(name) for name in _SUMMED]
    names = (experience.c.runbook, experience.c.cause)
    return [dict(row) for row in connection.execute(select(*names, *sums).group_by(*names)).mappings()]


def _unknown(connection: Connection, most: int) -> Sequence[Row[Any]]:
    query = select(experience).where(experience.c.cause == UNKNOWN)
    return connection.execute(query.order_by(experience.c.fired.desc(), experience.c.last.desc()).limit(most)).all()


def _unknown_of(connection: Connection, places: Places, most: int) -> Sequence[Row[Any]]:
    """What is alike in jobs without a known cause is told by their titles: the line that is decisive, mostly."""
    fired, last = func.count().label("fired"), func.max(jobs.c.created).label("last")
    named = func.coalesce(func.max(jobs.c.fingerprint), "").label("fingerprint")
    stays = and_(jobs.c.cause == UNKNOWN, jobs.c.outcome != "no_failure", within(places))
    query = select(jobs.c.title, named, fired, last).where(stays).group_by(jobs.c.title)
    return connection.execute(query.order_by(fired.desc(), last.desc()).limit(most)).all()


_SUMMED = ("fired", "confirmed", "corrected", "acted", "resolved", "alone", "right", "wrong")


def _by(rows: Iterable[Mapping[str, Any]], name: str) -> list[dict[str, Any]]:
    """The rows added up by one of their names."""
    groups: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        groups[row[name]].append(row)
    return [{name: value, **_added(group)} for value, group in groups.items()]


def _added(rows: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    found = dict.fromkeys(_SUMMED, 0)
    for row in rows:
        for name in _SUMMED:
            found[name] += int(row[name] or 0)
    return found


def _counts(row: Mapping[str, Any]) -> dict[str, Any]:
    judged = row["right"] + row["wrong"]
    told = {name: row[name] for name in ("fired", "confirmed", "corrected", "acted", "resolved")}
    return told | {"right": round(row["right"] / judged, 3) if judged else None, "judged": judged}

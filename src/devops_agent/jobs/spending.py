"""What calls to models cost, by day (UTC) and caller, over all incidents and processes; caps hold before a call.

A call puts aside the most that it could cost, in one statement that also looks at the cap, so that many at once cannot
pass it together; what it did cost takes that place afterwards. What a killed process put aside stays counted.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, insert, select, update
from sqlalchemy.exc import IntegrityError

from devops_agent.errors import BudgetSpent
from devops_agent.jobs.tables import batches, jobs, reading, spendings
from devops_agent.llm.budget import Cap
from devops_agent.model import now

ALL = ""
"""The account of everybody together."""


@dataclass(frozen=True)
class Spent:
    """What one account spent on one day. `calls` are those that were begun."""

    day: str
    account: str
    calls: int
    tokens: int
    dollars: float


class Spending:
    """The book of all calls, with the caps of a day: for all callers together, and for each."""

    def __init__(self, engine: Engine, day: Cap, caller: Cap) -> None:
        self.engine = engine
        self.day = day
        self.caller = caller

    def ledger(self, job: str) -> Page:
        """The page of the caller who submitted this job."""
        return Page(self, lambda: _submitter(self.engine, job))

    def page(self, account: str) -> Page:
        """The page of one caller."""
        return Page(self, lambda: account)

    def reserve(self, account: str, tokens: int, dollars: float) -> str:
        """Put so much aside today; gives the day. Raises BudgetSpent, and then nothing is put aside."""
        today = now().date().isoformat()
        for name in (ALL, account):
            self._page(today, name)
        with self.engine.begin() as connection:
            for name, cap, whose in ((ALL, self.day, "one day"), (account, self.caller, f"{account} in one day")):
                if not _add(connection, today, name, tokens, dollars, cap):
                    spent = _read(connection, today, name)
                    cap.hold(whose, spent.tokens + tokens, spent.dollars + dollars)
                    raise BudgetSpent(f"the cap of {whose} is reached")
        return today

    def settle(self, account: str, day: str, tokens: int, dollars: float) -> None:
        """Add so much (less than nothing, mostly) to what was put aside on that day."""
        with self.engine.begin() as connection:
            for name in (ALL, account):
                here = (spendings.c.day == day, spendings.c.account == name)
                more = {"tokens": spendings.c.tokens + tokens, "dollars": spendings.c.dollars + dollars}
                connection.execute(update(spendings).where(*here).values(**more))

    def _page(self, day: str, account: str) -> None:
        """See that there is a row to count in."""
        with reading(self.engine) as connection:
            here = (spendings.c.day == day, spendings.c.account == account)
            if connection.execute(select(spendings.c.day).where(*here)).first() is not None:
                return
        try:
            with self.engine.begin() as connection:
                row = {"day": day, "account": account, "calls": 0, "tokens": 0, "dollars": 0.0}
                connection.execute(insert(spendings).values(**row))
        except IntegrityError:
            return  # another one was quicker


class Page:
    """The book as a walk sees it: entries on one account, which is looked up when there is one to make."""

    def __init__(self, book: Spending, account: Callable[[], str]) -> None:
        self._book = book
        self._whose = account
        self._account: str | None = None
        self._open: dict[int, tuple[str, int, float]] = {}
        self._tickets = itertools.count(1)

    def reserve(self, tokens: int, dollars: float) -> int:
        """Put so much aside; raises BudgetSpent where a cap of the day would be passed."""
        if self._account is None:
            self._account = self._whose()
        day = self._book.reserve(self._account, tokens, dollars)
        ticket = next(self._tickets)
        self._open[ticket] = (day, tokens, dollars)
        return ticket

    def settle(self, ticket: int, tokens: int, dollars: float) -> None:
        """What was put aside becomes what it did cost."""
        day, before, money = self._open.pop(ticket)
        self._book.settle(self._account or ALL, day, tokens - before, dollars - money)


def spent(engine: Engine, days: int = 31) -> list[Spent]:
    """What was spent on the latest days, the newest first, everybody together (`account` empty) before the callers."""
    order = (spendings.c.day.desc(), spendings.c.account)
    with reading(engine) as connection:
        latest = select(spendings.c.day).distinct().order_by(spendings.c.day.desc()).limit(days)
        rows = connection.execute(select(spendings).where(spendings.c.day.in_(latest)).order_by(*order)).mappings()
        return [_spent(row) for row in rows]


def _submitter(engine: Engine, job: str) -> str:
    query = select(batches.c.requester).join(jobs, jobs.c.batch == batches.c.id).where(jobs.c.id == job)
    with reading(engine) as connection:
        found = connection.execute(query).scalar()
    return str(found or "unknown")


def _add(connection: Connection, day: str, account: str, tokens: int, dollars: float, cap: Cap) -> bool:
    """Count so much where that stays within the cap; whether it was counted."""
    held = [spendings.c.day == day, spendings.c.account == account]
    if cap.tokens is not None:
        held.append(spendings.c.tokens + tokens <= cap.tokens)
    if cap.dollars is not None and dollars:
        held.append(spendings.c.dollars + dollars <= cap.dollars)
    more = {
        "calls": spendings.c.calls + 1,
        "tokens": spendings.c.tokens + tokens,
        "dollars": spendings.c.dollars + dollars,
    }
    return bool(connection.execute(update(spendings).where(*held).values(**more)).rowcount)


def _read(connection: Connection, day: str, account: str) -> Spent:
    here = (spendings.c.day == day, spendings.c.account == account)
    row = connection.execute(select(spendings).where(*here)).mappings().first()
    return _spent(row) if row else Spent(day, account, 0, 0, 0.0)


def _spent(row: Any) -> Spent:
    return Spent(row["day"], row["account"], row["calls"], row["tokens"], round(row["dollars"], 6))

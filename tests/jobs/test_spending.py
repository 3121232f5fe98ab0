"""The book of what asking models costs: caps of a day hold for many at once, on both databases."""

from __future__ import annotations

import threading

import pytest

from devops_agent.errors import BudgetSpent
from devops_agent.jobs.spending import Spending, spent
from devops_agent.jobs.tables import open_engine
from devops_agent.llm.budget import Cap


def test_many_at_once_cannot_pass_a_cap_together(database: str) -> None:
    book = Spending(open_engine(database), Cap(tokens=1000), Cap())
    granted: list[int] = []

    def spend(name: str) -> None:
        page = book.page(name)
        for _ in range(5):
            try:
                granted.append(page.reserve(90, 0.0))
            except BudgetSpent:
                return

    threads = [threading.Thread(target=spend, args=(f"caller {number}",)) for number in range(6)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(60)
    assert len(granted) == 11
    assert spent(book.engine)[0].tokens == 990


def test_what_was_put_aside_becomes_what_it_cost_and_callers_have_caps_of_their_own(database: str) -> None:
    book = Spending(open_engine(database), Cap(dollars=1.0), Cap(dollars=0.3))
    ann, ben = book.page("ann"), book.page("ben")
    ann.settle(ann.reserve(1000, 0.25), 400, 0.1)
    ann.reserve(1000, 0.15)
    with pytest.raises(BudgetSpent, match=r"ann in one day may cost \$0\.3"):
        ann.reserve(1000, 0.1)
    ben.reserve(1000, 0.3)
    rows = {row.account: row for row in spent(book.engine)}
    assert (rows["ann"].tokens, rows["ann"].dollars, rows["ann"].calls) == (1400, 0.25, 2)
    assert rows[""].dollars == 0.55
    tight = Spending(book.engine, Cap(dollars=0.6), Cap())
    with pytest.raises(BudgetSpent, match="one day may cost"):
        tight.page("cy").reserve(1, 0.1)

"""How sure an answer is: it grows with the score, is earned, and is never certainty."""

from __future__ import annotations

from devops_agent.planners.choose import MOST, earned


def test_it_grows_with_the_score_and_stays_below_certainty() -> None:
    values = [earned(score / 100) for score in range(0, 101)]
    assert values == sorted(values)
    assert values[0] < 0.2
    assert values[-1] == MOST == 0.99
    assert 0.7 < earned(0.4) < earned(0.95) <= 0.99

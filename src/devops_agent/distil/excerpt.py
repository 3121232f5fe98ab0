"""Which lines: the best of them within a budget of lines and characters.

A small budget keeps only what the forest is sure of; a middle one fills up with its next best; a large one gives half
to landmarks from all over the log, each with the lines that belong to it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Set
from dataclasses import dataclass, field

from devops_agent.distil.baseline import Baseline
from devops_agent.distil.kinds import KINDS as K
from devops_agent.distil.rank import landmarks, likely
from devops_agent.distil.view import ECHO, MARKED, View

THRIFTY = 25
"""Budgets up to this many lines are not filled up: a line that says nothing costs more than it helps."""
SURE = 0.72
"""What a line must have of the likeliest line's probability to be kept in a small budget."""
REPORTED = 5
"""Lines of a text that somebody typed or cut out: it is there because something failed."""
SHORT = 200
"""Lines of an excerpt, in which one plain trouble says that something failed."""


@dataclass(slots=True)
class Excerpt:
    """Indices of the chosen lines, those that decide, and the weight of each line that has one; `echo`: lines that only
    repeat what somebody wrote, and are no evidence of anything."""

    indices: list[int]
    decisive: list[int]
    failing: bool
    weights: dict[int, float] = field(default_factory=dict)
    echo: Set[int] = frozenset()

    def weight(self, index: int) -> float:
        """How decisive a line's place is, from 0 to 1."""
        return round(min(1.0, max(0.02, self.weights.get(index, 0.02))), 4)


def choose(view: View, lines: int, chars: int, baseline: Baseline | None = None) -> Excerpt:
    """The lines that matter within the budget."""
    worth = landmarks(view)
    chance = likely(view)
    if baseline is not None:
        worth = {index: value * baseline.factor(view.texts[index]) for index, value in worth.items()}
        chance = {index: value * baseline.factor(view.texts[index]) for index, value in chance.items()}
    weights = _weights(view, worth, chance)
    budget = _Budget(view, max(1, lines), chars)
    ranked = sorted(chance, key=lambda index: (-chance[index], index))
    if view.size <= lines:
        budget.take(range(view.size))
    elif lines <= THRIFTY:
        bar = chance[ranked[0]] * SURE if ranked else 0.0
        budget.take(index for index in ranked if chance[index] >= bar)
    else:
        share = _share(lines)
        budget.take(ranked[: int(lines * share)])
        _landmarks(budget, view, worth, lines)
        budget.take(ranked)
    if not budget.chosen:
        budget.take(index for index in range(view.size - 1, -1, -1) if not view.blank[index])
    return Excerpt(sorted(budget.chosen), _decisive(weights), _failing(view, worth), weights, view.marks.echo)


def _share(lines: int) -> float:
    """The part of the budget that goes to the forest's choice before landmarks get the rest."""
    return 0.85 if lines <= 80 else 0.5


def _landmarks(budget: _Budget, view: View, worth: dict[int, float], lines: int) -> None:
    """Landmarks by worth; in a large budget with the lines around them that belong to the same paragraph."""
    before, after = (1, 4) if lines > 80 else (0, 0)
    for index in sorted(worth, key=lambda index: (-worth[index], index)):
        if budget.full:
            return
        start = max(view.first[index], index - before)
        budget.take([index, *range(start, index), *range(index + 1, min(view.past[index], index + after + 1))])


class _Budget:
    """What was chosen so far, and whether more may be."""

    def __init__(self, view: View, lines: int, chars: int) -> None:
        self.view = view
        self.lines = lines
        self.chars = chars
        self.chosen: set[int] = set()

    @property
    def full(self) -> bool:
        return len(self.chosen) >= self.lines or self.chars <= 0

    def take(self, indices: Iterable[int]) -> None:
        """Choose these lines as far as the budget goes."""
        for index in indices:
            if self.full:
                return
            if index in self.chosen or self.view.blank[index] or self.view.bits[index] & ECHO:
                continue
            length = len(self.view.texts[index])
            if length > self.chars and self.chosen:
                continue
            self.chosen.add(index)
            self.chars -= length


def _weights(view: View, worth: dict[int, float], chance: dict[int, float]) -> dict[int, float]:
    """How decisive each place is: by its own words, and by whether people would look there."""
    most = max(worth.values(), default=1.0) or 1.0
    top = max(chance.values(), default=1.0) or 1.0
    ends = set(view.marks.failed)
    weights = {index: 0.6 * value / top for index, value in chance.items()}
    for index, value in worth.items():
        own = min(1.0, value / max(6.0, most))
        weights[index] = 0.3 if index in ends else 0.55 * own + 0.45 * own * weights.get(index, 0.0) / 0.6
    best = max(weights.values(), default=1.0) or 1.0
    return {index: value / best for index, value in weights.items()}


def _decisive(weights: dict[int, float]) -> list[int]:
    """The lines that stand for the failure as a whole: the heaviest three."""
    return sorted(sorted(weights, key=lambda index: (-weights[index], index))[:3])


_SIGNALLED = re.compile(
    r"^(?:\S{1,200}: line \d+: +\d+ )?"
    r"(?:Killed|Aborted|Segmentation fault|Bus error|Illegal instruction|Trace/breakpoint trap|Bad system call"
    r"|Floating point exception|CPU time limit exceeded|File size limit exceeded)"
    r"(?: +\(core dumped\))?(?: {2,}.*)?$"
)
"""What a shell says of a program that a signal ended (glibc's siglist); as a log's last line, how that ended."""


def _failing(view: View, worth: dict[int, float]) -> bool:
    """Whether the log shows a failure: a command that ended badly, or else lines that cannot mean anything else."""
    if all(view.blank):
        return False
    last = next(index for index in range(view.size - 1, -1, -1) if not view.blank[index])
    if view.marks.failed or _SIGNALLED.match(view.texts[last].strip()):
        return True
    certain = K["diagnostic"] | K["fail_head"] | K["exception"] | K["trace_head"] | K["error_head"] | K["make"] | MARKED
    if view.marks.fine:
        last = view.marks.fine[-1]
        return any(view.bits[index] & certain and value >= 5.0 for index, value in worth.items() if index > last)
    if view.size <= REPORTED:
        fine = K["passed"] | K["nothing"] | K["quiet_level"]
        if any(bits & K["quiet_level"] and bits & K["again"] for bits in view.bits):  # tried again, and that was all
            worth = {index: value for index, value in worth.items() if not view.bits[index] & K["quiet_level"]}
        return bool(worth) or not any(bits & fine for bits in view.bits)
    if view.size <= SHORT:
        return max(worth.values(), default=0.0) >= 1.4
    return any(view.bits[index] & certain and value >= 2.5 for index, value in worth.items())

"""A weight for every line: how much it says about why the log failed.

Two judges: `landmark` (rules: what kind of line it is, how new, in which step) and the forest (what people marked in
many logs, by the line's surroundings). The first finds single lines anywhere, the second finds the place.
"""

from __future__ import annotations

import math
from collections import Counter

from devops_agent.distil.forest import forest
from devops_agent.distil.kinds import KINDS as K
from devops_agent.distil.view import ECHO, MARKED, SOFT, View

MOST = 3000
"""Lines that the forest judges at most."""

_WORTH = (
    (K["diagnostic"], 7.0),
    (K["fail_head"], 7.0),
    (K["exception"], 6.0),
    (K["trace_head"], 6.0),
    (K["counts"], 6.0),
    (K["error_head"], 5.5),
    (K["error_upper"], 4.0),
    (K["make"], 3.0),
    (K["script"], 3.0),
    (K["numbered"] | K["assertion"], 2.0),
    (K["error_word"], 2.5),
    (K["fail_word"], 2.5),
    (K["trouble"], 1.5),
)
_LESS = ((K["warning"], 0.35), (K["quiet_level"], 0.25), (K["again"], 0.5), (K["passed"], 0.6), (K["fetching"], 0.4))
_ALLOWED = K["counts"] | K["diagnostic"] | K["fail_head"]


def landmarks(view: View) -> dict[int, float]:
    """The worth of each line that itself says that something went wrong; a repeated shape is worth less each time."""
    worth: dict[int, float] = {}
    times: Counter[str] = Counter()
    failed = set(view.marks.failed)
    last = view.marks.failed[-1] if view.marks.failed else view.size
    for index, bits in enumerate(view.bits):
        if index in failed:
            worth[index] = 9.0
            continue
        if not bits & (SOFT | MARKED) or bits & ECHO:
            continue
        value = _value(bits)
        if value <= 0.0:
            continue
        shape = view.shapes[index]
        value /= 1 + 0.6 * times[shape] + 0.15 * math.log2(view.seen[shape])
        times[shape] += 1
        if index > last:
            value *= 0.4
        elif failed and not view.failing_section(index):
            value *= 0.5
        worth[index] = value
    return worth


def _value(bits: int) -> float:
    """What the kinds of a line are worth together: the best one, and a little for each other."""
    found = [value for mask, value in _WORTH if bits & mask]
    if bits & MARKED:
        found.append(8.0)
    if not found:
        return 0.0
    value = max(found) + 0.1 * (sum(found) - max(found))
    if bits & K["nothing"] and not bits & K["counts"]:
        return 0.0
    for mask, factor in _LESS:
        if bits & mask and not (bits & _ALLOWED and mask == K["passed"]):
            value *= factor
    return value


def likely(view: View) -> dict[int, float]:
    """The forest's probability for each line that it is worth asking about."""
    odds = forest().likelihood
    chances = {index: _probability(odds(view.vector(index))) for index in candidates(view)}
    for index in chances:
        if view.bits[index] & (K["nothing"] | K["counts"]) == K["nothing"]:
            chances[index] *= 0.3
    return chances


def _probability(odds: float) -> float:
    return 1.0 / (1.0 + math.exp(-max(-30.0, min(30.0, odds))))


def candidates(view: View) -> list[int]:
    """Lines near something that went wrong, near the end of a failed command, or near the end of the log."""
    wanted = bytearray(view.size)
    for index, bits in enumerate(view.bits):
        if bits & SOFT:
            _fill(wanted, index - 12, index + 30)
    for end in view.marks.failed[:6] + view.marks.failed[-3:]:
        _fill(wanted, end - 150, end + 10)
    _fill(wanted, view.size - 150, view.size)
    found = [
        index for index in range(view.size) if wanted[index] and not view.blank[index] and not view.bits[index] & ECHO
    ]
    if len(found) <= MOST:
        return found
    ends = view.marks.failed[:3] or [view.size]
    found.sort(key=lambda index: (min(end - index if end >= index else 4 * (index - end) for end in ends), index))
    return sorted(found[:MOST])


def _fill(wanted: bytearray, start: int, stop: int) -> None:
    start, stop = max(0, start), min(len(wanted), stop)
    if stop > start:
        wanted[start:stop] = b"\x01" * (stop - start)

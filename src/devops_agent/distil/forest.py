"""How likely a line is one that explains the failure: a small forest of decision trees, learned once, kept as data.

`forest.json` is written by `benchmarks/distil/train.py`. A tree is a list of nodes `[slot, mask, bound, left, right]`
(below zero: a leaf) and a list of at most eight leaf values, from left to right; `slot` is a place in `View.vector`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache, reduce
from importlib.resources import files
from operator import add, getitem
from typing import cast

Node = tuple[int, int, int, int, int]
Tree = tuple[list[Node], list[float]]

_LOWEST = bytes(max(0, (number & -number).bit_length() - 1) for number in range(256))
"""Of each byte the place of its lowest bit that is set."""
_REMEMBERED = 4096
"""Values of one slot whose answers are remembered: sets of bits can take very many."""


class Forest:
    """The trees, asked value by value instead of node by node.

    A tree is a byte: a bit for each leaf that may still be reached, the leftmost lowest. A value that leads to the
    right at some node rules out the leaves on the left of it; what one value rules out in all trees is one number, and
    remembered. Of what all values leave, the lowest bit of each byte is the leaf that is reached (Lucchese et al.,
    QuickScorer, SIGIR 2015).
    """

    def __init__(self, trees: Sequence[Tree]) -> None:
        self._leaves = [leaves for _, leaves in trees]
        self._all = (1 << 8 * len(trees)) - 1
        slots: dict[int, _Slot] = {}
        for number, (nodes, _) in enumerate(trees):
            below = [0] * len(nodes)
            for at in range(len(nodes) - 1, -1, -1):
                slot, mask, bound, left, right = nodes[at]
                lefts = below[left] if left >= 0 else 1 << ~left
                below[at] = lefts | (below[right] if right >= 0 else 1 << ~right)
                slots.setdefault(slot, _Slot(self._all)).rules.append((mask, bound, lefts << 8 * number))
        self._slots = list(slots.items())

    def likelihood(self, values: Sequence[int]) -> float:
        """Sum of the leaves that the values lead to: a log-odds, the higher the likelier."""
        left = self._all
        for slot, kept in self._slots:
            left &= kept[values[slot]]
        reached = left.to_bytes(len(self._leaves), "little").translate(_LOWEST)
        return reduce(add, map(getitem, self._leaves, reached), 0.0)


class _Slot(dict[int, int]):
    """By value of one slot, the leaves of all trees that it does not rule out."""

    def __init__(self, every: int) -> None:
        self.every = every
        self.rules: list[tuple[int, int, int]] = []

    def __missing__(self, value: int) -> int:
        gone = 0
        for mask, bound, lefts in self.rules:
            if value & mask if mask else value > bound:
                gone |= lefts
        if len(self) >= _REMEMBERED:
            self.clear()
        self[value] = kept = self.every & ~gone
        return kept


@cache
def forest() -> Forest:
    """The forest that is shipped with the package."""
    text = files("devops_agent.distil").joinpath("forest.json").read_text("utf-8")
    return Forest(cast("list[Tree]", json.loads(text)["trees"]))

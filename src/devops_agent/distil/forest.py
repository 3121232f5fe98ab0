"""How likely a line is one that explains the failure: a small forest of decision trees, learned once, kept as data.

`forest.json` is written by `benchmarks/distil/train.py`. A tree is a list of nodes `[slot, mask, bound, left, right]`
(below zero: a leaf) and a list of leaf values; `slot` is a place in `View.vector`.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import cast

Node = tuple[int, int, int, int, int]
Tree = tuple[list[Node], list[float]]


@cache
def trees() -> list[Tree]:
    """The forest that is shipped with the package."""
    text = files("devops_agent.distil").joinpath("forest.json").read_text("utf-8")
    return cast("list[Tree]", json.loads(text)["trees"])


def likelihood(values: list[int], forest: list[Tree]) -> float:
    """Sum of the leaves that the values lead to: a log-odds, the higher the likelier."""
    total = 0.0
    for nodes, leaves in forest:
        at = 0
        while at >= 0:
            slot, mask, bound, left, right = nodes[at]
            value = values[slot]
            at = (right if value & mask else left) if mask else (left if value <= bound else right)
        total += leaves[~at]
    return total

"""The forest asked value by value answers as its trees walked node by node."""

import json
import random
from importlib.resources import files

from devops_agent.distil.forest import Forest, Tree, forest
from devops_agent.distil.view import K


def walked(values: list[int], trees: list[Tree]) -> float:
    total = 0.0
    for nodes, leaves in trees:
        at = 0
        while at >= 0:
            slot, mask, bound, left, right = nodes[at]
            value = values[slot]
            at = (right if value & mask else left) if mask else (left if value <= bound else right)
        total += leaves[~at]
    return total


def test_the_shipped_forest_answers_as_its_trees_do() -> None:
    trees = json.loads(files("devops_agent.distil").joinpath("forest.json").read_text("utf-8"))["trees"]
    chance = random.Random(7)
    for _ in range(500):
        bits = [chance.getrandbits(len(K)) & chance.getrandbits(len(K)) for _ in range(7)]
        values = bits + [chance.randint(-20, 60) for _ in range(60)]
        assert forest().likelihood(values) == walked(values, trees)


def test_a_tree_of_one_leaf_and_one_that_leans() -> None:
    trees: list[Tree] = [([(0, 0, 5, -1, 1), (1, 4, 0, -2, -3)], [0.5, -1.0, 2.0]), ([(1, 0, -1, -1, -2)], [0.25, 3.0])]
    made = Forest(trees)
    for values in ([5, 0], [6, 0], [6, 4], [6, -4], [-7, -1], [0, -2]):
        assert made.likelihood(values) == walked(values, trees)

"""Learn the forest of `devops_agent/distil/forest.json` from labelled logs.

    python benchmarks/distil/train.py LABELS.jsonl... [--folds 10] [--write forest.json]

Needs numpy and lightgbm, which the package itself does not. A label is `{"project", "file", "chunk_lines": [...]}`;
`file` lies beside the labels. With --folds, whole projects are held out in turn and the recall of marked lines among
the 50 likeliest is printed: what other projects may expect. Only `View.vector`'s numbers are learned from, no words.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import lightgbm
import numpy

from devops_agent.distil.source import read
from devops_agent.distil.view import View

BITS, SETS = 41, 7
PARAMETERS = {
    "objective": "binary", "num_leaves": 8, "max_depth": 3, "learning_rate": 0.12, "min_data_in_leaf": 30,
    "feature_fraction": 0.5, "bagging_fraction": 0.7, "bagging_freq": 1, "lambda_l2": 5,
    "min_sum_hessian_in_leaf": 0.05,
    "verbose": -1, "num_threads": 1,
}  # fmt: skip
ROUNDS = 100


def examples(label: dict[str, Any], folder: Path) -> tuple[Any, Any, Any]:
    """All lines of one log as numbers, whether people marked them, and whether they are blank."""
    view = View(read(folder / label["file"], None).messages)
    vectors = numpy.array([view.vector(index) for index in range(view.size)], dtype=numpy.int64)
    bits = ((vectors[:, :SETS, None] >> numpy.arange(BITS)) & 1).reshape(view.size, -1)
    marked = numpy.zeros(view.size, numpy.int8)
    marked[[line - 1 for line in label["chunk_lines"] if line <= view.size]] = 1
    return numpy.concatenate([bits, vectors[:, SETS:]], axis=1).astype(numpy.int16), marked, numpy.array(view.blank)


def fit(logs: list[tuple[Any, Any, Any]], seed: int = 0) -> Any:
    """A forest from these logs; each log weighs the same, however long it is."""
    random = numpy.random.default_rng(seed)
    rows, marks, weights = [], [], []
    for numbers, marked, blank in logs:
        there = numpy.where(~blank & (marked == 1))[0]
        rest = numpy.where(~blank & (marked == 0))[0]
        if not len(there) or not len(rest):
            continue
        rest = random.choice(rest, min(1200, len(rest)), replace=False)
        chosen = numpy.concatenate([there, rest])
        rows.append(numbers[chosen])
        marks.append(marked[chosen])
        weights.append(numpy.where(marked[chosen] == 1, 1 / numpy.sqrt(len(there)), 3 / len(rest)))
    data = lightgbm.Dataset(numpy.concatenate(rows), numpy.concatenate(marks), weight=numpy.concatenate(weights))
    return lightgbm.train(PARAMETERS, data, ROUNDS)


def trees(booster: Any) -> list[Any]:
    """The forest as `forest.py` reads it."""
    found = []
    for tree in booster.dump_model()["tree_info"]:
        nodes: list[Any] = []
        leaves: list[float] = []

        def walk(node: dict[str, Any], nodes: list[Any] = nodes, leaves: list[float] = leaves) -> int:
            if "split_feature" not in node:
                leaves.append(round(node["leaf_value"], 4))
                return -len(leaves)
            at = len(nodes)
            nodes.append(None)
            feature = node["split_feature"]
            bit = feature < SETS * BITS
            slot = feature // BITS if bit else feature - SETS * BITS + SETS
            mask, bound = (1 << (feature % BITS), 0) if bit else (0, int(node["threshold"] // 1))
            nodes[at] = [slot, mask, bound, walk(node["left_child"]), walk(node["right_child"])]
            return at

        if walk(tree["tree_structure"]) < 0:
            nodes.append([0, 0, 1 << 62, -1, -1])
        found.append([nodes, leaves])
    return found


def held_out(labels: list[dict[str, Any]], logs: list[tuple[Any, Any, Any]], folds: int) -> float:
    """Mean recall of the marked lines among the 50 likeliest of logs whose project was not learned from."""
    projects = sorted({label["project"] for label in labels})
    recalls = []
    for fold in range(folds):
        apart = set(projects[fold::folds])
        booster = fit([log for label, log in zip(labels, logs, strict=True) if label["project"] not in apart])
        for label, (numbers, marked, blank) in zip(labels, logs, strict=True):
            if label["project"] in apart:
                likely = numpy.where(blank, -1.0, booster.predict(numbers))
                top = numpy.argsort(-likely, kind="stable")[:50]
                recalls.append(marked[top].sum() / max(1, marked[~blank].sum()))
    return float(numpy.mean(recalls))


def main() -> None:
    """Learn, measure, write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("labels", nargs="+", type=Path)
    parser.add_argument("--folds", type=int, default=0)
    parser.add_argument("--write", type=Path)
    given = parser.parse_args()
    labels, logs = [], []
    for path in given.labels:
        for line in path.read_text("utf-8").splitlines():
            label = json.loads(line)
            labels.append(label)
            logs.append(examples(label, path.parent))
    if given.folds:
        print(f"{len(logs)} logs, recall at 50 of held-out projects: {held_out(labels, logs, given.folds):.3f}")
    if given.write:
        given.write.write_text(json.dumps({"trees": trees(fit(logs))}, separators=(",", ":")), "utf-8")


if __name__ == "__main__":
    main()

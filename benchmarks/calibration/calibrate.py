"""How sure the agent may be: fit score -> confidence on one half of the project's own cases, measure it on the other.

Cases: every example of every runbook as it is; the same lines inside a healthy log of `tests/cases/quiet` that ends
with an exit status; and, for one example in ten, a library in which everything about its cause is left out, so that
every answer is wrong (causes that nobody has written down yet). A case belongs to the fitted or to the held-out half by
the hash of its text. `python benchmarks/calibration/calibrate.py` prints the two constants for `planners/choose.py`.
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from devops_agent.distil import distil_source
from devops_agent.planners import NoLook, choose
from devops_agent.planners.runbook import RunbookPlanner
from devops_agent.runbooks.load import Library, library
from devops_agent.scan import Signatures

QUIET = Path(__file__).parents[2] / "tests" / "cases" / "quiet"
HELD_OUT = 0.5
LEFT_OUT = 10
"""One example in so many is asked of a library that does not know its cause."""


@dataclass(frozen=True)
class Answer:
    """One answered case: the raw score, what was said with the constants in force, whether it was right."""

    score: float
    said: float
    right: bool
    held_out: bool


class Reader:
    """One library, asked many times."""

    def __init__(self, known: Library) -> None:
        self.signatures = Signatures(known.signatures())
        self.planner = RunbookPlanner(known)

    def read(self, text: str) -> tuple[str, float, float]:
        """Cause, raw score and confidence; no score where nothing was answered."""
        scores: list[float] = []
        earned = choose.earned
        choose.earned = lambda score: scores.append(score) or earned(score)  # type: ignore[func-returns-value]
        try:
            found = self.planner.diagnose(distil_source(text.encode(), self.signatures), (), NoLook())
        finally:
            choose.earned = earned
        return found.cause, scores[-1] if scores else 0.0, found.confidence


def number(text: str) -> int:
    """A number that depends on the text alone."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big")


def cases(known: Library) -> Iterator[tuple[str, str, bool]]:
    """Text, cause, and whether its cause is to be unknown to the library."""
    quiet = [path.read_text(errors="replace").splitlines() for path in sorted(QUIET.rglob("*.log"))]
    for runbook in known.runbooks.values():
        for example in runbook.examples.match:
            left_out = number(example) % LEFT_OUT == 0
            yield example, runbook.cause, left_out
            around = quiet[number(example + "around") % len(quiet)][:200]
            cut = number(example + "cut") % (len(around) + 1)
            lines = [*around[:cut], example, "##[error]Process completed with exit code 1."]
            yield "\n".join(lines), runbook.cause, left_out


def answers() -> list[Answer]:
    """Every case that was answered."""
    known = library()
    whole = Reader(known)
    lacking: dict[str, Reader] = {}
    found: list[Answer] = []
    for text, cause, left_out in cases(known):
        reader = whole
        if left_out:
            gone = [key for key, each in known.runbooks.items() if each.cause == cause]
            reader = lacking[cause] = lacking.get(cause) or Reader(known.without(gone))
        said, score, confidence = reader.read(text)
        if said != "unknown" and score:
            held_out = number(text + "half") % 1000 < 1000 * HELD_OUT
            found.append(Answer(score, confidence, said == cause, held_out))
    return found


def logit(share: float) -> float:
    """Log odds, of a score kept away from 0 and 1."""
    share = min(max(share, 0.001), 0.999)
    return math.log(share / (1 - share))


def fit(seen: list[Answer]) -> tuple[float, float]:
    """Slope and offset of a logistic regression on the score's log odds (Newton's method, a weak pull to 1 and 0)."""
    slope, offset = 1.0, 0.0
    for _ in range(50):
        g = [(slope - 1.0) * 0.1, offset * 0.1]
        h = [[0.1, 0.0], [0.0, 0.1]]
        for each in seen:
            x = logit(each.score)
            p = 1 / (1 + math.exp(-(slope * x + offset)))
            error, weight = p - each.right, p * (1 - p)
            g = [g[0] + error * x, g[1] + error]
            h = [[h[0][0] + weight * x * x, h[0][1] + weight * x], [h[1][0] + weight * x, h[1][1] + weight]]
        det = h[0][0] * h[1][1] - h[0][1] * h[1][0]
        slope -= (h[1][1] * g[0] - h[0][1] * g[1]) / det
        offset -= (h[0][0] * g[1] - h[1][0] * g[0]) / det
    return slope, offset


def measure(held: list[Answer], slope: float, offset: float) -> dict[str, object]:
    """Brier score before and after, and the risk (share of wrong answers) at each coverage."""

    def sure(each: Answer) -> float:
        return min(0.99, 1 / (1 + math.exp(-(slope * logit(each.score) + offset))))

    ranked = sorted(held, key=sure, reverse=True)
    risk = {}
    for coverage in (0.5, 0.7, 0.8, 0.9, 0.95, 1.0):
        part = ranked[: max(1, round(coverage * len(ranked)))]
        risk[f"{coverage:.2f}"] = round(sum(not each.right for each in part) / len(part), 4)
    return {
        "answers": len(held),
        "right": round(sum(each.right for each in held) / len(held), 4),
        "brier_raw": round(sum((each.score - each.right) ** 2 for each in held) / len(held), 4),
        "brier_fitted": round(sum((sure(each) - each.right) ** 2 for each in held) / len(held), 4),
        "brier_in_force": round(sum((each.said - each.right) ** 2 for each in held) / len(held), 4),
        "risk_at_coverage": risk,
        "bins": bins([(sure(each), each.right) for each in held]),
    }


def bins(pairs: list[tuple[float, bool]]) -> list[str]:
    """Said and true share, in bands of confidence."""
    rows = []
    for low, high in ((0, 0.5), (0.5, 0.7), (0.7, 0.8), (0.8, 0.9), (0.9, 0.95), (0.95, 1.01)):
        part = [pair for pair in pairs if low <= pair[0] < high]
        if part:
            said, true = sum(p for p, _ in part) / len(part), sum(r for _, r in part) / len(part)
            rows.append(f"{low:.2f}-{min(high, 1.0):.2f}: n={len(part)} said {said:.3f} true {true:.3f}")
    return rows


def main() -> None:
    """Print what was measured, and the constants."""
    found = answers()
    seen, held = [a for a in found if not a.held_out], [a for a in found if a.held_out]
    slope, offset = fit(seen)
    sys.stdout.write(json.dumps({"fitted_on": len(seen), "held_out": measure(held, slope, offset)}, indent=2) + "\n")
    sys.stdout.write(f"SLOPE, OFFSET = {slope:.2f}, {offset:.2f}  # n = {len(seen)}\n")


if __name__ == "__main__":
    main()

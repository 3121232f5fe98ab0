"""What became of earlier answers, and how far that moves the confidence of the next one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

PRIOR = 20.0
"""The runbook's own confidence counts like so many answers that were judged."""

ALIKE = 5.0
"""What is known of all its answers counts like so many judged ones of this very failure (equal fingerprint)."""

MOST = 0.99


@dataclass(frozen=True)
class Tally:
    """Of the answers that were judged (by a person, or by a remedy that proved them), so many were right."""

    right: int = 0
    wrong: int = 0

    @property
    def judged(self) -> int:
        """How many were judged."""
        return self.right + self.wrong

    def moved(self, before: float, weight: float) -> float:
        """The mean of a Beta distribution: `before` with the weight of so many answers, then these ones."""
        return (before * weight + self.right) / (weight + self.judged)


Recall = Callable[[str, str, str], tuple[Tally, Tally]]
"""What is known of a runbook's finding, and of that in failures with this fingerprint."""


def nothing(runbook: str, finding: str, fingerprint: str) -> tuple[Tally, Tally]:  # noqa: ARG001
    """For a diagnosis without memory."""
    return Tally(), Tally()


def moved(confidence: float, known: tuple[Tally, Tally]) -> float:
    """The confidence after what was learned; without anything judged it stays as it is."""
    everywhere, alike = known
    if not everywhere.judged and not alike.judged:
        return confidence
    return round(min(MOST, alike.moved(everywhere.moved(confidence, PRIOR), ALIKE)), 3)

"""A log of the same job that passed: what stands there too explains no failure."""

from __future__ import annotations

from collections.abc import Iterable

from devops_agent.distil.mask import shape

KNOWN = 0.12
"""What is left of the weight of a line whose shape the passing log has too."""


class Baseline:
    """The shapes of all lines of one or several passing logs."""

    def __init__(self, messages: Iterable[str] = ()) -> None:
        self.shapes: set[str] = set()
        self.learn(messages)

    def learn(self, messages: Iterable[str]) -> None:
        """Take the lines of one more passing log in."""
        self.shapes.update(shape(message) for message in messages)

    def factor(self, message: str) -> float:
        """By how much the weight of a line is multiplied."""
        return KNOWN if shape(message) in self.shapes else 1.0

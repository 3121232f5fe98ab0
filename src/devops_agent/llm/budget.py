"""Caps on tokens and money. They stop a call before it is made, where it could pass them, not after."""

from __future__ import annotations

from dataclasses import dataclass

from devops_agent.errors import BudgetSpent
from devops_agent.usage import Usage


@dataclass(frozen=True)
class Cap:
    """At most so much. None is no cap; a price that nobody knows cannot be held against `dollars`."""

    tokens: int | None = None
    dollars: float | None = None

    def hold(self, what: str, tokens: int, dollars: float) -> None:
        """Raise BudgetSpent where so much would pass the cap."""
        if self.tokens is not None and tokens > self.tokens:
            raise BudgetSpent(f"{what} may use {self.tokens} tokens; with this call it could be {tokens}")
        if self.dollars is not None and dollars > self.dollars:
            raise BudgetSpent(f"{what} may cost ${self.dollars:g}; with this call it could be ${dollars:.4f}")


@dataclass(frozen=True)
class Caps:
    """For one call, one incident, a day of all incidents, and a day of one caller of the service."""

    call: Cap = Cap()
    incident: Cap = Cap()
    day: Cap = Cap()
    caller: Cap = Cap()

    def check(self, spent: Usage, tokens: int, dollars: float) -> None:
        """Raise BudgetSpent where a call of this size would pass the cap of a call, or that of its incident."""
        self.call.hold("one call", tokens, dollars)
        self.incident.hold("one incident", spent.tokens + tokens, spent.dollars + dollars)

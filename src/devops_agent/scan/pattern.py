"""One pattern of a runbook, and what must stand in a text for it to match at all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Role = Literal["any", "all", "none"]


@dataclass(frozen=True, slots=True)
class Pattern:
    """A line pattern: Python `re` syntax as far as hyperscan takes it too, named groups allowed, within one line.

    `literals` is the prefilter that `scan.literals(source)` gives: of each inner tuple at least one (lower-case) string
    must stand in the lower-cased text, or the pattern cannot match. `number` is the pattern's index in the runbook.
    """

    owner: str
    number: int
    role: Role
    source: str
    literals: tuple[tuple[str, ...], ...] = ()
    ignore_case: bool = False

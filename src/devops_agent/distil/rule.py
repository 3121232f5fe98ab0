"""One expression for secrets, and how it is tried on a line at little cost."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cached_property

from devops_agent.scan.literals import holds

STARTS = re.compile(
    "pass|pw|ps[wk]|secret|token|api|access|private|fernet|signing|encryption|master|account|app|deploy|service|admin|storage|auth|credential|jwt|bearer|sess|cookie|salt|dsn|csrf"
    "|webhook|license|pre|client|saml|code|sid"
)
"""Where a name may begin in a lower-cased text: much faster to find than the name itself, whatever its case."""


class Rule:
    """One expression, compiled when a text first holds what it needs: of each group of strings one."""

    def __init__(
        self,
        kind: str,
        source: str,
        needs: tuple[tuple[str, ...], ...],
        named: bool = False,
        origin: Rule | None = None,
    ) -> None:
        self.kind = kind
        self.source = source
        self.needs = tuple(sorted(needs, key=len))
        self.named = named
        self._origin = origin

    @cached_property
    def expression(self) -> re.Pattern[str]:
        """The compiled expression."""
        return self._origin.expression if self._origin else re.compile(self.source)

    def possible(self, lower: str) -> bool:
        """Whether a lower-cased text holds what the rule needs."""
        return holds(lower, self.needs)

    def masked(self, line: str, lower: str, mask: Callable[[re.Match[str]], str]) -> str:
        """The line with each match replaced by its mask."""
        if not self.named or len(lower) != len(line):
            return self.expression.sub(mask, line)
        done: list[str] = []
        at = 0
        for start in STARTS.finditer(lower):
            found = self.expression.match(line, start.start()) if start.start() >= at else None
            if found:
                done += (line[at : start.start()], mask(found))
                at = found.end()
        return "".join((*done, line[at:])) if done else line

    def within(self, needs: tuple[tuple[str, ...], ...]) -> Rule:
        """The same rule for a text in which nothing else of what it needs occurs."""
        return Rule(self.kind, self.source, needs, self.named, self._origin or self)

"""Secrets whose name stands in one line and whose value stands in the next: lists of names and values, blocks of YAML,
arguments below each other, prompts, commands that go on behind a backslash, columns of tables.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from devops_agent.distil.columns import Columns, columns
from devops_agent.distil.value import is_secret

_VALUE = re.compile(r"(?i)\bvalue\\{0,7}[\"']?\s{0,3}(?::|=>?)\s{0,8}\\{0,7}[\"']?(?P<s>[^\s\"'\\]{3,4000})")
_LAST = re.compile(r"(?:^|\s)[\"']?(?P<s>[^\s\"',\\]{3,4000})[\"']?,?\s*\\?\s*$")
_ARGUMENT = re.compile(r"(?:^|\s)(?:-\s+)?[\"']?(?P<s>[^\s\"',\\-][^\s\"',\\]{2,4000})[\"']?,?\s*\\?\s*$")
_ALONE = re.compile(r"^\s*(?P<s>\S{8,200})\s*$")
_EXPRESSIONS = {"next-value": _VALUE, "next-block": _LAST, "next-argument": _ARGUMENT, "next-prompt": _ALONE}
_LINES = {"next-value": 2, "next-prompt": 2}
"""Lines in which it may still stand; where nothing is said, in the next one alone."""
_CARRIED = 400
ROWS = 500
"""Rows of a table that are looked at."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What the line before has announced, for how many lines; of a command its text so far, of a table its columns."""

    kind: str
    lines: int = 1
    text: str = ""
    columns: Columns | None = None

    def spans(self, line: str) -> list[tuple[int, int]]:
        """Where announced secrets stand in this line."""
        if self.columns is not None:
            return self.columns.spans(line) or []
        expression = _EXPRESSIONS.get(self.kind)
        found = expression.search(line) if expression else None
        if not found:
            return []
        strict = "strong" if self.kind == "next-prompt" else "assigned"
        return [found.span("s")] if is_secret(strict, found["s"]) else []

    def later(self, line: str, found: bool) -> Expected | None:
        """What is still expected after a line in which it stood (`found`), or not."""
        if self.columns is not None:
            over = self.lines <= 1 or self.columns.spans(line) is None
            return None if over else replace(self, lines=self.lines - 1)
        if found or self.lines <= 1 or (self.kind == "next-prompt" and line.strip()):
            return None
        return replace(self, lines=self.lines - 1)


def expected(kind: str, line: str) -> Expected | None:
    """What a line of this kind announces; None where it only looked like it."""
    if kind == "next-row":
        named = columns(line)
        return Expected(kind, ROWS, columns=named) if named else None
    text = line.rstrip().removesuffix("\\").rstrip()[-_CARRIED:] + " " if kind == "next-carried" else ""
    return Expected(kind, _LINES.get(kind, 1), text)

"""Secrets whose name stands in one line and whose value stands in the next: lists of names and values, blocks of YAML,
arguments below each other, prompts, commands that go on behind a backslash.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from devops_agent.distil.value import is_secret

_VALUE = re.compile(r"(?i)\bvalue\\{0,7}[\"']?\s{0,3}(?::|=>?)\s{0,8}\\{0,7}[\"']?(?P<s>[^\s\"'\\]{3,4000})")
_LAST = re.compile(r"(?:^|\s)[\"']?(?P<s>[^\s\"',\\]{3,4000})[\"']?,?\s*\\?\s*$")
_ARGUMENT = re.compile(r"(?:^|\s)(?:-\s+)?[\"']?(?P<s>[^\s\"',\\-][^\s\"',\\]{2,4000})[\"']?,?\s*\\?\s*$")
_ALONE = re.compile(r"^\s*(?P<s>\S{8,200})\s*$")
_EXPRESSIONS = {"next-value": _VALUE, "next-block": _LAST, "next-argument": _ARGUMENT, "next-prompt": _ALONE}
_LINES = {"next-value": 2, "next-prompt": 2}
"""Lines in which it may still stand; where nothing is said, in the next one alone."""
_CARRIED = 400


@dataclass(frozen=True, slots=True)
class Expected:
    """What the line before has announced, for how many lines, and for a command its text so far."""

    kind: str
    lines: int = 1
    text: str = ""

    def span(self, line: str) -> tuple[int, int] | None:
        """Where the announced secret stands in this line."""
        expression = _EXPRESSIONS.get(self.kind)
        found = expression.search(line) if expression else None
        if not found:
            return None
        strict = "strong" if self.kind == "next-prompt" else "assigned"
        return found.span("s") if is_secret(strict, found["s"]) else None

    def later(self, line: str) -> Expected | None:
        """What is still expected after a line in which it did not stand."""
        if self.lines <= 1 or (self.kind == "next-prompt" and line.strip()):
            return None
        return Expected(self.kind, self.lines - 1, self.text)


def expected(kind: str, line: str) -> Expected:
    """What a line of this kind announces."""
    text = line.rstrip().removesuffix("\\").rstrip()[-_CARRIED:] + " " if kind == "next-carried" else ""
    return Expected(kind, _LINES.get(kind, 1), text)

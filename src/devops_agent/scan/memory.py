"""What was found out about a line is remembered: logs say the same again and again, within one and from run to run."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar

R = TypeVar("R")

REMEMBERED = 4096
"""Lines of which one thing is remembered: with all their characters a megabyte at most."""
SHORT = 300
"""Characters of a line that is remembered."""


def remembered(function: Callable[[str], R]) -> Callable[[str], R]:
    """The function, which depends on the line alone, with a memory of what it said of short lines."""
    known = lru_cache(REMEMBERED)(function)

    def told(line: str) -> R:
        return known(line) if len(line) <= SHORT else function(line)

    told.__doc__ = function.__doc__
    return told


def stands(expression: re.Pattern[str]) -> Callable[[str], bool]:
    """Whether the expression stands in a line, with a memory of the answers."""
    return remembered(lambda line: expression.search(line) is not None)

"""What is wrong with a pattern before it meets a log: hyperscan cannot take it, or `re` could take for ever.

Hyperscan has no look-around, back-references, possessive or atomic groups (its documentation, "Unsupported
Constructs"). A leading or trailing `.*` makes it report every byte. Nested unbounded repeats make `re` exponential.
"""

from __future__ import annotations

import re
import re._constants as c  # type: ignore[import-not-found]
import re._parser as parser  # type: ignore[import-not-found]
import time
from collections.abc import Iterator
from typing import Any

from devops_agent.runbooks.lines import split_flags, within_line

SECONDS = 0.1
"""Time that a pattern may take on one nasty line of 8,000 characters."""

_BARRED = {
    c.ASSERT: "look-around",
    c.ASSERT_NOT: "look-around",
    c.GROUPREF: "a back-reference",
    c.GROUPREF_EXISTS: "a conditional group",
    c.POSSESSIVE_REPEAT: "a possessive repeat",
    c.ATOMIC_GROUP: "an atomic group",
}


def faults(source: str, thorough: bool = False) -> Iterator[str]:
    """Every reason for which this pattern must be written differently. `thorough` has hyperscan compile it (slow)."""
    plain, ignore_case = split_flags(source)
    plain = within_line(plain)
    try:
        regex = re.compile(plain, re.IGNORECASE if ignore_case else 0)
        tree = parser.parse(plain)
    except re.error as error:
        yield f"does not compile ({error})"
        return
    if regex.search(""):
        yield "matches an empty line"
    if plain.startswith((".*", ".+")) or re.search(r"(?<!\\)(?:\\\\)*\.[*+]\??$", plain):
        yield "begins or ends with .* or .+"
    found = set(_constructs(tree, False))
    yield from sorted(found)
    if not found:
        if thorough:
            yield from _compiles(plain)
        if _slow(regex):
            yield "takes too long on long lines (neighbouring repeats that fit the same text)"


def _constructs(tree: Any, repeated: bool) -> Iterator[str]:
    for operator, argument in tree:
        if operator in _BARRED:
            yield f"has {_BARRED[operator]}, which hyperscan does not take"
        elif operator in (c.MAX_REPEAT, c.MIN_REPEAT):
            unbounded = argument[1] == c.MAXREPEAT
            varying = len(argument[2]) == 1 or not _anchored(argument[2])
            if repeated and unbounded:
                yield "has an unbounded repeat inside an unbounded repeat"
            yield from _constructs(argument[2], unbounded and varying)
        elif operator is c.SUBPATTERN:
            yield from _constructs(argument[3], repeated)
        elif operator is c.BRANCH:
            for branch in argument[1]:
                yield from _constructs(branch, repeated)


def _anchored(tree: Any) -> bool:
    """Whether a repeated part begins or ends with a plain character, so that rounds cannot be cut in two ways."""
    items = list(tree)
    if len(items) == 1 and items[0][0] is c.SUBPATTERN:
        items = list(items[0][1][3])
    return bool(items) and (items[0][0] is c.LITERAL or items[-1][0] is c.LITERAL)


def _compiles(source: str) -> Iterator[str]:
    try:
        import hyperscan
    except ImportError:
        return
    try:
        hyperscan.Database().compile(expressions=[source.encode()], ids=[0], elements=1, flags=0)
    except hyperscan.error as error:
        yield f"hyperscan does not take it ({error})"


def _slow(regex: re.Pattern[str]) -> bool:
    nasty = (
        "a" * 8000,
        " " * 8000,
        "1" * 8000,
        "a/b.c:1 " * 1000,
        "error: " * 1150,
        "-_." * 2700,
        "/" * 8000,
        '"x" ' * 2000,
    )
    for line in nasty:
        began = time.process_time()
        regex.search(line)
        if time.process_time() - began > SECONDS:
            return True
    return False

"""One pass over a log of any size: where which expression matched first in each block, and how many lines there are.

Blocks are read into one buffer a thread (never the whole file) and scanned while Python is free for the other thread.
Memory is bounded: per expression the first and the last few places are kept.
"""

from __future__ import annotations

import re
import threading
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from devops_agent.scan.compiled import Compiled, Expression, Unavailable

BLOCK = 1 << 18
OVERLAP = 1 << 10
THREADS = 2
KEPT = 8
"""Places kept of one expression from the start of the log, and as many from its end."""

ReadInto = Callable[[memoryview, int], int]
"""Reads at an offset into a buffer; gives the number of bytes, 0 at the end."""


@dataclass(slots=True)
class Sweep:
    """What one pass saw: for each expression offsets of match ends, in order. Line feeds are counted where asked for.

    `known` are offsets with the line feeds before them, in order; from the nearest of them the others are counted.
    """

    read: ReadInto
    size: int
    known: list[tuple[int, int]]
    places: dict[int, list[int]] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """Line feeds in the whole log."""
        return self.known[-1][1]

    def before(self, offset: int) -> tuple[int, int]:
        """The start of the block that holds the offset, and the line feeds before it."""
        start = min(offset, self.size) // BLOCK * BLOCK
        at = bisect_right(self.known, (start, self.size))
        lower, below = self.known[at - 1]
        upper, above = self.known[min(at, len(self.known) - 1)]
        if start - lower <= upper - start or at == len(self.known):
            found = below + self._count(lower, start)
        else:
            found = above - self._count(start, upper)
        if lower != start:
            self.known.insert(at, (start, found))
        return start, found

    def _count(self, start: int, stop: int) -> int:
        buffer = bytearray(BLOCK)
        view, count = memoryview(buffer), 0
        while start < stop:
            got = min(self.read(view, start), stop - start)
            if got <= 0:
                break
            count += buffer.count(b"\n", 0, got)
            start += got
        return count


class _Places:
    """First and last places of each expression; blocks of two threads come nearly in order."""

    def __init__(self) -> None:
        self.first: dict[int, list[int]] = {}
        self.last: dict[int, deque[int]] = {}

    def add(self, number: int, offset: int) -> None:
        first = self.first.setdefault(number, [])
        if len(first) < KEPT:
            first.append(offset)
        else:
            self.last.setdefault(number, deque(maxlen=KEPT)).append(offset)


def sweep(
    read: ReadInto,
    size: int,
    key: str,
    expressions: Callable[[], Sequence[Expression]],
    folder: Path | None,
    total: Callable[[], int | None] = lambda: None,
) -> Sweep:
    """Scan the log for all expressions (named by `key`), compiled from `folder` where they were before.

    `total` is asked afterwards for the number of line feeds; where it does not know, they are counted here.
    """
    blocks = max(1, -(-size // BLOCK))
    try:
        compiled: Compiled | None = Compiled(key, expressions, folder)
    except Unavailable:
        compiled = None
    results = [_Places() for _ in range(THREADS)]
    pull = _Numbers(blocks)
    failures: list[BaseException] = []
    scan = _by_re(expressions()) if compiled is None else None

    def work(places: _Places) -> None:
        try:
            _worker(read, pull, places, compiled, scan)
        except BaseException as error:  # noqa: BLE001  raised again below, in the thread that waits
            failures.append(error)

    threads = [threading.Thread(target=work, args=(places,), daemon=True) for places in results]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = total()
    if failures:
        raise failures[0]
    found = Sweep(read, size, [(0, 0)], _merged(results))
    if lines is None:
        lines = found._count(0, size)
    if size:
        found.known.append((size, lines))
    return found


class _Numbers:
    """Block numbers, each handed out once."""

    def __init__(self, stop: int) -> None:
        self._next = 0
        self._stop = stop
        self._lock = threading.Lock()

    def __call__(self) -> int | None:
        with self._lock:
            number = self._next
            self._next += 1
        return number if number < self._stop else None


def _worker(
    read: ReadInto,
    pull: Callable[[], int | None],
    places: _Places,
    compiled: Compiled | None,
    by_re: Callable[[bytes], list[tuple[int, int]]] | None,
) -> None:
    buffer = bytearray(BLOCK + OVERLAP)
    view = memoryview(buffer)
    scratch = compiled.scratch() if compiled is not None else None
    found: list[tuple[int, int]] = []

    def on_match(number: int, _start: int, end: int, _flags: int, _context: object) -> None:
        found.append((number, end))

    while (number := pull()) is not None:
        offset = number * BLOCK
        got = read(view, offset)
        block = buffer if got == len(buffer) else bytes(view[:got])
        if compiled is not None:
            if got:
                compiled.scan(block, on_match, scratch)
        elif by_re is not None:
            found.extend(by_re(bytes(block)))
        for expression, end in found:
            places.add(expression, offset + end)
        found.clear()


def _by_re(expressions: Sequence[Expression]) -> Callable[[bytes], list[tuple[int, int]]]:
    """The same by Python's `re`, where there is no hyperscan: slower by far, with the same answers."""
    compiled = [
        (number, re.compile(source.encode("utf-8"), re.MULTILINE | (re.IGNORECASE if ignore_case else 0)))
        for number, (source, ignore_case) in enumerate(expressions)
    ]

    def scan(block: bytes) -> list[tuple[int, int]]:
        return [(number, found.end()) for number, expression in compiled if (found := expression.search(block))]

    return scan


def _merged(results: Sequence[_Places]) -> dict[int, list[int]]:
    merged: dict[int, list[int]] = {}
    for number in {number for places in results for number in places.first}:
        offsets = sorted(
            {offset for places in results for offset in (*places.first.get(number, ()), *places.last.get(number, ()))}
        )
        merged[number] = offsets if len(offsets) <= 2 * KEPT else offsets[:KEPT] + offsets[-KEPT:]
    return merged


def line_starts(data: bytes) -> list[int]:
    """Where the lines of a piece begin."""
    starts, at = [0], data.find(b"\n")
    while at >= 0:
        starts.append(at + 1)
        at = data.find(b"\n", at + 1)
    return starts


def line_of(starts: Sequence[int], offset: int) -> int:
    """The index of the line that holds an offset."""
    return bisect_right(starts, offset) - 1

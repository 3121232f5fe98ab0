"""Of a large log only windows are read: its head, its tail, and where one pass found what may explain a failure."""

from __future__ import annotations

import hashlib
import re
from bisect import bisect_left
from dataclasses import dataclass

from devops_agent.distil.stored import Stored
from devops_agent.scan import Signatures
from devops_agent.scan.sweep import KEPT, Sweep, sweep

_ENDS = (
    r"Process completed with exit code [1-9]",
    r"exited with (?:code '?|status )?[1-9]",
    r"ERROR: Job failed",
    r"script returned exit code [1-9]",
    r"Finished: (?:FAILURE|UNSTABLE|ABORTED)",
    r"Exited with code",
    r"returned a non-zero code",
    r"The build has been terminated",
    r"No output has been received",
    r"Main process exited, code=",
    r"The operation was canceled",
)
_STRONG = (
    r"##\[error\]",
    r"Traceback \(most recent call last\)",
    r"Caused by: ",
    r"panicked at ",
    r"panic: ",
    r"Exception in thread ",
    r"error(?:\[E\d+\])?: ",
    r"Error: ",
    r"Exception: ",
    r"ERROR",
    r"FATAL",
    r"fatal: ",
    r"FAILED",
    r"FAILURE",
    r"--- FAIL",
    r"npm ERR! ",
    r"\*\*\* ",
    r"Segmentation fault",
    r"out of memory",
    r"OOMKilled",
    r"No space left on device",
    r"Permission denied",
    r"Connection refused",
    r"command not found",
    r"AssertionError",
    r'"level": ?"(?:error|fatal)"',
)
_SOFT = (r"error", r"Error", r"failed", r"Failed", r"exception", r"Exception", r"cannot", r"denied", r"not found")

_OWN = hashlib.sha256("\n".join((*_ENDS, *_STRONG, *_SOFT)).encode()).hexdigest()[:16]

HEAD, TAIL = 4 << 10, 32 << 10
BEFORE_END, AFTER_END = 24 << 10, 2 << 10
BEFORE, AFTER = 2 << 10, 4 << 10
AROUND_HIT = 1 << 10
LONGEST_LINE = 64 << 10


@dataclass(frozen=True, slots=True)
class Piece:
    """Whole lines of a log, and the number of the first of them."""

    line: int
    data: bytes


def windows(stored: Stored, signatures: Signatures | None) -> tuple[list[Piece], int]:
    """The pieces worth reading, in order, and the number of lines of the whole log."""
    key = "" if signatures is None else signatures.fingerprint
    folder = None if signatures is None else signatures.folder()
    found = sweep(
        stored.read_into, stored.size, f"{_OWN} {key}", lambda: _expressions(signatures), folder, stored.counting()
    )
    ranges = _ranges(found, len(_ENDS) + len(_STRONG) + len(_SOFT))
    pieces = [_piece(stored, found, start, stop) for start, stop in _merged(ranges, stored.size)]
    last = stored.read(stored.size - 1, 1)
    return [piece for piece in pieces if piece.data], found.total + (1 if last != b"\n" else 0)


def _expressions(signatures: Signatures | None) -> list[tuple[str, bool]]:
    """What large logs are scanned for: the shapes above, then the anchors of the runbooks."""
    own = [(source, False) for source in (*_ENDS, *_STRONG, *_SOFT)]
    return own + [(re.escape(anchor), True) for anchor in (signatures.anchors() if signatures else ())]


def _ranges(found: Sweep, own: int) -> list[tuple[int, int]]:
    """Ranges of bytes by priority, as many as fit into the budget; the largest logs get the least."""
    budget = (1 << 20) if found.size < (64 << 20) else (144 << 10)
    ends = sorted({place for number in range(len(_ENDS)) for place in found.places.get(number, ())})
    first, last = ends[:2], ends[-2:]
    ranges = [(found.size - TAIL, found.size), (0, HEAD)]
    ranges += [(place - BEFORE_END, place + AFTER_END) for place in dict.fromkeys(first + last)]
    strong = range(len(_ENDS), len(_ENDS) + len(_STRONG))
    ranges += _around(found, strong, first, BEFORE, AFTER)
    ranges += _around(found, range(own, max(found.places, default=0) + 1), first, AROUND_HIT, AROUND_HIT)
    ranges += _around(found, range(strong.stop, own), first, BEFORE, AFTER)
    kept = []
    for start, stop in ranges:
        budget -= stop - start
        if budget < 0:
            break
        kept.append((max(0, start), min(found.size, stop)))
    return kept


def _around(found: Sweep, numbers: range, ends: list[int], before: int, after: int) -> list[tuple[int, int]]:
    """Around the first and last places of each expression, and the last ones before the first failed end."""
    places: dict[int, None] = {}
    each = [offsets for number in numbers if (offsets := found.places.get(number))]
    for turn in range(KEPT):
        for offsets in each:
            if turn < len(offsets):
                places.setdefault(offsets[turn])
                places.setdefault(offsets[-1 - turn])
            for end in ends[:1]:
                at = bisect_left(offsets, end) - 1 - turn
                if at >= 0:
                    places.setdefault(offsets[at])
    return [(place - before, place + after) for place in places]


def _merged(ranges: list[tuple[int, int]], size: int) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, stop in sorted(ranges):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(stop, merged[-1][1]))
        elif stop > start and start < size:
            merged.append((start, stop))
    return merged


def _piece(stored: Stored, found: Sweep, start: int, stop: int) -> Piece:
    """The whole lines of a range, with the number of the first: counted from the block in which it begins."""
    block, before = found.before(start)
    data = stored.read(block, stop - block + LONGEST_LINE)
    begin = start - block
    if start > 0 and data[begin - 1 : begin] != b"\n":
        begin = data.rfind(b"\n", 0, begin) + 1 if begin else 0
        if begin == 0 and block > 0:
            begin = data.find(b"\n") + 1
    end = data.find(b"\n", stop - block)
    end = len(data) if end < 0 else end + 1
    return Piece(before + data.count(b"\n", 0, begin) + 1, data[begin:end])

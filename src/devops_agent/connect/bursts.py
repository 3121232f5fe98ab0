"""From lines to failures: what belongs together is one report, and the same failure again is not reported again."""

from __future__ import annotations

import re
import time
import uuid
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

BEFORE = 40
"""Lines before the first sign of a failure that are reported with it."""
MOST_LINES = 3000
MOST_KNOWN = 1000
_SIGN = re.compile(
    r"\b(?:error|err!|fatal|panic(?:ked)?|exception|traceback|critical|crit|emerg|failed|failure|segfault|core dumped|"
    r"out of memory|oom-kill\w*|cannot|unable to|refused|denied|no such|not found|timed out|abort(?:ed|ing)?)\b"
    r"|(?:Error|Exception)\b|status=(?!15/TERM)[1-9]|exit(?:ed)? (?:code|status) [1-9]",
    re.IGNORECASE,
)
_NO_SIGN = re.compile(
    r"\b(?:0|no) (?:errors?|failures?|failed)\b|\b(?:errors?|failed)\s*[=:]\s*(?:0|null|none|false)\b", re.I
)


@dataclass(frozen=True)
class Failure:
    """One failure: where it was seen, its lines, what it has in common with its repeats, and how many were passed over
    since it was last reported. `name` is its own, so that it can be handed on twice and be taken once."""

    source: str
    text: str
    key: str
    repeats: int = 0
    name: str = field(default_factory=lambda: uuid.uuid4().hex)


@dataclass
class Burst:
    """Lines that belong together; `begun` and `last` in seconds."""

    lines: list[str]
    begun: float
    last: float
    left_out: int = 0


@dataclass
class Bursts:
    """Collects the lines of one source.

    A burst begins with a sign of failure, goes on while lines come, ends after `quiet` seconds without any, and at the
    latest after `longest`.
    """

    source: str
    judge: Callable[[str], str | None]
    quiet: float = 2.0
    longest: float = 30.0
    clock: Callable[[], float] = time.monotonic
    _before: deque[str] = field(default_factory=lambda: deque(maxlen=BEFORE))
    _burst: Burst | None = None

    @property
    def open(self) -> bool:
        """Whether something has begun that may be a failure."""
        return self._burst is not None

    def add(self, lines: list[str]) -> None:
        """Take in new lines."""
        present = self.clock()
        for line in lines:
            if self._burst is None and is_sign(line):
                self._burst = Burst([*self._before], present, present)
                self._before.clear()
            if self._burst is None:
                self._before.append(line)
                continue
            self._burst.last = present
            if len(self._burst.lines) < MOST_LINES:
                self._burst.lines.append(line)
            else:
                self._burst.left_out += 1

    def ended(self, now: bool = False) -> Failure | None:
        """The failure, if one has ended and is one at all. `now`: whatever has begun ends."""
        burst, present = self._burst, self.clock()
        if burst is None:
            return None
        if not now and present - burst.last < self.quiet and present - burst.begun < self.longest:
            return None
        self._burst = None
        self._before.extend(burst.lines[-BEFORE:])
        if burst.left_out:
            burst.lines.append(f"[{burst.left_out} lines after this were left out]")
        text = "\n".join(burst.lines) + "\n"
        key = self.judge(text)
        return Failure(self.source, text, key) if key is not None else None


class CoolDown:
    """Lets a failure through once within `seconds`; counts its repeats."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds = seconds
        self.clock = clock
        self._known: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def told(self, key: str, ago: float) -> None:
        """Such a failure was reported so many seconds ago."""
        self._known[key] = (self.clock() - ago, 0)

    def passes(self, failure: Failure) -> Failure | None:
        """The failure with the number of its repeats meanwhile; None where it was reported only just."""
        present = self.clock()
        reported, repeats = self._known.get(failure.key, (None, 0))
        if reported is not None and present - reported < self.seconds:
            self._known[failure.key] = (reported, repeats + 1)
            return None
        self._known[failure.key] = (present, 0)
        self._known.move_to_end(failure.key)
        while len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)
        return Failure(failure.source, failure.text, failure.key, repeats)


def is_sign(line: str) -> bool:
    """Whether a line may belong to a failure; whether it does, the whole burst says."""
    return bool(_SIGN.search(line)) and not _NO_SIGN.search(line)


def judged(text: str) -> str | None:
    """What a burst has in common with its repeats; None where it shows no failure."""
    from devops_agent.distil import distil_source
    from devops_agent.scan import Signatures

    digest = distil_source(text.encode("utf-8", "replace"), Signatures([]))
    return digest.fingerprint if digest.failing else None

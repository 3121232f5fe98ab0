"""How many requests one caller may make: a bucket of tokens for each, refilled as time passes. Counted per process."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict

MOST = 10_000
"""Callers remembered at once; of more, those that were not seen for longest begin anew."""


class Buckets:
    """`rate` requests a second go on and on; `burst` may come at once."""

    def __init__(self, rate: float, burst: float) -> None:
        self.rate = rate
        self.burst = burst
        self._kept: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, caller: str, at: float | None = None) -> float:
        """Take a token: 0 where there was one, else in how many seconds there will be."""
        moment = time.monotonic() if at is None else at
        with self._lock:
            left, before = self._kept.pop(caller, (self.burst, moment))
            left = min(self.burst, left + (moment - before) * self.rate)
            short = 1.0 - left
            self._kept[caller] = (left if short > 0 else left - 1.0, moment)
            if len(self._kept) > MOST:
                self._kept.popitem(last=False)
        return max(0.0, short / self.rate)

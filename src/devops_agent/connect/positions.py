"""Up to where a source was followed, kept over restarts: what comes while nobody watches is reported afterwards, once.

A position is where the first line stands that nobody has answered for yet: what has been read may belong to a failure
that is still being collected, or that waits to be handed on.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Any

log = logging.getLogger("devops_agent.watch")

Mark = dict[str, Any]
"""Where something stands in a source; what is in it, the source knows."""
MOST_KNOWN = 1000
SAVE_SECONDS = 1.0


class Position:
    """Of one source that is reported to one receiver. Safe to use from the thread that follows and the one that hands
    on. Without a file nothing is kept."""

    def __init__(self, file: Path | None = None) -> None:
        self.file = file
        self.mark: Mark | None = None
        self.told: dict[str, float] = {}
        """When each kind of failure was handed on last, by this machine's clock."""
        self._here: Mark | None = None
        self._begun: Mark | None = None
        self._waiting: deque[Mark | None] = deque()
        self._saved: tuple[Mark | None, int] = (None, 0)
        self._at = 0.0
        self._lock = threading.Lock()
        if file is not None and file.exists():
            self._read(file)

    def name(self, source: str, begun: Mark | None) -> str | None:
        """What a failure that begins there is called, again and again; None where nobody can say where it begins."""
        if self.file is None or begun is None:
            return None
        where = {each: value for each, value in begun.items() if each != "tail"}
        text = json.dumps([os.uname().nodename, source, where], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def began(self, mark: Mark | None) -> None:
        """A failure begins somewhere behind this mark."""
        with self._lock:
            self._begun = mark

    def ended(self, waits: bool) -> Mark | None:
        """The failure that had begun has ended: it waits to be handed on, or was none. Where it began."""
        with self._lock:
            begun, self._begun = self._begun, None
            if waits:
                self._waiting.append(begun)
            return begun

    def came(self, mark: Mark | None) -> None:
        """Everything before this mark has been looked at."""
        with self._lock:
            self._here = mark

    def handed_on(self, key: str | None) -> None:
        """The failure that has waited longest is answered for; `key`: it was taken."""
        with self._lock:
            if self._waiting:
                self._waiting.popleft()
            if key is not None:
                self.told.pop(key, None)
                self.told[key] = time.time()
                while len(self.told) > MOST_KNOWN:
                    self.told.pop(next(iter(self.told)))
        self.save(now=True)

    def dropped(self) -> None:
        """The failure that ended last is not handed on after all."""
        with self._lock:
            self._waiting.pop()

    def save(self, now: bool = False) -> None:
        """Write it down where it has changed, at most once in a while unless it has to be `now`."""
        if self.file is None or (not now and time.monotonic() - self._at < SAVE_SECONDS):
            return
        with self._lock:
            mark = self._waiting[0] if self._waiting else self._begun or self._here
            state = (mark, len(self.told))
            if mark is None or (state == self._saved and not now):
                return
            self._saved, self._at = state, time.monotonic()
            fresh = self.file.with_name(f"{self.file.name}.new")
            try:
                self.file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                with os.fdopen(os.open(fresh, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "w") as out:
                    json.dump({"mark": mark, "told": self.told}, out)
                fresh.replace(self.file)
            except OSError as error:
                log.warning("the position cannot be kept: %s: %s", self.file, error.strerror or error)
                with suppress(OSError):
                    fresh.unlink()

    def _read(self, file: Path) -> None:
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
            self.mark = dict(found["mark"])
            self.told = {str(key): float(at) for key, at in found["told"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            log.warning("%s: not a position (%s); beginning anew", file, type(error).__name__)


def kept(folder: Path, source: str, receiver: str) -> Position:
    """The position of a source for a receiver, in a folder."""
    name = hashlib.sha256(f"{receiver}\n{source}".encode()).hexdigest()[:24]
    return Position(folder / "watch" / f"{name}.json")

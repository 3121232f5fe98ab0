"""Follows the events for everybody in this process who watches: one query now and then, however many they are."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Iterator

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from devops_agent.jobs import feed
from devops_agent.jobs.feed import Event

log = logging.getLogger("devops_agent.watch")

POLL_SECONDS = 0.25
"""How late an event of another process may be seen."""
REMEMBERED = 2000
_SLICE = 0.5


class Watch:
    """Hands new events to all who follow. Its thread runs only while somebody does."""

    def __init__(self, engine: Engine, changed: threading.Condition, stopping: threading.Event) -> None:
        self.engine = engine
        self.changed = changed
        self.stopping = stopping
        self._news = threading.Condition()
        self._recent: deque[Event] = deque(maxlen=REMEMBERED)
        self._floor = self._newest = 0
        self._watchers = 0
        self._thread: threading.Thread | None = None

    def follow(self, position: int, job: str | None = None, quiet: float = 15.0) -> Iterator[list[Event]]:
        """Events after this number as they come, of one job or of all; an empty list where nothing came for `quiet`
        seconds. Ends when the process is told to stop."""
        self._join()
        try:
            while not self.stopping.is_set():
                found, position = self._after(position, job, quiet)
                yield found
        finally:
            with self._news:
                self._watchers -= 1

    def _join(self) -> None:
        with self._news:
            self._watchers += 1
            if self._thread is None or not self._thread.is_alive():
                self._recent.clear()
                self._floor = self._newest = feed.newest(self.engine)
                self._thread = threading.Thread(target=self._look, name="watch", daemon=True)
                self._thread.start()

    def _after(self, position: int, job: str | None, quiet: float) -> tuple[list[Event], int]:
        """What came after a position, and the position up to which was looked."""
        with self._news:
            reached, remembered = self._newest, position >= self._floor
        if not remembered:
            found = feed.since(self.engine, position, job)
            whole = len(found) < feed.MOST
            position = max(reached if whole else 0, found[-1].id if found else position)
            if found or not whole:
                return found, position
        deadline = time.monotonic() + quiet
        while not self.stopping.is_set():
            with self._news:
                if position < self._floor:  # slept too long: others pushed out what we have not seen
                    return [], position
                reached = self._newest
                found = [each for each in self._recent if each.id > position and job in (None, each.job)]
                left = deadline - time.monotonic()
                if found or left <= 0:
                    return found, max(position, reached)
                position = max(position, reached)
                self._news.wait(min(_SLICE, left))
        return [], position

    def _look(self) -> None:
        while not self.stopping.is_set():
            with self._news:
                if self._watchers <= 0:
                    self._thread = None
                    return
            try:
                self._take(feed.since(self.engine, self._newest))
            except SQLAlchemyError:
                log.exception("the events cannot be read; trying again")
                self.stopping.wait(1.0)
            with self.changed:
                self.changed.wait(POLL_SECONDS)
        with self._news:
            self._news.notify_all()

    def _take(self, found: list[Event]) -> None:
        if not found:
            return
        with self._news:
            self._recent.extend(found)
            self._newest = found[-1].id
            if len(self._recent) == REMEMBERED:
                self._floor = max(self._floor, self._recent[0].id - 1)
            self._news.notify_all()

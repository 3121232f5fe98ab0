"""Work that many threads bring at once, done together by one of them: a group commit.

Who comes first leads: it waits a moment for those that are expected, does the work of all who came, and wakes them; one
of those who came meanwhile leads next. Nobody waits for a group that is not its own.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Together(Generic[T]):
    """`work` is given what a group brought, and says in the items what came of each; what it raises, who led gets."""

    def __init__(self, work: Callable[[list[T]], None]) -> None:
        self._work = work
        self._lock = threading.Lock()
        self._coming: list[_Coming[T]] = []
        self._led = False
        self._expected = 1
        self._wanted = 0
        self._all_here = threading.Semaphore(0)

    def add(self, item: T, patience: float = 0.0) -> None:
        """Have the work done, with what others bring; `patience`: seconds that they are waited for at most."""
        mine = _Coming(item)
        with self._lock:
            self._coming.append(mine)
            leads, self._led = not self._led, True
            if len(self._coming) == self._wanted:
                self._wanted = 0
                self._all_here.release()
        if leads or mine.told_to_lead():
            self._lead(patience)

    def _lead(self, patience: float) -> None:
        if patience:
            self._gather(patience)
        with self._lock:
            group, self._coming = self._coming, []
        try:
            self._work([each.item for each in group])
        finally:
            with self._lock:
                self._expected = len(group) + len(self._coming)
                following = self._coming[0] if self._coming else None
                self._led = following is not None
            for each in group:
                each.tell(lead=False)
            if following is not None:
                following.tell(lead=True)

    def _gather(self, patience: float) -> None:
        """Wait for as many as there were at the end of the last group, in it and behind it."""
        with self._lock:
            if len(self._coming) >= self._expected:
                return
            self._wanted = self._expected
        if not self._all_here.acquire(timeout=patience):
            with self._lock:
                late, self._wanted = self._wanted == 0, 0
            if late:
                self._all_here.acquire()


class _Coming(Generic[T]):
    """What one thread brings, and what that thread is told."""

    def __init__(self, item: T) -> None:
        self.item = item
        self._leads = False
        self._told = threading.Lock()
        self._told.acquire()

    def tell(self, lead: bool) -> None:
        """Let the thread go on: to lead, or with its work done."""
        self._leads = lead
        self._told.release()

    def told_to_lead(self) -> bool:
        """Wait until it is told, and what."""
        self._told.acquire()
        return self._leads

"""The keys as this process knows them: looked up again after a moment, so that a revoked one soon opens nothing."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from devops_agent.jobs import keys

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Engine

    from devops_agent.jobs.keys import Key

FRESH_SECONDS = 2.0
"""How long a look at the keys counts; longest time for which a key that was revoked by another process still opens."""
MOST = 1000


class Keyring:
    """Whether there are keys, and which key a text is, without asking the database at every request."""

    def __init__(self, engine: Callable[[], Engine]) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._closed = False
        self._looked = -FRESH_SECONDS
        self._known: dict[str, tuple[float, Key | None]] = {}
        self._used: dict[str, float] = {}

    def closed(self) -> bool:
        """Whether keys are needed: there is one, or was. Once closed, a process stays so."""
        if self._closed:
            return True
        moment = time.monotonic()
        if moment - self._looked >= FRESH_SECONDS:
            self._closed = keys.exist(self._engine())
            self._looked = moment
        return self._closed

    def opened(self, text: str) -> Key | None:
        """The valid key that this text is. Its use is noted, once in a while."""
        found = self._find(keys.hashed(text), lambda: keys.opened(self._engine(), text))
        if found is None or not found.valid:
            return None
        self._note(found)
        return found

    def valid(self, name: str, begin: str) -> Key | None:
        """The key of this id, for a session that began with it, while it is valid and the same."""
        found = self._find(f"id {name}", lambda: keys.by_id(self._engine(), name))
        return found if found is not None and found.valid and found.hash.startswith(begin) else None

    def forget(self) -> None:
        """Look anew at the next request: something was changed."""
        with self._lock:
            self._known.clear()
            self._looked = -FRESH_SECONDS

    def _find(self, name: str, look: Callable[[], Key | None]) -> Key | None:
        moment = time.monotonic()
        kept = self._known.get(name)
        if kept is not None and moment - kept[0] < FRESH_SECONDS:
            return kept[1]
        found = look()
        with self._lock:
            if len(self._known) >= MOST:
                self._known.clear()
            if found is not None:
                self._known[name] = (moment, found)
            else:
                self._known.pop(name, None)
        return found

    def _note(self, key: Key) -> None:
        moment = time.time()
        with self._lock:
            last = self._used.get(key.id) or (key.used.timestamp() if key.used else 0.0)
            if moment - last < keys.USED_EVERY:
                return
            self._used[key.id] = moment
        keys.note_used(self._engine(), [(key.id, moment)])

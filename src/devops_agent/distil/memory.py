"""Digests of short texts that came in lately: the same text, read with the same signatures, says the same again."""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from devops_agent.model import Digest
    from devops_agent.scan import Signatures

KEPT = 256
"""Digests that are kept at most."""
SHORT = 16_000
"""Characters of a text whose digest is kept: all of them together take some ten megabytes at most."""


class Digests:
    """The last digests that were made with one set of signatures; when others come into force it begins anew."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Hashable, Digest] = OrderedDict()
        self._signatures: Callable[[], Signatures | None] = lambda: None
        self._lock = threading.Lock()

    def of(self, text: str, signatures: Signatures, terms: Hashable, make: Callable[[], Digest]) -> Digest:
        """The digest of this text that was made on the same terms before, or else the one that is made now."""
        if len(text) > SHORT:
            return make()
        key = (text, terms)
        with self._lock:
            if self._signatures() is not signatures:
                self._kept.clear()
                self._signatures = weakref.ref(signatures)
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
                return found
        made = make()
        with self._lock:
            if self._signatures() is signatures:
                self._kept[key] = made
                while len(self._kept) > KEPT:
                    self._kept.popitem(last=False)
        return made

"""Which of thousands of strings stand in a short text, without looking for each of them.

Of every string one run of four characters is kept, the rarest among all strings. A text has at most as many runs as
characters; only strings whose run is one of them are looked for, and the few that are shorter than a run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

WIDTH = 4
LONG = 16_000
"""Characters of a text from which on its runs would take more memory than they save time."""


class Grams:
    """An index over strings; `held` answers for one text after the other."""

    def __init__(self, strings: Iterable[str]) -> None:
        wanted = set(strings)
        self._all = sorted(wanted)
        self._short = sorted(each for each in wanted if len(each) < WIDTH)
        long = sorted(each for each in wanted if len(each) >= WIDTH)
        times = Counter(run for each in long for run in _runs(each, WIDTH))
        index: dict[str, list[str]] = {}
        for each in long:
            index.setdefault(min(sorted(_runs(each, WIDTH)), key=times.__getitem__), []).append(each)
        self._index = {run: tuple(found) for run, found in index.items()}
        self._known = frozenset(index)

    def held(self, text: str) -> set[str]:
        """The strings that stand in the text."""
        if len(text) > LONG:
            return {each for each in self._all if each in text}
        index = self._index
        found = {each for run in self._known & _runs(text, WIDTH) for each in index[run] if each in text}
        found.update([each for each in self._short if each in text])
        return found


def _runs(text: str, width: int) -> set[str]:
    """All runs of so many characters."""
    return {text[start : start + width] for start in range(len(text) - width + 1)}

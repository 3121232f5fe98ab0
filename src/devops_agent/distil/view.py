"""What can be seen of each line and around it: the numbers by which lines are ranked.

Everything is counted once for the whole log (prefix sums, distances to the nearest line of a group); `vector` then
puts together what concerns one line.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Sequence

from devops_agent.distil.formats import Message
from devops_agent.distil.kinds import KINDS, kinds
from devops_agent.distil.marks import marks

K = KINDS
STRONG = (
    K["exception"] | K["error_head"] | K["diagnostic"] | K["fail_head"] | K["trace_head"] | K["make"] | K["counts"]
    | K["error_upper"]
)  # fmt: skip
SOFT = (
    STRONG | K["error_word"] | K["fail_word"] | K["trouble"] | K["assertion"] | K["frame"] | K["numbered"] | K["script"]
)
_GROUPS = (
    STRONG, K["frame"], K["trouble"] | K["error_word"] | K["fail_word"], K["passed"], K["divider"], K["fetching"],
    K["heading"], K["assertion"] | K["pointer"] | K["diff"], K["counts"], K["script"] | K["make"],
)  # fmt: skip
ECHO = 1 << 39
"""The line repeats the text of a command."""
MARKED = 1 << 40
"""The CI system itself calls the line an error."""

_DIGITS = re.compile(r"\d+")
_FAR = 99
_STEPS = [int(math.log2(number + 1) * 2) for number in range(5000)]


def _step(number: int) -> int:
    """A distance on a logarithmic scale, so that near things are told apart and far ones are not."""
    if number <= 0:
        return 0
    return _STEPS[number] if number < 5000 else int(math.log2(number + 1) * 2)


class View:
    """A log as a sequence of lines that know their surroundings."""

    def __init__(self, messages: Sequence[Message]) -> None:
        self.texts = [message.text for message in messages]
        self.size = len(self.texts)
        self.marks = marks(messages)
        self.bits = [self._bits(index, message) for index, message in enumerate(messages)]
        self.blank = [not text or text.isspace() for text in self.texts]
        self.shapes = [_DIGITS.sub("0", text.strip()) for text in self.texts]
        self.seen = Counter(self.shapes)
        self.heads = [shape.split(None, 1)[0] if shape else "" for shape in self.shapes]
        self.indents = [len(text) - len(text.lstrip()) for text in self.texts]
        self.ends = sorted(self.marks.failed + self.marks.fine)
        self._failed = set(self.marks.failed)
        every, far = self._union(0, self.size), [_FAR] * self.size
        self._near = [(self._before(group), self._after(group)) if every & group else (far, far) for group in _GROUPS]
        self._strong = self._sums(STRONG)
        self._soft = self._sums(SOFT)
        self._paragraphs()

    def vector(self, index: int) -> list[int]:
        """Seven bit sets (own, neighbours', paragraph's), then numbers: distances, counts, form, place."""
        values = self._surroundings(index)
        for before, after in self._near:
            values.append(before[index])
            values.append(after[index])
        self._section(index, values)
        self._form(index, values)
        return values

    def section(self, index: int) -> tuple[int, int]:
        """From where to where the command goes, to whose output the line belongs."""
        begun = self.marks.begun
        at = bisect_right(begun, index) - 1
        end = bisect_left(self.ends, index)
        stop = self.ends[end] if end < len(self.ends) else self.size
        following = begun[at + 1] if at + 1 < len(begun) else self.size
        return (begun[at] if at >= 0 else 0), min(stop, following)

    def failing_section(self, index: int) -> bool:
        """Whether the next end of a command after the line says that it failed."""
        end = bisect_left(self.ends, index)
        return end < len(self.ends) and self.ends[end] in self._failed

    def _bits(self, index: int, message: Message) -> int:
        if index in self.marks.echo:
            return ECHO
        bits = kinds(message.text)
        if bits & (K["nothing"] | K["quiet_level"]):
            bits &= ~STRONG
        return bits | MARKED if message.mark == "error" else bits

    def _before(self, group: int) -> list[int]:
        last, found = -_FAR, []
        for index, bits in enumerate(self.bits):
            found.append(min(_FAR, index - last))
            if bits & group:
                last = index
        return found

    def _after(self, group: int) -> list[int]:
        last, found = self.size + _FAR, [0] * self.size
        for index in range(self.size - 1, -1, -1):
            found[index] = min(_FAR, last - index)
            if self.bits[index] & group:
                last = index
        return found

    def _sums(self, group: int) -> list[int]:
        total, sums = 0, [0]
        for bits in self.bits:
            total += 1 if bits & group else 0
            sums.append(total)
        return sums

    def _paragraphs(self) -> None:
        """Where the paragraph (lines without an empty one between them) of each line begins and ends."""
        self.first, self.past = [0] * self.size, [self.size] * self.size
        start = 0
        for index, blank in enumerate(self.blank):
            if blank:
                start = index + 1
            self.first[index] = start
        stop = self.size
        for index in range(self.size - 1, -1, -1):
            if self.blank[index]:
                stop = index
            self.past[index] = stop

    def _union(self, start: int, stop: int) -> int:
        union = 0
        for bits in self.bits[max(0, start) : max(0, stop)]:
            union |= bits
        return union

    def _surroundings(self, index: int) -> list[int]:
        bits, size = self.bits, self.size
        first = self.first[index]
        return [
            bits[index],
            bits[index - 1] if index else 0,
            bits[index + 1] if index + 1 < size else 0,
            self._union(index - 4, index - 1),
            self._union(index + 2, index + 5),
            self._union(max(first, index - 30), min(self.past[index], index + 30)),
            bits[first] if first < size else 0,
        ]

    def _section(self, index: int, values: list[int]) -> None:
        failed, size, strong, soft = self.marks.failed, self.size, self._strong, self._soft
        at = bisect_left(failed, index)
        begin, limit = self.section(index)
        end = bisect_left(self.ends, index)
        status = 2 if end >= len(self.ends) else int(self.ends[end] in self._failed)
        stop = self.ends[end] if end < len(self.ends) else size
        first = failed[0] if failed else size
        here = min(index, limit)
        values += [
            _step(failed[at] - index) if at < len(failed) else 60,
            at if at < len(failed) else -1,
            _step(index - failed[at - 1]) if at else 60,
            _step(abs(first - index)) * (1 if index <= first else -1),
            _step(index - begin),
            status,
            _step(limit - index),
            int(limit < stop),
            min(60, strong[limit] - strong[here]),
            min(60, strong[index] - strong[begin]),
            min(60, soft[limit] - soft[here]),
            min(60, soft[index] - soft[begin]),
            min(200, strong[size] - strong[index]),
            min(200, strong[index]),
        ]

    def _form(self, index: int, values: list[int]) -> None:
        size, heads, first, past = self.size, self.heads, self.first[index], self.past[index]
        text = self.texts[index].lstrip()
        start = text[:200]
        values += [
            _step(index - first),
            _step(past - index),
            _step(past - first),
            min(40, self.seen[self.shapes[index]]),
            int(index > 0 and heads[index] == heads[index - 1]),
            int(index + 1 < size and heads[index] == heads[index + 1]),
            min(20, self.indents[index]),
            _step(len(text)),
            int(text[:1].isupper()),
            int(text.endswith(":")),
            int(text.endswith(".")),
            max(-20, min(20, self.indents[index] - (self.indents[index - 1] if index else 0))),
            20 * index // size,
            _step(size),
            _step(size - index),
            len(self.marks.failed),
            int(self.blank[index]),
            sum(map(str.isalpha, start)) * 10 // max(1, len(start)),
        ]

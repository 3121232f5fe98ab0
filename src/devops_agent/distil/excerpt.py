"""Which lines: a weight for each, and the best of them within a budget."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from devops_agent.distil.source import Text

_STRONG = re.compile(
    r"Traceback \(most recent|^\S+:\d+(?::\d+)?:? (?:fatal )?error|^error(?:\[E\d+\])?[: ]|^E   |\bFAILED\b|^npm ERR!|panic: |\bFATAL\b|^fatal: "
    r"|\b[A-Z]\w+(?:Error|Exception)\b|^ERROR\b|\bexit(?:ed)? (?:with )?(?:code|status) [1-9]|BUILD FAILED|Caused by:|\[ERROR\]"
)
_WEAK = re.compile(
    r"(?i)error|fail|exception|denied|refused|not found|cannot|unable|invalid|timed? ?out|no such|killed"
)
_EXIT = re.compile(
    r"Process completed with exit code [1-9]|^The command \".*\" (?:exited with [1-9]|failed)|exited with [1-9]\d*\.?$"
    r"|^Done\. Your build exited with [1-9]|Job failed|^Finished: FAILURE|^The build has been terminated|^Exited with code exit status [1-9]"
)
_FINE = re.compile(r"(?i)\b(?:0|no) (?:errors?|failures?|failed)|errors?: 0|failures?: 0|failed: 0|warning")


@dataclass(slots=True)
class Excerpt:
    """Indices of the chosen lines, those that decide, and the weight of each line that has one."""

    indices: list[int]
    decisive: list[int]
    failing: bool
    weights: dict[int, float] = field(default_factory=dict)

    def weight(self, index: int) -> float:
        """How decisive a line's place is, from 0 to 1."""
        return round(min(1.0, max(0.05, self.weights.get(index, 0.05))), 4)


def choose(text: Text, lines: int, chars: int, baseline: Text | None) -> Excerpt:  # noqa: ARG001
    """The lines that matter within the budget."""
    scores: dict[int, float] = {}
    exits = []
    for index, message in enumerate(text.messages):
        line = message.text
        if _EXIT.search(line):
            exits.append(index)
            scores[index] = 1.0
        elif message.mark == "error" or (_STRONG.search(line) and not _FINE.search(line)):
            scores[index] = 0.8
        elif _WEAK.search(line) and not _FINE.search(line):
            scores[index] = 0.3
    failing = bool(exits) or any(score > 0.5 for score in scores.values())
    first = exits[0] if exits else len(text.lines)
    weights = {index: score if abs(first - index) < 60 else score * 0.5 for index, score in scores.items()}
    spread: dict[int, float] = {}
    for index, weight in weights.items():
        for near in range(max(0, index - 3), min(len(text.lines), index + 9)):
            spread[near] = spread.get(near, 0.0) + weight / (1 + abs(near - index))
    for near in range(max(0, first - 12), min(first + 1, len(text.lines))):
        spread[near] = spread.get(near, 0.0) + 0.3
    chosen: list[int] = []
    used = 0
    for index in sorted(spread, key=lambda index: (-spread[index], -index)):
        if len(chosen) >= lines or used > chars:
            break
        if text.lines[index].strip():
            chosen.append(index)
            used += len(text.lines[index])
    if not chosen:
        chosen = [index for index in range(len(text.lines)) if text.lines[index].strip()][-min(lines, 10) :]
    decisive = sorted(sorted(weights, key=lambda index: (-weights[index], index))[:3]) or sorted(chosen)[:3]
    return Excerpt(sorted(chosen), decisive, failing, weights)

"""How sure a model may be: its own confidence, capped by what its conclusion rests on."""

from __future__ import annotations

import re
from collections.abc import Collection

from devops_agent.model import Digest, Evidence

_TROUBLE = re.compile(
    r"error|fatal|fail|exception|panic|refused|denied|cannot|unable|not found|no such|killed|abort|time.?out|full"
    r"|in use|expired|invalid|missing|unexpected|exceeded|unhealthy|exit",
    re.IGNORECASE,
)
MOST = 0.95
"""No model is surer than that: nobody has measured how often it is right."""


def telling(digest: Digest) -> bool:
    """Whether the log shows a failure, in words that speak of one."""
    return digest.failing and any(_TROUBLE.search(one.text) for one in digest.evidence)


def capped(
    sure: float, cited: Collection[str], digest: Digest, seen: Collection[Evidence], could_look: bool, refused: bool
) -> tuple[float, str | None]:
    """The confidence, and why it was lowered.

    `cited` are ids; `seen` what probes showed; `refused`: a first conclusion rested on what is not so.
    """
    probed = [one for one in seen if one.id in cited and one.data is not None]
    speaking = [one for one in digest.evidence if one.id in cited and _TROUBLE.search(one.text)]
    caps: list[tuple[float, str | None]] = [(MOST, None)]
    if could_look and not probed:
        caps.append((0.75, "no probe that it cites confirms it"))
    if not speaking and not probed:
        caps.append((0.4, "no line that it cites speaks of a failure"))
    if not digest.failing:
        caps.append((0.6, "the log does not end in a failure"))
    if refused:
        caps.append((0.6, "its first conclusion cited what is not so"))
    least, reason = min(caps, key=lambda each: each[0])
    return (round(sure, 3), None) if sure <= least else (least, reason)

"""How a short log ended by its own words: whoever says at the end that all is well means what came before, too."""

from __future__ import annotations

import re

from devops_agent.model import Digest

_SUCCESS = re.compile(
    r"BUILD SUCCESS|Finished: SUCCESS|Job succeeded|[Bb]uild succeeded|test result: ok|Result: PASS|passed successfully"
    r"|All tests (?:passed|successful)|\b[1-9]\d* (?:tests? |specs? |examples? )?pass(?:ed|ing)\b|^ok\s+\S|^# fail 0\b"
    r"|\b0 (?:failures|failed|errors|issues|vulnerabilities)\b|Failures: 0, Errors: 0|[Cc]ompleted successfully|^PASS\b"
    r"|^OK(?: \(|$)|100% tests passed|Errors: 0, Failures: 0"
    r"|(?i:\ball (?:\w+ )?(?:checks|steps|jobs|hooks) (?:passed|done)\b)"
    r"|exited with (?:code )?0\b|exit (?:code|status) 0\b|added \d+ packages|Error \d+ \(ignored\)|^Published "
)
_FAILURE = re.compile(
    r"\bFAIL(?:ED|URE|URES)?\b|\b[1-9]\d* (?:tests? |specs? )?(?:failed|failing|failures?|errors?)\b"
    r"|^not ok (?!.*# TODO)"
    r"|(?:Failures|Errors): [1-9]|exit(?:ed)?(?: with)? (?:code|status) [1-9]|exited with [1-9]|^npm (?:ERR!|error)"
    r"|^fatal: |\bfailed with [1-9]"
    r"|Error \d+$|##\[error\]|[Jj]ob failed"
)
"""Words with which a tool ends that has found nothing wrong, and those of one that has."""

_SHORT = 80
"""Of a log of so few lines the excerpt holds enough to tell how it ended."""

_OVER = re.compile(
    r"(?i)\b(?:finished|completed|done|ended|import(?:ed)?)\W{1,3}(?:\w+ )?(?:successfully|without (?:any )?errors?)"
    r"|\b(?:is|are) (?:open|ready|up|reachable|healthy) (?:now|again|after \d+ (?:tries|attempts|retries))\b"
    r"|\b(?:recovered|reconnected|going on)\b(?!.*\b(?:error|fail))|\bstatus(?: code)?:? (?:0|2\d\d)$"
    r"|\berror count: 0$|\battempt \d+(?:/\d+)?:? (?:succeeded|ok|connected)\b|\bno errors? (?:found|left|any more)\b"
)
"""Words that only count on the very last line: what was said before was got over."""


def went_well(digest: Digest) -> bool:
    """Whether a short log ends well by its own words, whatever its lines were about (a test of failures, say)."""
    if digest.lines_read > _SHORT or not digest.evidence or any(_FAILURE.search(one.text) for one in digest.evidence):
        return False
    last = next((one for one in reversed(digest.evidence) if one.text.strip()), digest.evidence[-1])
    over = digest.lines_read - (last.line or 0) <= 1 and bool(_OVER.search(last.text.rstrip()))
    return over or any(_SUCCESS.search(one.text) for one in digest.evidence)

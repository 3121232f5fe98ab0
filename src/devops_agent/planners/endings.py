"""How a short log ended by its own words: whoever says at the end that all is well means what came before, too."""

from __future__ import annotations

import re

from devops_agent.model import Digest
from devops_agent.scan.memory import stands

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
    r"|^panic: (?!.*\[recovered)|^fatal: (?!\[)|\bfailed with [1-9]|\b(?:failed|unreachable)=[1-9]"
    r"|Error \d+$|##\[error\]|[Jj]ob failed"
)
"""Words with which a tool ends that has found nothing wrong, and those of one that has."""

_VERDICT = re.compile(
    r"^Finished: SUCCESS$|^Job succeeded\b|^Done\. Your build exited with 0\b"
    r"|^\S+ +: ok=\d+ .*\bunreachable=0 +failed=0\b"
)
"""What a CI system or a tool says last of a whole run: errors before it were borne (`...ignoring`, `|| true`)."""

_RUINED = re.compile(r"\b(?:failed|unreachable)=[1-9]")
_TASK_FAILED = re.compile(r"^(?:fatal|failed): \[")
_TASK_IGNORED = re.compile(r"^\.{3}ignoring$")
"""Ansible's words for a host that failed, for one more task that did, and for one that may."""

_SHORT = 80
"""Of a log of so few lines the excerpt holds enough to tell how it ended."""

_OVER = re.compile(
    r"(?i)\b(?:finished|completed|done|ended|import(?:ed)?)\W{1,3}(?:\w+ )?(?:successfully|without (?:any )?errors?)"
    r"|\bsuccessfully (?:rolled out|deployed|installed|completed)\b|✓ built in \d|^apply complete!"
    r"|\bcompiled successfully\b|^status: downloaded newer image\b"
    r"|\b(?:recovered|reconnected|going on)\b(?!.*\b(?:error|fail))|\bstatus(?: code)?:? (?:0|2\d\d)$"
    r"|\berror count: 0$|\battempt \d+(?:/\d+)?:? (?:succeeded|ok|connected)\b|\bno errors? (?:found|left|any more)\b"
)
"""Words that only count on the very last line: what was said before was got over."""

_GOT_OVER = re.compile(
    r"(?i)\b(?:is|are|became|now) (?:open|ready|up|reachable|healthy|available|online) "
    r"(?:now\b|again\b|after (?:about )?\d+ ?(?:tries|attempts|retries|ms|s\b|sec|min|m\b))"
    r"|\b(?:is|are) (?:up|ready|available|healthy)(?: and running)?(?: [-\u2013\u2014] |!|\.{0,3}$)"
    r"|\b(?:attempt|try|retry) #?\d+(?:/\d+| of \d+)?\b.{0,20}\b(?:succe\w+|ok|connected|200)\b"
    r"|\bwaiting for\b.{1,80}\b(?:ok|done|ready|up)[.!]?$"
    r"|\bconnection (?:was )?re-?established\b|\bre-?connected (?:to|after)\b"
)
"""What a program says that had waited for something: the refusals before it were only tries."""


_failed, _succeeded, _got_over = stands(_FAILURE), stands(_SUCCESS), stands(_GOT_OVER)


def went_well(digest: Digest, last_sign: int = 0) -> bool:
    """Whether a short log ends well by its own words, whatever its lines were about (a test of failures, say).

    `last_sign`: the last line with words of a known failure.
    """
    if digest.lines_read > _SHORT or not digest.evidence:
        return False
    last = next((one for one in reversed(digest.evidence) if one.text.strip()), digest.evidence[-1])
    at_end = digest.lines_read - (last.line or 0) <= 1
    if at_end and _VERDICT.search(last.text.strip()):
        return not _ruined([one.text.strip() for one in digest.evidence])
    over = max((one.line or 0 for one in digest.evidence if _got_over(one.text)), default=0)
    if over > last_sign and not any((one.line or 0) > over and _failed(one.text) for one in digest.evidence):
        return True
    if any(_failed(one.text) for one in digest.evidence):
        return False
    if at_end and _OVER.search(last.text.rstrip()):
        return True
    return any(_succeeded(one.text) for one in digest.evidence)


def _ruined(lines: list[str]) -> bool:
    """Whether the rest of a run's recap, or a task whose failure was not borne, contradicts the last line."""
    if any(_RUINED.search(line) for line in lines):
        return True
    failed = sum(1 for line in lines if _TASK_FAILED.search(line))
    return failed > sum(1 for line in lines if _TASK_IGNORED.search(line))

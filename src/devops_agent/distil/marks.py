# ruff: noqa: E501  expressions are easier to compare on one line each
"""Where commands begin and where they end: the anchors that every CI system leaves in its log."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from devops_agent.distil.formats import Message

_BAD_EXIT = re.compile(
    r"Process completed with exit code [1-9]|exited with (?:code '?|status )?-?[1-9]\d*'?\.?$|^The command \".*\" failed"
    r"|^Done\. Your build exited with [1-9]|^The build has been terminated|^No output has been received"
    r"|^ERROR: Job failed|script returned exit code [1-9]|^Finished: (?:FAILURE|UNSTABLE|ABORTED)"
    r"|^(?:Error: )?Exited with code(?: exit status)? [1-9]|returned a non-zero code: [1-9]|^Error: The operation was canceled"
    r"|The (?:command|process|job|runner) .{0,200}(?:failed with exit code [1-9]|exited with status [1-9]|has (?:timed out|exceeded))"
    r"|^The job (?:running on|has exceeded)|Main process exited, code=(?:exited|killed|dumped), status=(?!15/TERM)[1-9]|\bOOMKilled\b"
    r"|^Command exited with code [1-9]|^(?:Build|Job) step .{0,80} marked build as failure"
)
_GOOD_EXIT = re.compile(
    r"exited with (?:code |status )?0\.?$|^Finished: SUCCESS|^Job succeeded|^Done\. Your build exited with 0"
)
_BEGIN = re.compile(
    r"^\$ \S|^Step \d+/\d+ : |^\[Pipeline\] (?:sh|bat|stage|powershell)|^#\d+ \[[^\]]{1,80}\] |^Starting: |^Task +: |^\[command\]|^=> "
)
_NEEDS = (
    "exit",
    "terminated",
    "failed",
    "has ex",
    "non-zero",
    "FAILURE",
    "UNSTABLE",
    "ABORTED",
    "No output",
    "OOM",
    "cancel",
    "timed out",
    "marked",
)
_GOOD_NEEDS = ("exited", "SUCCESS", "succeeded")
_BEGIN_HEADS = frozenset("$S[#T=")
_COMMIT = re.compile(r"commit [0-9a-f]{7,64}(?: \(.*\))?$")
_COMMIT_HEAD = ("Author:", "AuthorDate:", "Commit:", "CommitDate:", "Date:", "Merge:")
_SUBJECT_HEADS = frozenset("HPC[")
_SUBJECT = re.compile(
    r"(?:HEAD is now at|Previous HEAD position was) [0-9a-f]{7,64} |Commit message: \""
    r"|\[\S{1,200} (?:\(root-commit\) )?[0-9a-f]{7,64}\] "
)
"""What git (`log`, `show`, `checkout`, `reset`, `commit`) and CI systems put around the words of a commit's author."""


_MARKER_BEGIN = 'The command "'
_LONGEST_MARKER = 80


@dataclass(slots=True)
class Marks:
    """Indices of lines: ends of commands that failed, of those that did not, and beginnings of commands or steps.

    `echo` are lines in which the CI system repeats the command itself (text of scripts, and no output of theirs), or git
    the messages of commits: what they speak of did not happen here.
    """

    failed: list[int]
    fine: list[int]
    begun: list[int]
    echo: set[int]


def marks(messages: Sequence[Message]) -> Marks:
    """The anchors of a log."""
    found = Marks([], [], [], set(_of_commits(messages)))
    group = -1
    for index, message in enumerate(messages):
        text = message.text
        if index in found.echo:
            continue
        if message.mark in ("group", "section", "command"):
            found.begun.append(index)
            group = index if message.mark == "group" and text.startswith("Run ") else -1
        elif message.mark == "endgroup":
            if group >= 0:  # one that nobody closes may go on over all that was put out
                found.echo.update(range(group + 1, index))
            group = -1
        elif text[:1] in _BEGIN_HEADS and _BEGIN.search(text):
            found.begun.append(index)
        elif any(need in text for need in _NEEDS) and _BAD_EXIT.search(text):
            found.failed.append(_marker(messages, index, found.echo))
        elif any(need in text for need in _GOOD_NEEDS) and _GOOD_EXIT.search(text):
            found.fine.append(_marker(messages, index, found.echo))
    return found


def _of_commits(messages: Sequence[Message]) -> Iterator[int]:
    """Lines with the words of commits' authors."""
    inside = False
    for index, message in enumerate(messages):
        text = message.text
        if text.startswith("commit ") and _COMMIT.match(text):
            inside = index + 1 < len(messages) and messages[index + 1].text.startswith(_COMMIT_HEAD)
        elif (text[:1] in _SUBJECT_HEADS and _SUBJECT.match(text)) or (inside and text.startswith("    ")):
            yield index
        elif inside and text and not text.startswith(_COMMIT_HEAD):
            inside = False


def _marker(messages: Sequence[Message], index: int, echo: set[int]) -> int:
    """Where the end marker of a command begins: one that repeats a script goes over several lines."""
    if messages[index].text.startswith(_MARKER_BEGIN) or '"' not in messages[index].text:
        return index
    for start in range(index - 1, max(-1, index - _LONGEST_MARKER), -1):
        if messages[start].text.startswith(_MARKER_BEGIN):
            echo.update(range(start + 1, index))
            return start
    return index

"""What kind of log it is, and what of a line was put there by the CI system rather than by the failing tool."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

_STAMP = r"\[?\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?: ?(?:Z|UTC|[+-]\d\d:?\d\d))?\]?:?[ \t]?"
_PREFIX = re.compile(
    r"\ufeff?(?:"
    r"(?:[^\t]{1,120}\t[^\t]{1,120}\t\ufeff?)?" + _STAMP + r"(?:\d\d[OE][+ ]?)?"
    r"|[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d(?:\.\d+)? \S+ [\w@./:-]+(?:\[\d+\])?: "
    r"|#\d{1,4} (?:\d+\.\d+ )?(?=\S)"
    r"|\[\d\d:\d\d:\d\d(?:\.\d+)?\]:?[ \t]+"
    r"|\d\d:\d\d:\d\d(?:[.,]\d+)?[ \t]+(?=\S)"
    r"|\[pod/[^\]]{1,200}\] "
    r"|(?:[a-z][\w.-]{0,40}[-_]\d{1,3}|[a-z][\w.-]{0,40}) +\| "
    r")+"
)
_MARK = re.compile(r"##\[(\w+)\]|::(error|warning|notice|group|endgroup|debug)(?: [^:]{0,400})?::")
_STARTS = frozenset("0123456789[#\ufeffABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")

_SIGNS: tuple[tuple[str, tuple[str, ...], re.Pattern[str]], ...] = (
    # format, what the text must hold (any of), expression for one line
    (
        "github",
        ("##[", "::", "GITHUB_TOKEN"),
        re.compile(r"##\[(?:group|error|endgroup|warning)\]|^::(?:error|group)|GITHUB_TOKEN Permissions"),
    ),
    ("azure", ("##[section]", "##vso["), re.compile(r"##\[section\]|##vso\[")),
    (
        "gitlab",
        ("section_", "gitlab-runner", "ERROR: Job failed"),
        re.compile(r"section_(?:start|end):\d+:|Running with gitlab-runner|^ERROR: Job failed"),
    ),
    (
        "jenkins",
        ("[Pipeline]", "Started by ", "Finished: "),
        re.compile(r"^\[Pipeline\]|^Started by (?:user|timer|upstream)|^Finished: (?:FAILURE|SUCCESS|UNSTABLE)"),
    ),
    (
        "travis",
        ("travis_", "Done. Your build", "The command "),
        re.compile(r"travis_(?:fold|time):|^Done\. Your build exited with|^The command \".*\" exited with"),
    ),
    (
        "circleci",
        ("CircleCI", "Exited with code", "circleci/"),
        re.compile(r"^CircleCI received exit code|^Exited with code exit status|circleci/"),
    ),
    (
        "docker",
        ("#", "Step ", " => ", "Sending build"),
        re.compile(r"^#\d+ (?:\[|DONE|CACHED|ERROR|\d+\.\d)|^Step \d+/\d+ : |^ => |^Sending build context"),
    ),
    (
        "kubernetes",
        ("Events:", "Name", "Back-off", "FailedScheduling", "kubelet"),
        re.compile(r"^(?:Events:|Name:\s+\S+|Namespace:\s)|\b(?:Back-off|FailedScheduling|kubelet)\b"),
    ),
    ("journal", (":",), re.compile(r"^[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \S+ [\w@./:-]+(?:\[\d+\])?: ")),
    ("json", ('{"',), re.compile(r'^\{"')),
)


@dataclass(frozen=True, slots=True)
class Message:
    """One line as its tool wrote it. `mark` is what the CI system said about it: error, warning, group, ..."""

    text: str
    mark: str = ""


def detect(lines: Sequence[str]) -> str:
    """The format that most of these lines (raw: the head and the tail of a log) give away."""
    votes: Counter[str] = Counter()
    text = "\n".join(lines)
    signs = [(name, sign) for name, needs, sign in _SIGNS if any(need in text for need in needs)]
    for line in lines:
        stripped = _PREFIX.sub("", line, count=1) if line[:1].isdigit() else line
        for name, sign in signs:
            if sign.search(stripped):
                votes[name] += 1
    for name in ("github", "azure", "gitlab", "jenkins", "travis", "circleci"):
        if votes[name] >= 1 and (name != "github" or votes["azure"] < votes["github"]):
            return name
    filled = sum(1 for line in lines if line.strip()) or 1
    best = max(("docker", "kubernetes", "journal", "json"), key=lambda name: votes[name])
    return best if votes[best] >= max(1, filled // 4) or votes[best] >= 10 else "plain"


def message(line: str) -> Message:
    """The line without timestamps, journal heads and CI markers; in JSON lines the message with its level."""
    text = line
    if text[:1] in _STARTS:
        found = _PREFIX.match(text)
        if found:
            text = text[found.end() :]
    mark = ""
    if "##[" in text or "::" in text[:12]:
        found = _MARK.match(text.lstrip())
        if found:
            mark = (found[1] or found[2]).lower()
            text = text.lstrip()[found.end() :]
    if text[:1] == "{" and text[-1:] == "}":
        text = _from_json(text)
    return Message(text, mark)


_LEVELS = ("level", "severity", "lvl", "levelname", "log.level", "loglevel", "error_severity")
_TEXTS = ("message", "msg", "log", "text", "event", "MESSAGE", "short_message", "textPayload")
_WITHIN = ("details", "errors", "causes", "innererror", "innerError")
_TOLD = 8
_ERRORS = ("error", "err", "exception", "exc_info", "stack", "stack_trace", "stacktrace", "reason", "cause")


def _from_json(line: str) -> str:
    """`LEVEL message error` of a JSON line, wherever these stand in it; the line itself where it is something else."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return line
    if not isinstance(found, dict):
        return line
    text = _first(found, _TEXTS)
    if not text:
        return line
    passed_on = found.get(text)
    if isinstance(passed_on, dict) and (told := _first(passed_on, _TEXTS)):
        found, text = passed_on, told  # an operator's log of its database: `"msg": "record", "record": {...}`
    level = _first(found, _LEVELS)
    error = _first(found, _ERRORS)
    parts = [level.upper() if level and not level.isdigit() else "", text.rstrip("\n"), error if error != text else ""]
    parts += _inner(found)
    return " ".join(part for part in parts if part).replace("\n", " ")


def _inner(found: dict[str, object]) -> list[str]:
    """Codes and messages of the errors within an error: an API says there what its message leaves out."""
    told: list[str] = []
    rest: list[object] = [found[name] for name in _WITHIN if name in found]
    while rest and len(told) < _TOLD:
        part = rest.pop(0)
        if isinstance(part, list):
            rest[:0] = part[:_TOLD]
        elif isinstance(part, dict):
            told += [text for name in ("code", "reason", "message") if isinstance(text := part.get(name), str) and text]
            rest[:0] = [part[name] for name in _WITHIN if name in part]
    return told[:_TOLD]


def _first(found: dict[str, object], names: tuple[str, ...]) -> str:
    for name in names:
        value: object = found
        for part in [name] if name in found else name.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if isinstance(value, dict):
            value = _first(value, ("message", "msg", "reason", "type"))
        if isinstance(value, str | int) and not isinstance(value, bool) and value != "":
            return str(value)
    return ""

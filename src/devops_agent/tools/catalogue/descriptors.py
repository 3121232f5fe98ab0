"""Open files: how many a service has, how many it may have, where that limit is written and what is documented.

Sources: getrlimit(2), proc(5), systemd.exec(5) (LimitNOFILE), supervisord's `minfds`, nginx's worker_rlimit_nofile.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from devops_agent.inventory import Place
from devops_agent.tools import settings, supervisors
from devops_agent.tools.base import Host, probe

_KEY = re.compile(
    r"no_?file|open_?files|(max|limit|num|rlimit).{0,3}(fds?|file_?desc\w*|files)$|minfds|^fd_?limit|ulimit", re.I
)
_COMMENT = re.compile(r"^\s*(?:#|;|//)\s?(.*)$")
_SOME = 1024
"""What Linux gives every process unless somebody says otherwise."""


@probe
def open_files_limit(host: Host, place: Place, service: str) -> dict[str, Any]:
    """How many files a service has open and may have; the setting for that in its configuration, and in its templates.

    `waiting`: the configuration allows more than the running process has (it was not restarted since); `below`: it
    allows less than a template sets; `hinted` is a number that a template only mentions in a comment; `most` is what is
    open more often than anything else.
    """
    pid = supervisors.status(host, place, service)["pid"]
    facts: dict[str, Any] = {"service": service, "pid": pid, "open": None, "limit": None, "most": None, "most_count": 0}
    if pid:
        found = re.search(r"^Max open files\s+(\d+)\s+(\S+)", _text(host, f"/proc/{pid}/limits"), re.M)
        ended = host.attempt("find", f"/proc/{pid}/fd", "-maxdepth", "1", "-type", "l", "-printf", "%l\\n")
        targets = [re.sub(r"\[\d+\]|\d+", "*", line) for line in ended.output.splitlines()]
        facts |= {"open": len(targets), "limit": int(found[1]) if found else None}
        if targets:
            facts["most"], facts["most_count"] = Counter(targets).most_common(1)[0]
    held = _set(host, [place.path(file) for file in place.service(service).config])
    proper = _set(host, [place.path(file) for file in place.service(service).templates])
    file, key, value = held[0] if len(held) == 1 else (None, None, None)
    documented = {found for _, name, found in proper if key is None or name == key}
    best = documented.pop() if len(documented) == 1 else None
    hint = _hinted(host, place, service, key) if best is None else None
    facts |= {"file": file, "key": key, "value": value, "settings": len(held), "proper": best, "hinted": hint}
    facts["waiting"] = bool(value and facts["limit"] and facts["limit"] < value)
    facts["below"] = bool(value and best and value < best)
    facts["documented"] = bool(value and best and value >= best)
    facts["low"] = bool(value and value < _SOME)
    facts["proposed"] = hint or (_SOME if facts["low"] else None)
    facts["used"] = round(100 * facts["open"] / facts["limit"]) if facts["open"] and facts["limit"] else None
    return facts


def _set(host: Host, files: list[str]) -> list[tuple[str, str, int]]:
    """Every setting of a number of open files: file, key, number."""
    found = []
    for file in files:
        text = settings.text_of(host, file)
        for _, key, value in settings.entries(file, text) if text else ():
            number = re.match(r"(\d+)(?::\d+)?$", value.strip())
            if number and _KEY.search(key.rsplit(".", 1)[-1]):
                found.append((file, key, int(number[1])))
    return found


def _hinted(host: Host, place: Place, service: str, key: str | None) -> int | None:
    """The only number that a template's comments mention beside open files."""
    numbers: set[int] = set()
    for file in place.service(service).templates:
        for line in (settings.text_of(host, place.path(file)) or "").splitlines():
            comment = _COMMENT.match(line)
            if comment and (
                re.search(r"open files|descriptors?|nofile", comment[1], re.I) or (key and key in comment[1])
            ):
                numbers |= {int(number) for number in re.findall(r"(?<![\w.])\d{2,8}(?![\w.]*\w)", comment[1])}
    return numbers.pop() if len(numbers) == 1 else None


def _text(host: Host, path: str) -> str:
    return settings.text_of(host, path) or ""

"""A bench for knowledge: patterns tried on stored logs, own runbooks checked and written."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import tempfile
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from devops_agent.errors import ConfigError, NotFound
from devops_agent.jobs import search

if TYPE_CHECKING:
    from devops_agent.jobs.store import Jobs

SECONDS = 3.0
"""How long stored logs are searched for one pattern."""
MOST_LOGS = 500
MOST_BYTES = 2 << 20
"""Of a large log only its last so many bytes are searched."""
MOST_HITS = 50
LINE = 4000
_ID = re.compile(r"[a-z][a-z0-9_]{0,79}")


@dataclass(frozen=True)
class Hit:
    """The first line of a log that a pattern matches: what is before, the match, what is after; what was taken out."""

    job: str
    title: str
    line: int
    before: str
    matched: str
    after: str
    groups: dict[str, str]


@dataclass(frozen=True)
class Tried:
    """What a pattern does: why it may not be used, or how many of how many logs it matches, and where."""

    faults: tuple[str, ...]
    logs: int = 0
    matched: int = 0
    hits: tuple[Hit, ...] = ()
    whole: bool = True


def try_pattern(source: str, jobs: Jobs, places: Collection[str | None] | None = None) -> Tried:
    """Search the newest stored logs for a pattern, for a limited time; one that could take for ever is refused."""
    from devops_agent.runbooks.lines import split_flags, within_line
    from devops_agent.runbooks.patterns import faults

    found = tuple(faults(source))
    if found:
        return Tried(found)
    plain, ignore_case = split_flags(source)
    regex = re.compile(within_line(plain), re.IGNORECASE if ignore_case else 0)
    hits: list[Hit] = []
    logs = matched = 0
    deadline = time.monotonic() + SECONDS
    for row in search.find(jobs.engine, limit=MOST_LOGS, places=places).rows:
        if time.monotonic() > deadline:
            return Tried((), logs, matched, tuple(hits), False)
        logs += 1
        hit = _first(regex, row.id, row.title, _text(jobs, row.id))
        if hit is not None:
            matched += 1
            if len(hits) < MOST_HITS:
                hits.append(hit)
    return Tried((), logs, matched, tuple(hits))


def own_ids(folder: Path | None) -> dict[str, Path]:
    """Files of the own directory by the runbook's id that their name says."""
    from devops_agent.runbooks.load import files

    return {path.stem: path for path in files(folder)} if folder and folder.is_dir() else {}


def read_own(folder: Path, name: str) -> str:
    """The text of an own runbook. Raises NotFound."""
    path = own_ids(folder).get(name)
    if path is None:
        raise NotFound(f"no own runbook {name!r}; shipped ones are not edited, one of the same id replaces them")
    return path.read_text(encoding="utf-8", errors="replace")


def problems(text: str, folder: Path) -> list[str]:
    """Everything that is wrong with the text of a runbook; nothing where it may be put to use."""
    from devops_agent.runbooks.lint import lint
    from devops_agent.tools.registry import tools

    if not text.strip():
        return ["it is empty"]
    name = _name(text)
    with tempfile.TemporaryDirectory(prefix="runbook-") as bench:
        path = Path(bench) / f"{name or 'runbook'}.yaml"
        path.write_text(text, encoding="utf-8")
        found = [f"{each.field}: {each.text}" for each in lint(path, tools())]
        if found:
            return found
        return found or _losing(path, folder)


def write_own(folder: Path, text: str) -> str:
    """Write an own runbook into the directory, at once; its id. The text must have been checked."""
    name = _name(text)
    if name is None:
        raise ConfigError("id: missing")
    path = own_ids(folder).get(name) or folder / f"{name}.yaml"
    descriptor, temporary = tempfile.mkstemp(dir=folder, prefix=f".{name}.", suffix=".new")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text if text.endswith("\n") else text + "\n")
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise ConfigError(f"{path}: {error.strerror}") from None
    return name


def digest(text: str) -> str:
    """What the audit trail keeps of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def _losing(path: Path, folder: Path) -> list[str]:
    """Examples that it does not win, among all runbooks that are in force."""
    from devops_agent.planners.backtest import split
    from devops_agent.planners.examples import losing
    from devops_agent.runbooks.own import whole_library

    known, _, tested = split(whole_library(folder), path)
    return [f"{each.field}: {each.text}" for key in tested for each in losing(known, key)]


def _name(text: str) -> str | None:
    found = re.search(r"^id:\s*['\"]?([A-Za-z0-9_-]+)", text, re.MULTILINE)
    return found[1] if found and _ID.fullmatch(found[1]) else None


def _text(jobs: Jobs, job: str) -> str:
    incident = jobs.report(job).incident
    if not incident.log_file:
        return incident.log
    try:
        with Path(incident.log_file).open("rb") as stream:
            stream.seek(0, os.SEEK_END)
            stream.seek(max(0, stream.tell() - MOST_BYTES))
            return stream.read(MOST_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""


def _first(regex: re.Pattern[str], job: str, title: str, text: str) -> Hit | None:
    for number, line in enumerate(text.split("\n"), 1):
        found = regex.search(line[:LINE])
        if found:
            begin, end = found.span()
            groups = {name: value for name, value in found.groupdict().items() if value}
            return Hit(job, title, number, line[:begin][-120:], line[begin:end][:400], line[end:][:120], groups)
    return None

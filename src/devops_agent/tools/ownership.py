"""What is whose: may a process be ended, by the rule of the inventory?

A supervised process is never ended to help another. One that nothing supervises and that holds a port or lock named in
the inventory, or runs from a folder named there, belongs to that entry. Anything else is somebody else's. Where there
is no inventory at all, a plain process of a user may be proposed, and policy asks a person.
"""

from __future__ import annotations

import os
import posixpath
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from devops_agent.errors import CommandFailed, NotAllowed
from devops_agent.inventory import Place
from devops_agent.tools import processes
from devops_agent.tools.base import Host
from devops_agent.tools.processes import Process

_VITAL = ("sshd", "init", "systemd", "dbus-daemon", "dbus-broker", "cron", "crond", "udevd", "agetty", "login", "tini")
_INTERPRETER = re.compile(r"(?:python|pypy|node|ruby|perl|php|java|bash|sh|dash|bun|deno|env|npm|npx|yarn)[\d.]*")


@dataclass(frozen=True, slots=True)
class Belonging:
    """Whose a process is. `ours`: it may be ended, after it was looked at; `entry` names the inventory's entry."""

    ours: bool
    why: str
    supervisor: str | None = None
    entry: str | None = None


def whose(host: Host, place: Place, process: Process, named: str | None = None) -> Belonging:
    """Decide about one process. `named` is the inventory's entry whose port or lock it holds."""
    if processes.is_agent(host, process.pid):
        return Belonging(False, "it is the agent itself, or runs it")
    keeper = processes.supervisor(host, process)
    if keeper:
        return Belonging(False, f"it is supervised: {keeper}", keeper, named)
    if process.command.startswith("[") or process.name in _VITAL:
        return Belonging(False, "it is part of the operating system")
    own = service_itself(host, place, process)
    if own:
        return Belonging(False, f"it is the service {own!r} of the inventory itself", None, own)
    if named:
        return Belonging(
            True, f"nothing supervises it, and it holds what the inventory gives to {named!r}", None, named
        )
    if not place.known:
        return _without_inventory(host, process)
    folder = _runs_from(host, place, process)
    if folder:
        return Belonging(True, f"nothing supervises it, and it runs from {folder}, which the inventory names")
    return Belonging(False, "it belongs to somebody else: the inventory names neither what it holds nor where it runs")


def require_ours(belonging: Belonging, process: Process) -> None:
    """Raise NotAllowed with the reason where a process is not to be ended."""
    if not belonging.ours:
        raise NotAllowed(f"process {process.pid} ({process.command[:120]}) is not ended: {belonging.why}")


def _without_inventory(host: Host, process: Process) -> Belonging:
    own = host.local and process.uid == os.geteuid()
    if own or process.uid >= 1000:
        return Belonging(True, "there is no inventory; it is a user's process that nothing supervises")
    return Belonging(False, "there is no inventory, and it runs as a user of the system")


def service_itself(host: Host, place: Place, process: Process) -> str | None:
    """The service without a supervisor of its own whose start command this process runs."""
    words = process.command.split()
    for name, service in place.inventory.services.items():
        if service.supervisor in (None, "command") and service.run:
            same = list(service.run) == words[: len(service.run)]
            folder = processes.folder_of(host, process.pid) or place.workspace
            if same or _programs(service.run, place.workspace) & _programs(words, folder):
                return name
            if _run_by_script(host, place, service.run[0], words, folder):
                return name
    return None


def held_lock(host: Host, place: Place, process: Process) -> str | None:
    """The lock of the inventory whose file this process has open."""
    files = {name: host.resolve(place.path(lock.file)) for name, lock in place.inventory.locks.items()}
    held = host.holders(*files.values()) if files else {}
    return next((name for name, file in files.items() if process.pid in held[file]), None)


def _run_by_script(host: Host, place: Place, script: str, words: Sequence[str], folder: str) -> bool:
    """Whether a start script ends in this command: it is replaced by what it executes, which then is the service."""
    if "/" not in script:
        return False
    path = place.path(script)
    try:
        text = host.read(path, 1 << 16).decode("utf-8")
    except (CommandFailed, UnicodeDecodeError):
        return False
    if not text.startswith("#!"):
        return False
    folders = {place.workspace, posixpath.dirname(path), posixpath.dirname(posixpath.dirname(path))}
    own = _programs(words, folder)
    for line in text.splitlines()[1:]:
        said = _shell_words(line)
        named = [word for word in said if "$" not in word and word not in (">", ">>", "&")]
        if own & {each for base in folders for each in _programs(named, base)} or _is_command(said, words):
            return True
    return False


def _shell_words(line: str) -> list[str]:
    """The words of a command in a script, without `exec`, variables set before it, and redirections."""
    try:
        said = shlex.split(line, comments=True)
    except ValueError:
        return []
    said = [word for word in said if not re.match(r"\d?[<>]", word)]
    while said and (said[0] in ("exec", "nohup", "setsid", "env") or re.match(r"\w+=", said[0])):
        said = said[1:]
    return said


def _is_command(said: Sequence[str], words: Sequence[str]) -> bool:
    """Whether a command of a script gave this one; a variable in it may be anything, but not all of it."""
    if not 1 < len(said) == len(words) or all("$" in word for word in said[1:]):
        return False
    shapes = [".*".join(map(re.escape, re.split(r"\$\{?[\w@]+\}?", word))) for word in said]
    first = re.fullmatch(posixpath.basename(shapes[0]), posixpath.basename(words[0]))
    return bool(first) and all(map(re.fullmatch, shapes[1:], words[1:]))


def _programs(words: Sequence[str], folder: str) -> set[str]:
    """The files among the first words of a command that are programs of the place's own, as absolute paths."""
    named = [word for word in words[:4] if not word.startswith(("-", "/usr/", "/bin/", "/sbin/"))]
    files = [word for word in named if "/" in word or re.search(r"\.[A-Za-z]\w{0,4}$", word)]
    return {
        posixpath.normpath(posixpath.join(folder, word))
        for word in files
        if not _INTERPRETER.fullmatch(posixpath.basename(word))
    }


def _runs_from(host: Host, place: Place, process: Process) -> str | None:
    seen = [processes.folder_of(host, process.pid), host.resolve(f"/proc/{process.pid}/exe")]
    seen += [word for word in process.command.split()[:4] if word.startswith("/")]
    for folder in place.folders():
        if folder and any(one == folder or one.startswith(folder.rstrip("/") + "/") for one in seen):
            return folder
    return None

"""Which commands of the agent are running right now, on disk, so that those of a killed agent can be ended.

One small file a command in `data_dir/children`: its pid and start time, and those of the agent. A worker that takes
over a job calls `end_left` first, so that no command of the dead one goes on beside it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Callable
from contextvars import ContextVar
from pathlib import Path

FOLDER = "children"
permit: ContextVar[Callable[[], None] | None] = ContextVar("permit", default=None)
"""Asked before any command is started; raises where the job that it is for belongs to another worker by now."""


def permitted() -> None:
    """Raises where nothing may be started any more."""
    check = permit.get()
    if check is not None:
        check()


def started(pid: int) -> int | None:
    """Start time of a living process in clock ticks since boot; None where there is none (or only a zombie)."""
    fields = _fields(pid)
    return None if fields is None or fields[0] in "ZX" else int(fields[19])


def note(folder: Path | None, pid: int, argv: tuple[str, ...]) -> Path | None:
    """Note a running command; None where nothing is kept."""
    if folder is None:
        return None
    record = {
        "pid": pid,
        "started": started(pid),
        "agent": os.getpid(),
        "agent_started": started(os.getpid()),
        "program": argv[0],
    }
    file = folder / f"{pid}.json"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        file.write_text(json.dumps(record))
    except OSError:
        return None
    return file


def forget(record: Path | None) -> None:
    """The command has ended."""
    if record is not None:
        with contextlib.suppress(OSError):
            record.unlink()


def end_left(data_dir: Path) -> list[str]:
    """End every noted command whose agent is dead; returns the programs that were still running."""
    ended = []
    for file in sorted((data_dir / FOLDER).glob("*.json")):
        try:
            record = json.loads(file.read_text())
            pid, begun = int(record["pid"]), record["started"]
            agent_lives = started(int(record["agent"])) == record["agent_started"]
        except (OSError, ValueError, KeyError, TypeError):
            forget(file)
            continue
        if agent_lives:
            continue
        reused = started(pid) not in (None, begun)
        if begun is not None and not reused and end_group(pid, since=begun):
            ended.append(str(record.get("program", "")))
        forget(file)
    return ended


def end_own(data_dir: Path) -> None:
    """End every noted command of this very process, which has been told to stop."""
    end_of(data_dir, os.getpid())


def end_of(data_dir: Path, process: int) -> list[str]:
    """End every noted command of a living process; returns the programs that were running."""
    ended = []
    for file in sorted((data_dir / FOLDER).glob("*.json")):
        try:
            record = json.loads(file.read_text())
            pid, begun, agent = int(record["pid"]), int(record["started"]), int(record["agent"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if agent == process and started(pid) == begun and end_group(pid, since=begun):
            ended.append(str(record.get("program", "")))
    return ended


def end_group(leader: int, since: int = 0) -> int:
    """Kill all processes in the session of `leader` that started at or after `since`; returns how many."""
    members = [pid for pid in _pids() if _belongs(pid, leader, since)]
    for pid in members:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
    return len(members)


def _belongs(pid: int, session: int, since: int) -> bool:
    fields = _fields(pid)
    return fields is not None and fields[0] not in "ZX" and int(fields[3]) == session and int(fields[19]) >= since


def _pids() -> list[int]:
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return []


def _fields(pid: int) -> list[str] | None:
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rsplit(")", 1)[1].split()
    except (OSError, IndexError):
        return None

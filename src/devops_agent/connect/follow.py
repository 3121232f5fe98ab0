"""Following files and journal units as lines are added: through rotation and truncation, and without ever waiting.

Each can go on from where it was before a restart: a file by device, inode and offset, units by the journal's cursor.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from devops_agent.connect.positions import Mark
from devops_agent.errors import ConfigError

log = logging.getLogger("devops_agent.watch")

CHUNK = 1 << 20
LONGEST_LINE = 16_384
TAIL = 256
"""Bytes before an offset by which a file is known again."""
PACKED = (".gz", ".xz", ".zst", ".bz2")
_RESTART = (1.0, 60.0)
_LAST = 1 << 63


class Source(Protocol):
    """Something that lines come from. `read` gives those that have come since, and returns at once."""

    name: str

    def read(self) -> list[str]:
        """Whole lines since the last call."""
        ...

    def mark(self) -> Mark | None:
        """Where the next line to be read begins; None where nothing is known yet."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class _Lines:
    """Bytes cut into lines; a line without an end waits for it, one without any end is cut."""

    def __init__(self, longest: int = LONGEST_LINE) -> None:
        self._rest = b""
        self._longest = longest

    def add(self, data: bytes) -> list[str]:
        """The lines that are whole now."""
        *whole, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > self._longest:
            whole.append(self._rest)
            self._rest = b""
        return [each[: self._longest].decode("utf-8", "replace").rstrip("\r") for each in whole]

    @property
    def waiting(self) -> int:
        """Bytes of a line that has no end yet."""
        return len(self._rest)

    def end(self) -> list[str]:
        """What was left without an end, where nothing more comes."""
        rest, self._rest = self._rest, b""
        return [rest.decode("utf-8", "replace")] if rest else []


class FollowedFile:
    """A file that grows. What stood in it before is passed over, unless `whole`.

    Where another file has its name (rotation), the old one is read to its end first; where it is shorter than what was
    read, or is emptied and written anew (truncation), it is read from its beginning. `mark`: go on from there, also
    through the files that had its name meanwhile and still lie beside it.
    """

    def __init__(self, path: Path, whole: bool = False, mark: Mark | None = None) -> None:
        self.name = str(path)
        self.path = path
        self._lines = _Lines()
        self._file: BinaryIO | None = None
        self._next: list[BinaryIO] = []
        if mark is None:
            self._open(at_end=not whole)
        else:
            self._next = _since(path, mark)
            self._open(at_end=False)

    def read(self) -> list[str]:
        """Whole lines since the last call."""
        if self._file is None:
            self._open(at_end=False)
        if self._file is None:
            return []
        if os.fstat(self._file.fileno()).st_size < self._file.tell():
            self._file.seek(0)
            self._lines = _Lines()
        found = self._lines.add(self._file.read(CHUNK))
        if not found and (self._next or self._is_another()):
            found = self._lines.end()
            self._file.close()
            self._open(at_end=False)
            if self._file is not None:
                found += self._lines.add(self._file.read(CHUNK))
        return found

    def mark(self) -> Mark:
        """Device, inode and offset, and what stands before that."""
        if self._file is None:
            return {"device": 0, "inode": 0, "offset": 0, "tail": ""}
        stat, offset = os.fstat(self._file.fileno()), self._file.tell() - self._lines.waiting
        return {"device": stat.st_dev, "inode": stat.st_ino, "offset": offset, "tail": _tail(self._file, offset)}

    def close(self) -> None:
        """Let go of the file."""
        for file in (self._file, *self._next):
            if file is not None:
                file.close()

    def _open(self, at_end: bool) -> None:
        if self._next:
            self._file = self._next.pop(0)
            return
        self._file = None
        with contextlib.suppress(FileNotFoundError):
            self._file = self.path.open("rb", buffering=0)
            if at_end:
                self._file.seek(0, os.SEEK_END)

    def _is_another(self) -> bool:
        """Whether the name stands for another file now. While there is none, the old one is kept."""
        assert self._file is not None  # noqa: S101  (asked of an open file only)
        try:
            there, here = self.path.stat(), os.fstat(self._file.fileno())
        except OSError:
            return False
        return (there.st_dev, there.st_ino) != (here.st_dev, here.st_ino)


def _tail(file: BinaryIO, offset: int) -> str:
    """What a file is known by: a digest of the bytes before an offset."""
    first = max(0, offset - TAIL)
    return hashlib.sha256(os.pread(file.fileno(), offset - first, first)).hexdigest()


def _since(path: Path, mark: Mark) -> list[BinaryIO]:
    """The files that have had this name since, oldest first and open at what is new; none where there is none now."""
    opened: list[tuple[int, BinaryIO]] = []
    for each in sorted(path.parent.iterdir()) if path.parent.is_dir() else ():
        if (each == path or each.name.startswith((f"{path.name}.", f"{path.name}-"))) and each.is_file():
            with contextlib.suppress(OSError):
                fresh: BinaryIO = each.open("rb", buffering=0)
                opened.append((os.fstat(fresh.fileno()).st_mtime_ns if each != path else _LAST, fresh))
    opened.sort(key=lambda each: each[0])
    files = [file for _, file in opened]
    number = next((number for number, file in enumerate(files) if _is_marked(file, mark)), None)
    if number is not None:
        files[number].seek(mark["offset"])
    elif mark.get("inode"):
        log.warning("%s: what was read last is not there any more; going on at the beginning", path)
    stay = number if number is not None else len(files) - 1
    for file in files[:stay]:
        file.close()
    rest = files[stay:] if files else []
    if number is None and rest and opened[-1][0] != _LAST:
        rest.pop().close()  # none has the name itself now: those beside it are older
    late = [file for file in rest[1:] if str(file.name).endswith(PACKED)]
    for file in late:
        file.close()
    return [file for file in rest if file not in late]


def _is_marked(file: BinaryIO, mark: Mark) -> bool:
    """Whether it is the very file, with what was read of it still in it."""
    stat = os.fstat(file.fileno())
    same = (stat.st_dev, stat.st_ino) == (mark.get("device"), mark.get("inode"))
    offset = int(mark.get("offset", 0))
    return same and stat.st_size >= offset and _tail(file, offset) == mark.get("tail")


class FollowedUnits:
    """Units of the systemd journal, through `journalctl --follow`, which is started again where it ends.

    Without a `mark` what has been written before is passed over.
    """

    def __init__(self, units: Sequence[str], mark: Mark | None = None) -> None:
        self.name = ", ".join(units)
        self._units = units
        self._lines = _Lines(8 * LONGEST_LINE)
        program = shutil.which("journalctl")
        if program is None:
            raise ConfigError("--unit: there is no journalctl on this machine")
        wanted = [word for unit in units for word in ("--unit", unit)]
        form = ("--output=json", "--output-fields=MESSAGE,SYSLOG_IDENTIFIER,_COMM,_PID,_HOSTNAME")
        self._command = [program, "--follow", *form, "--no-pager", "--quiet", *wanted]
        self._cursor: str | None = str(mark["cursor"]) if mark is not None and "cursor" in mark else None
        self._begun = time.time()
        self._process: subprocess.Popen[bytes] | None = None
        self._again, self._wait = 0.0, _RESTART[0]
        self._heard = self._resumed = False
        self._start()

    def read(self) -> list[str]:
        """Whole lines since the last call."""
        if self._process is None:
            if time.monotonic() >= self._again:
                self._start()
            return []
        assert self._process.stdout is not None  # noqa: S101  (it was asked for)
        data = self._process.stdout.read(CHUNK)
        if data:
            self._wait, self._heard = _RESTART[0], True
            return self._shown(self._lines.add(data))
        if data is None or self._process.poll() is None:
            return []
        if self._cursor is not None and not self._heard and self._process.returncode:
            log.warning("%s: the journal does not know where we were; what came meanwhile may be missing", self.name)
            self._cursor, self._begun = None, time.time()
        self.close()
        self._again, self._wait = time.monotonic() + self._wait, min(_RESTART[1], self._wait * 2)
        return self._shown(self._lines.end())

    def mark(self) -> Mark | None:
        """The journal's cursor of the last line."""
        return {"cursor": self._cursor} if self._cursor is not None else None

    def _shown(self, lines: Sequence[str]) -> list[str]:
        """Entries as `short-iso` shows them; the one before the first that is new only tells where that is."""
        found = []
        for line in lines:
            entry = _entry(line)
            if entry is None:
                found.append(line)
                continue
            self._cursor = str(entry["__CURSOR"])
            if int(entry.get("__REALTIME_TIMESTAMP", 0)) / 1e6 >= self._begun or self._resumed:
                found += _line(entry)
        return found

    def close(self) -> None:
        """End journalctl."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(2)
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(2)
        if process.stdout is not None:
            process.stdout.close()

    def _start(self) -> None:
        self._heard, self._resumed = False, self._cursor is not None
        where = ("--no-tail", f"--after-cursor={self._cursor}") if self._resumed else ("--lines=1",)
        self._process = subprocess.Popen(
            [*self._command, *where],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            start_new_session=True,
        )
        assert self._process.stdout is not None  # noqa: S101  (it was asked for)
        os.set_blocking(self._process.stdout.fileno(), False)


def _entry(line: str) -> dict[str, Any] | None:
    """An entry of the journal; None where a line is none."""
    if not line.startswith("{"):
        return None
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and "__CURSOR" in found else None


def _line(entry: dict[str, Any]) -> list[str]:
    said = entry.get("MESSAGE")
    if isinstance(said, list):  # bytes that are no text
        said = bytes(each for each in said if isinstance(each, int) and 0 <= each < 256).decode("utf-8", "replace")
    stamp = int(entry.get("__REALTIME_TIMESTAMP", 0)) / 1e6
    at = datetime.fromtimestamp(stamp).astimezone().isoformat(timespec="seconds")
    who = entry.get("SYSLOG_IDENTIFIER") or entry.get("_COMM") or "unknown"
    pid = f"[{entry['_PID']}]" if entry.get("_PID") else ""
    head = f"{at} {entry.get('_HOSTNAME', '')} {who}{pid}: "
    return [f"{head}{each}"[:LONGEST_LINE] for each in str(said or "").split("\n")]

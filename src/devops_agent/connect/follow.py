"""Following files and journal units as lines are added: through rotation and truncation, and without ever waiting."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, Protocol

from devops_agent.errors import ConfigError

CHUNK = 1 << 20
LONGEST_LINE = 16_384
_RESTART = (1.0, 60.0)


class Source(Protocol):
    """Something that lines come from. `read` gives those that have come since, and returns at once."""

    name: str

    def read(self) -> list[str]:
        """Whole lines since the last call."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class _Lines:
    """Bytes cut into lines; a line without an end waits for it, one without any end is cut."""

    def __init__(self) -> None:
        self._rest = b""

    def add(self, data: bytes) -> list[str]:
        """The lines that are whole now."""
        *whole, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > LONGEST_LINE:
            whole.append(self._rest)
            self._rest = b""
        return [each[:LONGEST_LINE].decode("utf-8", "replace").rstrip("\r") for each in whole]

    def end(self) -> list[str]:
        """What was left without an end, where nothing more comes."""
        rest, self._rest = self._rest, b""
        return [rest.decode("utf-8", "replace")] if rest else []


class FollowedFile:
    """A file that grows. What stood in it before is passed over, unless `whole`.

    Where another file has its name (rotation), the old one is read to its end first; where it is shorter than what was
    read, or is emptied and written anew (truncation), it is read from its beginning.
    """

    def __init__(self, path: Path, whole: bool = False) -> None:
        self.name = str(path)
        self.path = path
        self._lines = _Lines()
        self._file: BinaryIO | None = None
        self._open(at_end=not whole)

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
        if not found and self._is_another():
            found = self._lines.end()
            self._file.close()
            self._open(at_end=False)
            if self._file is not None:
                found += self._lines.add(self._file.read(CHUNK))
        return found

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()

    def _open(self, at_end: bool) -> None:
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


class FollowedUnits:
    """Units of the systemd journal, through `journalctl --follow`, which is started again where it ends."""

    def __init__(self, units: Sequence[str]) -> None:
        self.name = ", ".join(units)
        self._units = units
        self._lines = _Lines()
        program = shutil.which("journalctl")
        if program is None:
            raise ConfigError("--unit: there is no journalctl on this machine")
        wanted = [word for unit in units for word in ("--unit", unit)]
        self._command = [program, "--follow", "--lines=0", "--output=short-iso", "--no-pager", "--quiet", *wanted]
        self._process: subprocess.Popen[bytes] | None = None
        self._again, self._wait = 0.0, _RESTART[0]
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
            self._wait = _RESTART[0]
            return self._lines.add(data)
        if data is None or self._process.poll() is None:
            return []
        self.close()
        self._again, self._wait = time.monotonic() + self._wait, min(_RESTART[1], self._wait * 2)
        return self._lines.end()

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
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            start_new_session=True,
        )
        assert self._process.stdout is not None  # noqa: S101  (it was asked for)
        os.set_blocking(self._process.stdout.fileno(), False)

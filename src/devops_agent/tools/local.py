"""The door to this machine."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
import stat
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from devops_agent.errors import CommandFailed
from devops_agent.tools import children
from devops_agent.tools.base import FileFacts
from devops_agent.tools.spawn import CAP, Ended, environment, execute, start

_KINDS = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "folder",
    stat.S_IFLNK: "link",
    stat.S_IFSOCK: "socket",
    stat.S_IFIFO: "pipe",
    stat.S_IFBLK: "device",
    stat.S_IFCHR: "device",
}


class LocalHost:
    """This machine. Relative paths and commands start at the workspace."""

    name = "local"
    local = True

    def __init__(self, workspace: str | None = None, data_dir: Path | None = None) -> None:
        self.workspace = workspace
        self.records = data_dir / children.FOLDER if data_dir else None
        self._data_dir = data_dir

    def close(self) -> None:
        """Nothing is held between commands."""

    def run(self, *argv: str, timeout: float = 30, cwd: str | None = None, ok: tuple[int, ...] = (0,)) -> str:
        """Standard output of a command that must succeed."""
        return succeeded(self.attempt(*argv, timeout=timeout, cwd=cwd), ok)

    def attempt(
        self,
        *argv: str,
        timeout: float = 30,
        cwd: str | None = None,
        stdin: str | None = None,
        user: str | None = None,
        cap: int = CAP,
    ) -> Ended:
        """Whatever became of a command."""
        return execute(self._command(argv), timeout, self._folder(cwd), stdin, user, self.records, cap)

    def start(self, *argv: str, cwd: str | None = None, user: str | None = None) -> int | None:
        """Start a process that stays. It counts as started when it lives after a second, or has ended with success.

        What it says goes to a file in the data directory.
        """
        folder = (self._data_dir or Path(tempfile.gettempdir())) / "started"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = folder / f"{Path(argv[0]).name}.{time.time_ns()}.log"
        with file.open("wb") as output:
            process = start(self._command(argv), cwd=self._folder(cwd), user=user, output=output.fileno())
        deadline = time.monotonic() + 1.0
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        code = process.poll()
        if code:
            said = file.read_bytes()[-2000:].decode("utf-8", "replace").strip()
            raise CommandFailed(f"{argv[0]} ended with status {code}: {said}", exit_code=code, output=said)
        _reap_later(process.wait, code)
        return process.pid

    def has(self, program: str) -> bool:
        """Whether there is such a program."""
        return shutil.which(program, path=environment()["PATH"]) is not None

    def read(self, path: str, limit: int = 1 << 20) -> bytes:
        """The first bytes of a file."""
        with _readable(path) as file:
            return file.read(limit)

    def read_many(self, *paths: str, limit: int = 8192) -> dict[str, bytes]:
        """The starts of small files; those that cannot be read are left out."""
        found = {}
        for path in paths:
            with contextlib.suppress(CommandFailed, OSError):
                found[path] = self.read(path, limit)
        return found

    def read_tail(self, path: str, limit: int = 1 << 20) -> bytes:
        """The last bytes of a file."""
        with _readable(path) as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(max(size - limit, 0))
            return file.read(limit)

    def write(self, path: str, content: bytes, mode: int | None = None, owner: str | None = None) -> None:
        """Replace a file atomically, keeping owner and mode unless given. A link stays, its target is replaced."""
        target = Path(os.path.realpath(path))
        with _named(str(target)):
            target.parent.mkdir(parents=True, exist_ok=True)
            before = target.stat() if target.exists() else None
            handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(content)
                    file.flush()
                    if owner or before:
                        _give(handle, owner, before)
                    os.fchmod(handle, mode if mode is not None else stat.S_IMODE(before.st_mode) if before else 0o644)
                    os.fsync(handle)
                Path(temporary).replace(target)
            except BaseException:
                with contextlib.suppress(OSError):
                    Path(temporary).unlink()
                raise
            _sync_folder(target.parent)

    def exists(self, path: str) -> bool:
        """Whether there is anything at this path (a dangling link counts)."""
        return os.path.lexists(path)

    def stat(self, path: str) -> FileFacts | None:
        """What lies at a path, links followed; None for nothing."""
        try:
            found = os.stat(path)
        except FileNotFoundError:
            if not os.path.lexists(path):
                return None
            found = os.lstat(path)
        except OSError as error:
            raise CommandFailed(f"{path}: {error.strerror}", exit_code=error.errno) from None
        return FileFacts(
            kind=_KINDS.get(stat.S_IFMT(found.st_mode), "other"),
            size=found.st_size,
            mode=stat.S_IMODE(found.st_mode),
            owner=_user_name(found.st_uid),
            group=_group_name(found.st_gid),
            modified=found.st_mtime,
            inode=found.st_ino,
            device=found.st_dev,
        )

    def folder(self, path: str) -> list[str]:
        """Names in a folder, sorted."""
        with _named(path):
            return sorted(os.listdir(path))

    def resolve(self, path: str) -> str:
        """The path with all links followed."""
        return os.path.realpath(path)

    def remove(self, path: str) -> None:
        """Delete one file (a link itself, not its target)."""
        with _named(path):
            Path(path).unlink(missing_ok=True)

    def signal(self, pid: int, name: str) -> bool:
        """Send a signal (`TERM`, `KILL`, ...); False where there is no such process."""
        try:
            os.kill(pid, getattr(signal, f"SIG{name}"))
        except ProcessLookupError:
            return False
        except PermissionError:
            raise CommandFailed(f"may not signal process {pid}", exit_code=errno.EPERM) from None
        return True

    def lineage(self, pid: int) -> list[int]:
        """A process, its parent, that one's parent, and so on."""
        found: list[int] = []
        while pid > 0 and pid not in found:
            try:
                raw = self.read(f"/proc/{pid}/stat", 4096)
            except CommandFailed:
                break
            found.append(pid)
            pid = int(raw.rpartition(b")")[2].split()[1])
        return found

    def holders(self, *targets: str) -> dict[str, tuple[int, ...]]:
        """Which processes have one of these targets open; those of other users only as far as they may be seen."""
        wanted: dict[str, list[int]] = {target: [] for target in targets}
        for pid in filter(str.isdigit, os.listdir("/proc")):
            for target in _open_targets(pid) & wanted.keys():
                wanted[target].append(int(pid))
        return {target: tuple(sorted(pids)) for target, pids in wanted.items()}

    def _command(self, argv: Iterable[str]) -> tuple[str, ...]:
        program, *rest = argv
        if "/" in program and not program.startswith("/") and self.workspace:
            program = os.path.join(self.workspace, program)
        return (program, *rest)

    def _folder(self, cwd: str | None) -> str | None:
        if cwd and self.workspace:
            return os.path.join(self.workspace, cwd)
        return cwd or (self.workspace if self.workspace and os.path.isdir(self.workspace) else None)


def succeeded(ended: Ended, ok: tuple[int, ...] = (0,)) -> str:
    """Its standard output; raises CommandFailed with what it said where its status is not success."""
    if ended.code in ok:
        return ended.output
    said = ended.text[-2000:]
    how = f"was ended by signal {-ended.code}" if ended.code < 0 else f"ended with status {ended.code}"
    raise CommandFailed(f"{' '.join(ended.argv[:6])} {how}" + (f": {said}" if said else ""), ended.code, said)


def _reap_later(wait: Callable[[], object], code: int | None) -> None:
    if code is None:
        import threading

        threading.Thread(target=wait, daemon=True, name="reap").start()


@contextlib.contextmanager
def _named(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CommandFailed(f"{error.filename or path}: {error.strerror or error}", exit_code=error.errno) from None


@contextlib.contextmanager
def _readable(path: str) -> Iterator[BinaryIO]:
    """Open a regular file (never a pipe or device, which could block) for reading."""
    with _named(path):
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise CommandFailed(f"{path}: not a regular file")
            yield file


def _give(handle: int, owner: str | None, before: os.stat_result | None) -> None:
    if owner:
        user, _, group = owner.partition(":")
        os.fchown(handle, _number("passwd", user), _number("group", group))
    elif before and (before.st_uid, before.st_gid) != (os.geteuid(), os.getegid()):
        with contextlib.suppress(PermissionError):
            os.fchown(handle, before.st_uid, before.st_gid)


def _number(kind: str, name: str) -> int:
    """The number of a user or group; -1 (leave as it is) for none."""
    if not name or name.isdigit():
        return int(name or -1)
    import grp
    import pwd

    try:
        return pwd.getpwnam(name).pw_uid if kind == "passwd" else grp.getgrnam(name).gr_gid
    except KeyError:
        raise CommandFailed(f"no {'user' if kind == 'passwd' else 'group'} {name!r} on this machine") from None


def _sync_folder(folder: Path) -> None:
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _open_targets(pid: str) -> set[str]:
    targets = set()
    with contextlib.suppress(OSError):
        for entry in os.scandir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                targets.add(os.readlink(entry.path))
    return targets


def _user_name(uid: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _group_name(gid: int) -> str:
    import grp

    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)

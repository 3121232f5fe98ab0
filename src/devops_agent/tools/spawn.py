"""Running one command on this machine: a process group of its own, a time limit, capped output, a clean environment.

Reading never outlasts the command: what a left-behind grandchild holds open is closed after a short grace. On time-out
the whole session of the command is ended, first gently, then by force.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import selectors
import signal
import subprocess
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from devops_agent.errors import CommandFailed, CommandTimedOut
from devops_agent.tools import children
from devops_agent.tools.aloud import hear

CAP = 256 * 1024
"""Bytes of each of the two outputs that are kept: half from the start, half from the end."""

_PASSED_ON = (
    "HOME", "USER", "LOGNAME", "TZ", "TMPDIR", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS",
    "DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY",
    "KUBECONFIG", "SSH_AUTH_SOCK",
)  # fmt: skip
_SYSTEM_PATH = ("/usr/local/bin", "/usr/bin", "/bin", "/usr/local/sbin", "/usr/sbin", "/sbin")
_DRAIN = 0.4
_GRACE = 2.0


@dataclass(frozen=True, slots=True)
class Ended:
    """A command that has ended, with its two outputs decoded and capped."""

    argv: tuple[str, ...]
    code: int
    output: str
    errors: str
    raw: bytes = b""

    @property
    def text(self) -> str:
        """What it said: standard output, then standard error."""
        return "\n".join(part for part in (self.output.strip(), self.errors.strip()) if part)


class Capped:
    """Bytes that arrive piece by piece, of which at most `limit` are kept: head and tail, with a marker between."""

    def __init__(self, limit: int = CAP) -> None:
        self._half = max(limit // 2, 1)
        self._head = bytearray()
        self._tail: deque[bytes] = deque()
        self._kept = 0
        self._lost = 0

    def add(self, piece: bytes) -> None:
        """Take the next piece."""
        room = self._half - len(self._head)
        if room > 0:
            self._head += piece[:room]
            piece = piece[room:]
        if not piece:
            return
        self._tail.append(piece)
        self._kept += len(piece)
        while self._kept - len(self._tail[0]) >= self._half:
            gone = len(self._tail.popleft())
            self._kept -= gone
            self._lost += gone

    def kept(self) -> bytes:
        """What was kept, with a marker where something was left out."""
        tail = b"".join(self._tail)
        lost = self._lost + max(len(tail) - self._half, 0)
        tail = tail[-self._half :]
        head = bytes(self._head)
        if not lost:
            return head + tail
        return head + f"\n[... {lost} bytes left out ...]\n".encode() + tail

    def text(self) -> str:
        """What was kept, as text."""
        return self.kept().decode("utf-8", "replace")


def environment() -> dict[str, str]:
    """What commands get to see: a short allow-list, never the agent's keys; a path that has the system's folders."""
    env = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    path = [part for part in os.environ.get("PATH", "").split(os.pathsep) if part]
    env["PATH"] = os.pathsep.join([*path, *(part for part in _SYSTEM_PATH if part not in path)])
    env["LANG"] = env["LC_ALL"] = "C.UTF-8"
    env.setdefault("HOME", str(Path.home()))
    return env


def execute(
    argv: tuple[str, ...],
    timeout: float,
    cwd: str | None = None,
    stdin: str | None = None,
    user: str | None = None,
    records: Path | None = None,
    cap: int = CAP,
) -> Ended:
    """Run a command to its end. Raises CommandTimedOut, or CommandFailed where it could not be started at all.

    `user` only where this process may become somebody else; `records` is where running commands are noted.
    """
    process = start(argv, cwd=cwd, user=user, stdin=stdin is not None)
    record = children.note(records, process.pid, argv)
    try:
        return _follow(process, argv, timeout, (stdin or "").encode("utf-8", "surrogateescape"), cap)
    finally:
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream:
                with contextlib.suppress(OSError):
                    stream.close()
        children.forget(record)


def start(
    argv: tuple[str, ...],
    cwd: str | None = None,
    user: str | None = None,
    stdin: bool = False,
    output: int | None = None,
) -> subprocess.Popen[bytes]:
    """Start a command in a session of its own; its outputs are pipes, or the open file `output`."""
    children.permitted()
    target = subprocess.PIPE if output is None else output
    identity = _become(user)
    try:
        return subprocess.Popen(
            argv,
            cwd=cwd,
            env=environment(),
            stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
            stdout=target,
            stderr=target,
            start_new_session=True,
            user=identity.pw_uid if identity else None,
            group=identity.pw_gid if identity else None,
            extra_groups=os.getgrouplist(identity.pw_name, identity.pw_gid) if identity else None,
        )
    except FileNotFoundError as error:
        missing = cwd if cwd and str(error.filename) == cwd else argv[0]
        raise CommandFailed(f"not found: {missing}", exit_code=127) from None
    except (PermissionError, NotADirectoryError) as error:
        raise CommandFailed(f"cannot run {argv[0]}: {error.strerror}", exit_code=126) from None
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise CommandFailed(f"cannot run {argv[0]}: {error}", exit_code=126) from None


def _become(user: str | None) -> pwd.struct_passwd | None:
    """Who a command is to run as; None for who this process is already."""
    if user is None:
        return None

    try:
        entry = pwd.getpwuid(int(user)) if user.isdigit() else pwd.getpwnam(user)
    except KeyError:
        raise CommandFailed(f"no user {user!r} on this machine", exit_code=126) from None
    if entry.pw_uid == os.geteuid():
        return None
    if os.geteuid() != 0:
        raise CommandFailed(f"may not run commands as {user!r}", exit_code=126)
    return entry


def _follow(process: subprocess.Popen[bytes], argv: tuple[str, ...], timeout: float, stdin: bytes, cap: int) -> Ended:
    outputs = {process.stdout: Capped(cap), process.stderr: Capped(min(cap, CAP))}
    deadline = time.monotonic() + timeout
    with selectors.DefaultSelector() as selector:
        for stream in outputs:
            assert stream is not None  # noqa: S101
            os.set_blocking(stream.fileno(), False)
            selector.register(stream, selectors.EVENT_READ)
        if process.stdin:
            os.set_blocking(process.stdin.fileno(), False)
            selector.register(process.stdin, selectors.EVENT_WRITE)
        last = None
        pause = 0.002
        while True:
            if not selector.get_map():
                time.sleep(pause)
            ready = selector.select(pause) if selector.get_map() else []
            for key, _ in ready:
                if key.fileobj is process.stdin:
                    stdin = _feed(selector, process, stdin)
                elif piece := _piece(key.fd):
                    outputs[key.fileobj].add(piece)  # type: ignore[index]
                    hear(piece)
                elif piece == b"":
                    selector.unregister(key.fileobj)
            pause = 0.002 if ready else min(pause * 2, 0.05)
            at = time.monotonic()
            if last is None and process.poll() is not None:
                last = at + _DRAIN
            if last is not None and (at >= last or not _readers(selector, process)):
                break
            if last is None and at >= deadline:
                end_session(process)
                said = "\n".join(c.text().strip() for c in outputs.values()).strip()
                raise CommandTimedOut(
                    f"{argv[0]}: no end within {timeout:g} s" + (f"; it said: {said[-500:]}" if said else "")
                )
    raw, errors = (each.kept() for each in outputs.values())
    return Ended(argv, process.returncode, raw.decode("utf-8", "replace"), errors.decode("utf-8", "replace"), raw)


def _readers(selector: selectors.BaseSelector, process: subprocess.Popen[bytes]) -> bool:
    return any(key.fileobj is not process.stdin for key in selector.get_map().values())


def _piece(descriptor: int) -> bytes | None:
    try:
        return os.read(descriptor, 65536)
    except BlockingIOError:
        return None
    except OSError:
        return b""


def _feed(selector: selectors.BaseSelector, process: subprocess.Popen[bytes], left: bytes) -> bytes:
    assert process.stdin is not None  # noqa: S101
    try:
        left = left[os.write(process.stdin.fileno(), left[:65536]) :] if left else left
    except BlockingIOError:
        return left
    except OSError:
        left = b""
    if not left:
        selector.unregister(process.stdin)
        with contextlib.suppress(OSError):
            process.stdin.close()
    return left


def end_session(process: subprocess.Popen[bytes]) -> None:
    """End a started command and everything in its session: TERM, a grace, KILL."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_GRACE)
    children.end_group(process.pid)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_GRACE)

"""Hosts that are reached by a command: a prefix, ssh, docker exec, kubectl exec.

Each turns an argument list into a longer one that runs on this machine; files are read and written with the host's own
`head`, `tail`, `stat` and the like, so that nothing has to be installed there. Where a fixed one-line `sh` script is
needed, values are handed to it as arguments and never become part of its text.
"""

from __future__ import annotations

import posixpath
import re
import secrets
import shlex
from abc import ABC, abstractmethod

from devops_agent.errors import CommandFailed, HostUnreachable, NotAllowed
from devops_agent.tools.base import FileFacts
from devops_agent.tools.connection import Connection
from devops_agent.tools.local import LocalHost, succeeded
from devops_agent.tools.spawn import CAP, Ended

_KINDS = {"regular": "file", "directory": "folder", "symbolic": "link", "socket": "socket", "fifo": "pipe"}
_IN_FOLDER = 'cd -- "$0" && exec "$@"'
_STAY = 'cd -- "$0" || exit; "$@" </dev/null >/dev/null 2>&1 & echo $!'
_READ_MANY = (
    "m=$0; l=$1; shift; i=0; for f; do "
    'if [ -r "$f" ]; then printf "%s:%s\\n" "$m" "$i"; head -c "$l" "$f"; fi; i=$((i+1)); done 2>/dev/null'
)
_LINEAGE = (
    'p=$0; while [ "$p" -gt 0 ] && read -r l <"/proc/$p/stat"; do echo "$p"; '
    "l=${l##*) }; l=${l#* }; p=${l%% *}; done 2>/dev/null"
)
_WRITE = (
    'set -e; t=$(mktemp "$1/.$2.XXXXXX"); trap \'rm -f "$t"\' EXIT; cat >"$t"; '
    'if [ -e "$1/$2" ]; then chown --reference="$1/$2" "$t" 2>/dev/null || true; chmod --reference="$1/$2" "$t"; '
    'else chmod 644 "$t"; fi; [ -z "$3" ] || chmod "$3" "$t"; [ -z "$4" ] || chown "$4" "$t"; '
    'sync "$t" 2>/dev/null || true; mv -f "$t" "$1/$2"; trap - EXIT'
)


class CommandHost(ABC):
    """A host whose every access is a command. Those that inherit say how an argument list reaches it."""

    local = False

    def __init__(self, local: LocalHost, name: str) -> None:
        self._local = local
        self.name = name
        self._root: bool | None = None

    def close(self) -> None:
        """Let go of what is held between commands."""

    def reached(self) -> None:
        """A command got through."""

    @abstractmethod
    def reach(self, argv: tuple[str, ...], stdin: bool, cwd: str | None) -> tuple[str, ...]:
        """The command on this machine that runs `argv` there."""

    @abstractmethod
    def unreachable(self, ended: Ended) -> bool:
        """Whether it was not the command that failed, but the way to it."""

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
        """Whatever became of a command; raises HostUnreachable where it was not run."""
        command = self._way(argv, stdin is not None, cwd, user)
        ended = self._local.attempt(*command, timeout=timeout, stdin=stdin, cap=cap)
        if self.unreachable(ended):
            raise HostUnreachable(f"{self.name}: {ended.errors.strip()[-300:] or f'status {ended.code}'}")
        self.reached()
        return Ended(argv, ended.code, ended.output, ended.errors, ended.raw)

    def start(self, *argv: str, cwd: str | None = None, user: str | None = None) -> int | None:
        """Start a process that stays; what it says is not kept."""
        ended = self.attempt("sh", "-c", _STAY, cwd or "/", *argv, timeout=20, user=user)
        return int(ended.output.strip()) if ended.output.strip().isdigit() else None

    def has(self, program: str) -> bool:
        """Whether there is such a program."""
        return self.attempt("sh", "-c", 'command -v -- "$0" >/dev/null', program).code == 0

    def read(self, path: str, limit: int = 1 << 20) -> bytes:
        """The first bytes of a file."""
        return self._bytes(limit, "head", "-c", str(limit), "--", path)

    def read_many(self, *paths: str, limit: int = 8192) -> dict[str, bytes]:
        """The starts of small files in one command; a mark that nobody can foresee stands between them."""
        mark = secrets.token_hex(16)
        ended = self.attempt("sh", "-c", _READ_MANY, mark, str(limit), *paths, cap=len(paths) * (limit + 512) * 2)
        found: dict[str, bytes] = {}
        for part in ended.raw.split(f"{mark}:".encode())[1:]:
            number, _, content = part.partition(b"\n")
            found[paths[int(number)]] = content
        return found

    def read_tail(self, path: str, limit: int = 1 << 20) -> bytes:
        """The last bytes of a file."""
        return self._bytes(limit, "tail", "-c", str(limit), "--", path)

    def write(self, path: str, content: bytes, mode: int | None = None, owner: str | None = None) -> None:
        """Replace a file atomically; owner and mode of the old one are kept unless given."""
        target = self.resolve(path)
        folder, name = posixpath.split(target)
        self.run("mkdir", "-p", "--", folder)
        argv = ("sh", "-c", _WRITE, "write", folder, name, f"{mode:o}" if mode is not None else "", owner or "")
        ended = self.attempt(*argv, stdin=content.decode("utf-8", "surrogateescape"))
        succeeded(ended)

    def exists(self, path: str) -> bool:
        """Whether there is anything at this path."""
        return self.attempt("sh", "-c", '[ -e "$0" ] || [ -L "$0" ]', path).code == 0

    def stat(self, path: str) -> FileFacts | None:
        """What lies at a path, links followed; None for nothing."""
        ended = self.attempt("stat", "-L", "-c", "%F|%s|%a|%U|%G|%Y|%i|%d", "--", path)
        if ended.code:
            if "No such file" in ended.errors or "Not a directory" in ended.errors:
                return None
            raise CommandFailed(f"{path}: {ended.errors.strip()[-200:]}", ended.code)
        kind, size, mode, owner, group, modified, inode, device = ended.output.strip().split("|")
        named = _KINDS.get(kind.split()[0], "device" if "device" in kind or "special" in kind else "other")
        return FileFacts(named, int(size), int(mode, 8), owner, group, float(modified), int(inode), int(device))

    def folder(self, path: str) -> list[str]:
        """Names in a folder, sorted."""
        return sorted(self.run("ls", "-A1", "--", path).splitlines())

    def resolve(self, path: str) -> str:
        """The path with all links followed."""
        ended = self.attempt("readlink", "-m", "--", path)
        return ended.output.rstrip("\n") if ended.code == 0 and ended.output else posixpath.normpath(path)

    def remove(self, path: str) -> None:
        """Delete one file."""
        self.run("rm", "-f", "--", path)

    def signal(self, pid: int, name: str) -> bool:
        """Send a signal; False where there is no such process."""
        ended = self.attempt("sh", "-c", 'kill -s "$0" "$1"', name, str(pid))
        if ended.code and "o such process" in ended.errors:
            return False
        succeeded(ended)
        return True

    def lineage(self, pid: int) -> list[int]:
        """A process, its parent, that one's parent, and so on."""
        return [int(line) for line in self.attempt("sh", "-c", _LINEAGE, str(pid)).output.split() if line.isdigit()]

    def holders(self, *targets: str) -> dict[str, tuple[int, ...]]:
        """Which processes have one of these targets open, as far as they may be seen."""
        wanted: dict[str, list[int]] = {target: [] for target in targets}
        names: list[str] = []
        for target in targets:
            names += ["-o"] * bool(names) + ["-lname", re.sub(r"([\[\]*?\\])", r"\\\1", target)]
        where = ("-mindepth", "3", "-maxdepth", "3", "-path", "/proc/[0-9]*/fd/*")
        ended = self.attempt("find", "/proc", *where, "(", *names, ")", "-printf", "%p %l\n")
        for line in ended.output.splitlines():
            path, _, target = line.partition(" ")
            pid = path.split("/")[2]
            if target in wanted and pid.isdigit() and int(pid) not in wanted[target]:
                wanted[target].append(int(pid))
        return {target: tuple(sorted(pids)) for target, pids in wanted.items()}

    def _way(self, argv: tuple[str, ...], stdin: bool, cwd: str | None, user: str | None) -> tuple[str, ...]:
        return self.reach(self._as(user, argv) if user else argv, stdin, cwd)

    def _bytes(self, limit: int, *argv: str) -> bytes:
        ended = self.attempt(*argv, cap=2 * limit + 2)
        succeeded(ended)
        return ended.raw

    def _as(self, user: str, argv: tuple[str, ...]) -> tuple[str, ...]:
        if self._root is None:
            self._root = self.run("id", "-u").strip() == "0"
        return ("runuser", "-u", user, "--", *argv) if self._root else ("sudo", "-n", "-u", user, "--", *argv)


class PrefixHost(CommandHost):
    """A command put before every other one, run in the workspace; another folder is entered on the inside."""

    def __init__(self, local: LocalHost, prefix: tuple[str, ...]) -> None:
        super().__init__(local, " ".join(prefix))
        self._prefix = prefix

    def reach(self, argv: tuple[str, ...], stdin: bool, cwd: str | None) -> tuple[str, ...]:  # noqa: ARG002
        """The prefix, then the command."""
        inside = cwd if cwd and cwd != self._local.workspace else None
        return (*self._prefix, *(("sh", "-c", _IN_FOLDER, inside) if inside else ()), *argv)

    def unreachable(self, ended: Ended) -> bool:  # noqa: ARG002
        """A prefix does not say whose failure it is; one that cannot be started at all raises already."""
        return False


class SshHost(CommandHost):
    """A machine over the system's own ssh, with its configuration, agent and known hosts; never asks for a password."""

    def __init__(self, local: LocalHost, address: str) -> None:
        where, _, port = address.rstrip("/").rpartition(":") if re.search(r":\d+/?$", address) else (address, "", "")
        self._target = where.rstrip("/") or address
        if not re.fullmatch(r"(?:[\w.+-]+@)?[\w.:\[\]-]+", self._target) or self._target.startswith("-"):
            raise NotAllowed(f"not an ssh address: {address!r}")
        self._port = ("-p", port) if port else ()
        self._connection = Connection((*self._port, self._target), local.records)
        super().__init__(local, f"ssh://{address}")

    def reach(self, argv: tuple[str, ...], stdin: bool, cwd: str | None) -> tuple[str, ...]:
        """Ssh joins its arguments and hands them to a shell there: so they are quoted here."""
        inner = ("sh", "-c", _IN_FOLDER, cwd, *argv) if cwd else argv
        options = ("-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "-T", *(() if stdin else ("-n",)))
        return ("ssh", *self._connection.options(), *options, *self._port, self._target, "--", shlex.join(inner))

    def unreachable(self, ended: Ended) -> bool:
        """Ssh ends with 255 for failures of its own."""
        return ended.code == 255

    def reached(self) -> None:
        """From now on commands share a connection."""
        self._connection.open()

    def close(self) -> None:
        """End the shared connection."""
        self._connection.close()


class DockerHost(CommandHost):
    """A container, by docker exec."""

    def __init__(self, local: LocalHost, container: str) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", container):
            raise NotAllowed(f"not the name of a container: {container!r}")
        super().__init__(local, f"docker://{container}")
        self._container = container

    def reach(self, argv: tuple[str, ...], stdin: bool, cwd: str | None) -> tuple[str, ...]:
        """Docker exec takes the argument list as it is."""
        options = (*(("-i",) if stdin else ()), *(("-w", cwd) if cwd else ()))
        return ("docker", "exec", *options, self._container, *argv)

    def _way(self, argv: tuple[str, ...], stdin: bool, cwd: str | None, user: str | None) -> tuple[str, ...]:
        """Docker changes the user itself; in a container there is often nothing else that could."""
        docker, execute, *rest = self.reach(argv, stdin, cwd)
        return (docker, execute, *(("-u", user) if user else ()), *rest)

    def unreachable(self, ended: Ended) -> bool:
        """The daemon or the container is not there."""
        said = ended.errors
        return ended.code == 1 and (
            "Cannot connect to the Docker daemon" in said or said.startswith("Error response from")
        )


class KubectlHost(CommandHost):
    """A container of a pod, by kubectl exec: `kubectl://namespace/pod` or `kubectl://namespace/pod/container`."""

    def __init__(self, local: LocalHost, address: str) -> None:
        parts = address.strip("/").split("/")
        if len(parts) not in (2, 3) or not all(re.fullmatch(r"[a-z0-9][a-z0-9.-]*", part) for part in parts):
            raise NotAllowed(f"not namespace/pod or namespace/pod/container: {address!r}")
        super().__init__(local, f"kubectl://{address}")
        container = ("-c", parts[2]) if len(parts) == 3 else ()
        self._exec = ("kubectl", "--request-timeout=20s", "-n", parts[0], "exec", parts[1], *container)

    def reach(self, argv: tuple[str, ...], stdin: bool, cwd: str | None) -> tuple[str, ...]:
        """Kubectl exec takes the argument list as it is; it has no option for the folder."""
        inner = ("sh", "-c", _IN_FOLDER, cwd, *argv) if cwd else argv
        return (*self._exec, *(("-i",) if stdin else ()), "--", *inner)

    def unreachable(self, ended: Ended) -> bool:
        """The API server or the pod is not there."""
        said = ended.errors
        return ended.code == 1 and ("Error from server" in said or "connection to the server" in said)

"""Performing the commands of an approved plan on a host: run, edit, restore, end a process, wait.

Nothing here decides anything. An edit happens only to the content that was seen, a restore only to the content that was
left, an end only to the very process that was looked at; otherwise StalePlan.
"""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from devops_agent.errors import CommandFailed, CommandTimedOut, NotAllowed, StalePlan, ToolError
from devops_agent.inventory import Place
from devops_agent.model import Call, Check, CheckResult, Command, Edit, End, Restore, Run, Wait
from devops_agent.tools import children, edits, processes
from devops_agent.tools.base import Completed, Host
from devops_agent.tools.secrecy import masked

LEFT = "left"
ABSENT = "absent"
"""Stands for the hash of a file that is not there."""
LIMIT = 4 << 20
"""Larger files are not edited."""


@dataclass(frozen=True)
class Bench:
    """What commands are performed with: the host, the place, the folder for copies, and how to look."""

    host: Host
    place: Place
    copies: Path
    evaluate: Callable[[Check], CheckResult]
    call: Callable[[Call], str] | None = None


def perform(command: Command, bench: Bench) -> str:
    """Perform one command; returns what it said. Raises ToolError where it did not do what it should."""
    children.permitted()
    if isinstance(command, Run):
        return _run(command, bench)
    if isinstance(command, Edit):
        return _edit(command, bench)
    if isinstance(command, Restore):
        return _restore(command, bench)
    if isinstance(command, Call):
        if bench.call is None:
            raise NotAllowed(f"no MCP server {command.server} is configured here")
        return bench.call(command)
    return _end(command, bench) if isinstance(command, End) else _wait(command, bench)


def planned_edit(host: Host, place: Place, path: str, editor: str, args: Mapping[str, Any]) -> Edit | None:
    """The edit of a file as it is now; None where it would change nothing. Raises NotAllowed for a protected file."""
    full = place.path(path)
    _may_write(host, place, full)
    before = content(host, full)
    after = _edited(host, place, before, editor, args)
    if after == before:
        return None
    shown = _diff(before or b"", after, full, secret(host, place, str(args["secret"])) if "secret" in args else "")
    return Edit(path=full, editor=editor, args=dict(args), before=hashed(before), after=hashed(after), diff=shown)


def content(host: Host, path: str) -> bytes | None:
    """The bytes of a file, None where there is none; raises NotAllowed for one that is too large to edit."""
    found = host.stat(path)
    if found is None:
        return None
    if found.size > LIMIT:
        raise NotAllowed(f"{path} has {found.size} bytes; files above {LIMIT} are not edited")
    return host.read(path, LIMIT + 1)


def hashed(data: bytes | None) -> str:
    """SHA-256 of a content, `absent` for none."""
    return ABSENT if data is None else hashlib.sha256(data).hexdigest()


def restores(commands: tuple[Command, ...]) -> Iterator[Restore]:
    """What takes the edits among these commands back, last first."""
    for command in reversed(commands):
        if isinstance(command, Edit):
            yield Restore(path=command.path, before=command.before, after=command.after)


class Foreseen:
    """A host as it will be after the edits that a plan makes earlier; all but reading files is the real one's."""

    def __init__(self, host: Host, contents: dict[str, bytes]) -> None:
        self._host = host
        self._contents = contents

    def __getattr__(self, name: str) -> Any:
        return getattr(self._host, name)

    def read(self, path: str, limit: int = 1 << 20) -> bytes:
        """The content after those edits."""
        return self._contents[path][:limit] if path in self._contents else self._host.read(path, limit)

    def exists(self, path: str) -> bool:
        """Whether it will be there."""
        return path in self._contents or self._host.exists(path)


def foreseen(host: Host, place: Place, earlier: Iterator[Command]) -> Host:
    """The host as it will be when these commands have been performed, as far as edits of files go."""
    contents: dict[str, bytes] = {}
    seen = Foreseen(host, contents)
    for command in earlier:
        if isinstance(command, Edit):
            now = contents.get(command.path) if command.path in contents else content(host, command.path)
            if hashed(now) == command.before:
                contents[command.path] = _edited(cast(Host, seen), place, now, command.editor, command.args)
    return cast(Host, seen) if contents else host


def secret(host: Host, place: Place, name: str) -> str:
    """A secret of the inventory, read where it lies. It goes to commands and files only, never into a record."""
    if place.inventory.secrets is None:
        raise NotAllowed(f"no secrets in the inventory, so {name!r} cannot be read")
    folder = place.path(place.inventory.secrets.directory)
    if not name or "/" in name or name.startswith("."):
        raise NotAllowed(f"not the name of a secret: {name!r}")
    return host.read(os.path.join(folder, name), 65536).decode("utf-8").rstrip("\r\n")


def _run(command: Run, bench: Bench) -> str:
    if command.detach:
        pid = bench.host.start(*command.argv, cwd=command.cwd, user=command.user)
        return f"started {command.argv[0]}" + (f" (pid {pid})" if pid else "")
    if command.attempts > 1:
        return _repeatedly(command, bench)
    stdin = secret(bench.host, bench.place, command.stdin_secret) if command.stdin_secret else None
    kept = {path: content(bench.host, path) for path in command.keeps}
    for path, before in kept.items():
        _may_write(bench.host, bench.place, path)
        keep_copy(bench.host, bench.copies, path, before)
    ended = bench.host.attempt(*command.argv, timeout=command.timeout, cwd=command.cwd, stdin=stdin, user=command.user)
    for path, before in kept.items():
        _durably(_left(bench, path, hashed(before)), hashed(content(bench.host, path)).encode())
    if ended.code not in command.ok:
        raise CommandFailed(
            f"{_shown(ended)} ended with status {ended.code}: {ended.text[-2000:]}", ended.code, ended.text
        )
    return ended.text


def _left(bench: Bench, path: str, before: str) -> Path:
    """Where it is written how a command left a file that had this hash."""
    bench.copies.mkdir(parents=True, exist_ok=True, mode=0o700)
    return bench.copies / f"left-{hashed(f'{bench.host.name}:{path}:{before}'.encode())}"


def _repeatedly(command: Run, bench: Bench) -> str:
    """Run it until it succeeds: a failure before a success says flaky, none at all says broken."""
    once = command.model_copy(update={"attempts": 1})
    failures: list[str] = []
    for number in range(1, command.attempts + 1):
        try:
            said = _run(once, bench)
        except (CommandFailed, CommandTimedOut) as error:
            if isinstance(error, CommandFailed) and error.status_code in (126, 127):
                raise
            failures.append(str(error))
            continue
        if not failures:
            return f"passed at the first attempt: what made it fail before is gone, or comes and goes\n{said}"
        return (
            f"flaky: passed at attempt {number} after {len(failures)} failure(s)\n{said}\nfirst failure: {failures[0]}"
        )
    raise CommandFailed(
        f"broken: failed {len(failures)} times of {command.attempts}: {failures[-1]}", output=failures[-1]
    )


def _shown(ended: Completed) -> str:
    return " ".join(ended.argv)[:200]


def _edit(command: Edit, bench: Bench) -> str:
    host = bench.host
    _may_write(host, bench.place, command.path)
    before = content(host, command.path)
    if hashed(before) == command.after:
        return f"{command.path} is as wanted already"
    if hashed(before) != command.before:
        raise StalePlan(f"{command.path} has changed since the plan was made")
    after = _edited(host, bench.place, before, command.editor, command.args)
    if hashed(after) != command.after:
        raise StalePlan(f"{command.path}: the edit would not give what was approved")
    keep_copy(host, bench.copies, command.path, before)
    host.write(command.path, after)
    return f"edited {command.path}\n{command.diff}"


def keep_copy(host: Host, copies: Path, path: str, data: bytes | None) -> None:
    """Keep the content, owner and mode of a file in the data directory, so that undo can put it back."""
    if data is None:
        return
    found = host.stat(path)
    copies.mkdir(parents=True, exist_ok=True, mode=0o700)
    facts = {"path": path, "host": host.name}
    if found:
        facts |= {"owner": f"{found.owner}:{found.group}", "mode": oct(found.mode)}
    _durably(copies / f"{hashed(data)}.json", json.dumps(facts).encode())
    _durably(copies / hashed(data), data)


def _durably(file: Path, data: bytes) -> None:
    if file.exists() and file.read_bytes() == data:
        return
    part = file.with_name(f"{file.name}.{os.getpid()}.part")
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())
    part.replace(file)


def _restore(command: Restore, bench: Bench) -> str:
    host = bench.host
    now = hashed(content(host, command.path))
    if now == command.before:
        return f"{command.path} is as it was"
    left = _left(bench, command.path, command.before)
    expected = left.read_text() if command.after == LEFT and left.is_file() else command.after
    if now != expected:
        raise StalePlan(f"{command.path} was changed by somebody else after us; it is left alone")
    if command.before == ABSENT:
        host.remove(command.path)
        return f"removed {command.path}, which had not been there"
    copy = bench.copies / command.before
    if not copy.is_file():
        raise ToolError(f"there is no copy of {command.path} to put back")
    data = copy.read_bytes()
    if hashed(data) != command.before:
        raise ToolError(f"the copy of {command.path} is damaged; it is not put back")
    facts: dict[str, str] = {}
    with contextlib.suppress(OSError, ValueError):
        facts = json.loads((bench.copies / f"{command.before}.json").read_text())
    same = facts.get("path") == command.path
    mode = int(facts["mode"], 8) if same and "mode" in facts else None
    host.write(command.path, data, mode=mode, owner=facts.get("owner") if same and os.geteuid() == 0 else None)
    return f"restored {command.path}"


def _end(command: End, bench: Bench) -> str:
    host = bench.host
    process = processes.look(host, command.pid)
    if process is None:
        return f"process {command.pid} is gone already"
    if not process.same(command.started, command.command):
        raise StalePlan(f"process {command.pid} is not the one that was seen any more")
    for name, patience in (("TERM", command.grace), ("KILL", 3.0)):
        host.signal(command.pid, name)
        if process.state == "T":
            host.signal(command.pid, "CONT")  # a stopped process takes a signal only when it goes on
        if _gone(host, command, patience):
            return f"ended process {command.pid} ({command.command[:120]})" + (" by force" if name == "KILL" else "")
    raise CommandFailed(f"process {command.pid} ({command.command[:120]}) could not be ended")


def _gone(host: Host, command: End, patience: float) -> bool:
    deadline = time.monotonic() + patience
    while True:
        process = processes.look(host, command.pid)
        if process is None or process.started != command.started:
            return True
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.05 if host.local else 0.5)


def _wait(command: Wait, bench: Bench) -> str:
    check = Check(probe=command.probe, args=command.args, expect=command.expect)
    deadline = time.monotonic() + command.limit
    pause = 0.1
    while True:
        result = bench.evaluate(check)
        if result.passed or not command.expect:
            return result.detail
        if time.monotonic() >= deadline:
            never = f"did not come true within {command.limit:g} s" if command.limit else "is not so"
            raise ToolError(f"{' and '.join(command.expect)} {never}: {result.detail}")
        time.sleep(min(pause, max(deadline - time.monotonic(), 0.01)))
        pause = min(pause * 1.5, 2.0)


def _edited(host: Host, place: Place, before: bytes | None, editor: str, args: Mapping[str, Any]) -> bytes:
    try:
        text = (before or b"").decode("utf-8")
    except UnicodeDecodeError:
        raise NotAllowed("the file is not UTF-8 text; it is not edited") from None
    given = dict(args)
    if "secret" in given:
        given["value"] = secret(host, place, str(given.pop("secret")))
    return edits.edit(editor, text, given).encode("utf-8")


def _may_write(host: Host, place: Place, path: str) -> None:
    for one in {path, host.resolve(path)}:
        if place.is_protected(one):
            raise NotAllowed(f"{path} is protected by the inventory")


def _diff(before: bytes, after: bytes, path: str, hidden: str) -> str:
    """The changed lines alone, without secrets: this text is shown, kept and sent."""
    old, new = (data.decode("utf-8", "replace").splitlines() for data in (before, after))
    lines = difflib.unified_diff(old, new, path, path, lineterm="", n=0)
    return "\n".join(masked(line.replace(hidden, "***") if hidden else line) for line in lines)[:4000]

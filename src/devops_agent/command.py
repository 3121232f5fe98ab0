"""What a change does, exactly: commands as data. They are shown, approved, journaled and performed as they are."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from devops_agent.record import Record


class Run(Record):
    """A command as an argument list. `stdin_secret` names a secret of the inventory that is handed over by stdin.

    `detach`: what it starts stays (a service that nothing supervises); `ok` are the statuses that count as success;
    `attempts`: how often it may be run until it succeeds (a test that may be flaky); `keeps` are files that it
    rewrites: a copy is kept for undo, and how it left them is remembered.
    """

    kind: Literal["run"] = "run"
    argv: tuple[str, ...]
    detach: bool = False
    ok: tuple[int, ...] = (0,)
    attempts: int = 1
    cwd: str | None = None
    user: str | None = None
    timeout: float = 60.0
    stdin_secret: str | None = None
    keeps: tuple[str, ...] = ()


class Edit(Record):
    """An edit of a file: `editor` with `args` turns the content with hash `before` into the one with hash `after`.

    The content itself is not in the plan (it may hold secrets); `diff` shows the changed lines, redacted.
    """

    kind: Literal["edit"] = "edit"
    path: str
    editor: str
    args: dict[str, Any]
    before: str
    after: str
    diff: str = ""


class Restore(Record):
    """Undo of an edit: put the kept copy with hash `before` back, if the file still has hash `after`.

    `after` is `left` where a command rewrote the file: then it must be as that command left it.
    """

    kind: Literal["restore"] = "restore"
    path: str
    before: str
    after: str


class End(Record):
    """End one process, first gently and after `grace` seconds by force, if it still is the one that was seen."""

    kind: Literal["end"] = "end"
    pid: int
    started: int
    command: str
    grace: float = 5.0


class Wait(Record):
    """Look again with a probe until its conditions hold, for at most `limit` seconds. Changes nothing."""

    kind: Literal["wait"] = "wait"
    probe: str
    args: dict[str, Any] = {}
    expect: tuple[str, ...] = ()
    limit: float = 30.0


class Call(Record):
    """Call a tool of another MCP server, which the settings declare to be a change."""

    kind: Literal["call"] = "call"
    server: str
    tool: str
    args: dict[str, Any] = {}


Command = Annotated[Run | Edit | Restore | End | Wait | Call, Field(discriminator="kind")]

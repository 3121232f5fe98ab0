"""Records in words: what a command will do, what a probe saw, how sure a diagnosis is."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any, assert_never

from devops_agent.model import Action, Call, Command, Edit, End, Evidence, Restore, Run, Wait

EFFECTS = {
    "read": "looks only",
    "change": "changes something",
    "destroy": "ends or deletes something",
}
OUTCOMES = {
    "succeeded": "done",
    "already": "nothing to do: it was so already",
    "failed": "failed",
    "skipped": "not started",
    "unknown": "interrupted: whether it took effect is not known; it is not repeated",
}


def command(one: Command) -> str:
    """What one command of a plan will do."""
    match one:
        case Run():
            notes = [f"as {one.user}"] if one.user else []
            notes += [f"in {one.cwd}"] if one.cwd else []
            notes += ["a secret is handed over by standard input"] if one.stdin_secret else []
            return shlex.join(one.argv) + (f"   ({', '.join(notes)})" if notes else "")
        case Edit():
            return f"edit {one.path}: {call(one.editor, one.args)}"
        case Restore():
            return f"put the kept copy of {one.path} back, if nobody has changed it since"
        case End():
            return f"end process {one.pid} ({one.command}): gently, by force after {one.grace:g} s"
        case Wait():
            expected = f" until {' and '.join(one.expect)}" if one.expect else ""
            limit = f", for at most {one.limit:g} s" if one.limit else ""
            return f"look with {call(one.probe, one.args)}{expected}{limit}"
        case Call():
            return f"call {call(one.tool, one.args)} of the MCP server {one.server}"
        case _:
            assert_never(one)


def diff(one: Command) -> list[str]:
    """The changed lines of an edit."""
    return one.diff.splitlines() if isinstance(one, Edit) else []


def call(name: str, args: Mapping[str, Any]) -> str:
    """`tool(name=value)`."""
    return f"{name}({', '.join(f'{key}={value(each)}' for key, each in args.items())})"


def action(one: Action) -> str:
    """An action of a plan, with the host where that is not this one."""
    place = "" if one.host == "local" else f" on {one.host}"
    return call(one.tool, one.args) + place


def looked(one: Evidence, limit: int = 300) -> str:
    """What a probe saw, in a line; fields that hold nothing are left out."""
    if one.data is None:
        return shortened(one.text, limit)
    said = {key: each for key, each in one.data.items() if each not in (None, "", [], {})}
    return shortened(", ".join(f"{key}: {value(each)}" for key, each in said.items()) or "nothing", limit)


def probe(one: Evidence) -> tuple[str, str]:
    """Name of the probe and how it was called, from an evidence id such as `port_owner(port=8000)#1`."""
    called = one.id.rpartition("#")[0] or one.id
    called = called.rpartition("/")[2] if "(" not in called else called
    return called.partition("(")[0], called


def value(one: Any) -> str:
    """A value as people read it."""
    if isinstance(one, float):
        one = round(one, 3)
    return one if isinstance(one, str) else json.dumps(one, ensure_ascii=False, default=str)


def pretty(one: Any) -> str:
    """A record as indented JSON."""
    return json.dumps(one, indent=2, ensure_ascii=False, default=str)


def percent(confidence: float) -> str:
    """How sure, in whole percent; never a rounded-up 100."""
    return f"{min(99, round(confidence * 100)) if confidence < 1 else 100} %"


def sentence(text: str) -> str:
    """Text that ends like a sentence."""
    text = text.strip()
    return text if not text or text[-1] in ".!?…" else text + "."


def shortened(text: str, limit: int) -> str:
    """One line of at most `limit` characters."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"

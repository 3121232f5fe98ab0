"""Options and arguments that several commands share, and what they mean."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer

from devops_agent.cli import terminal
from devops_agent.errors import RequestError

if TYPE_CHECKING:
    from devops_agent.config import Settings

PLANNERS = ("auto", "runbooks", "model_first", "model")
Log = Annotated[
    str, typer.Argument(metavar="LOG|-", help="The log; - or nothing reads standard input.", show_default=False)
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
Markdown = Annotated[
    bool, typer.Option("--markdown", help="Print Markdown, for a job summary or a comment on the change.")
]
Inventory = Annotated[
    Path | None,
    typer.Option(metavar="FILE|DIR", help="What is known about the place.", show_default=False),
]
Policy = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="What may be done without asking.", show_default=False),
]
Planner = Annotated[
    str | None,
    typer.Option(
        metavar="auto|runbooks|model_first|model",
        help="Who plans. auto: runbooks, and a model where they do not know and a key is set.",
    ),
]


def settings(**given: Any) -> Settings:
    """The settings, with what the command line gave above all else; refuses a planner that is not there."""
    from devops_agent.config import load_settings, misspelt

    if given.get("planner") not in (None, *PLANNERS):
        raise RequestError(f"--planner: {given['planner']!r} is not one of {', '.join(PLANNERS)}")
    known = load_settings(given)
    for slip in misspelt():
        terminal.remark(f"devops-agent: {slip}")
    if known.redact:
        from devops_agent.distil.redact import also

        also(known.redact)
    return known


def one_form(as_json: bool, markdown: bool) -> None:
    """Refuse to print two forms at once."""
    if as_json and markdown:
        raise RequestError("--markdown: give either --json or --markdown, not both")


def source(log: str) -> Path | BinaryIO:
    """Where a log is read from: a file that is there, or standard input."""
    if log == "-":
        if sys.stdin.isatty():
            terminal.hint("reading the log from this terminal; end it with Ctrl-D")
        return sys.stdin.buffer
    return readable(log, "LOG")


def user() -> str:
    """Who sits at this command line, for the record."""
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def readable(name: str | Path, field: str) -> Path:
    """A file that can be read; the error names the argument and what is wrong with it."""
    path = Path(name)
    if path.is_dir():
        raise RequestError(f"{field}: {path} is a directory; name a file, or - for standard input")
    if not path.exists():
        raise RequestError(f"{field}: {path}: no such file (- reads standard input)")
    if not os.access(path, os.R_OK):
        raise RequestError(f"{field}: {path} cannot be read: permission denied")
    return path

"""The command line. `main` is what `devops-agent` runs; every command group is a module of its own.

Exit status: 0 resolved, or the log shows no failure; 1 the agent itself failed; 2 wrong usage or configuration;
3 a person is needed. Ended by Ctrl-C: 130. The reader of our output went away: 141, as for any other program.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from devops_agent.errors import AgentError

if TYPE_CHECKING:
    import typer


def main(arguments: list[str] | None = None) -> None:
    """Run one command and end the process with its exit status."""
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # looking for plugins costs a tenth of the start
    from devops_agent.cli.app import build
    from devops_agent.cli.terminal import READER_GONE

    status = _run(build(), arguments)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        status = READER_GONE
    if status == READER_GONE:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(status)


def _run(app: typer.Typer, arguments: list[str] | None) -> int:
    try:
        app(args=arguments, prog_name="devops-agent")
    except AgentError as error:
        print(f"devops-agent: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"devops-agent: {where}{error.strerror or error}", file=sys.stderr)
        return 1
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    return 0

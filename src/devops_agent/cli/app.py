"""All commands put together. Nothing heavy is imported here: each command imports what it needs when it runs."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

EPILOG = """Examples:

\b
  devops-agent diagnose build.log
  kubectl logs pod/web | devops-agent diagnose
  devops-agent handle deploy.log --inventory shop.yaml --dry-run
  devops-agent serve

\b
Exit status: 0 resolved, or the log shows no failure; 1 the agent itself failed;
2 wrong usage or configuration; 3 a person is needed.

\b
Environment: DEVOPS_AGENT_INVENTORY, DEVOPS_AGENT_POLICY and DEVOPS_AGENT_PLANNER stand for the
options of the same names; DEVOPS_AGENT_DATA_DIR is where everything that is kept lies.
No language model is needed: runbooks plan. With a key (OPEN_AI_API_KEY, OPENAI_API_KEY, or
that of another provider) `handle` and `serve` ask a model where no runbook knows what to do.
"""


def build() -> typer.Typer:
    """The application with all its commands."""
    from devops_agent.cli import (
        audit,
        catalogue,
        data,
        halting,
        jobs,
        keys,
        mcp,
        reading,
        repair,
        serving,
        stats,
        tracing,
        traffic,
        watch,
        working,
    )

    app = typer.Typer(
        name="devops-agent",
        help="From a failing log to a proven repair: find the lines that matter, name the cause, plan, ask, act, prove",
        epilog=EPILOG,
        add_completion=True,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    )
    app.callback()(_options)
    rest = (serving, working, halting, data, keys, watch, traffic, catalogue, mcp)
    for module in (reading, repair, jobs, audit, stats, tracing, *rest):
        module.register(app)
    return app


def _version(wanted: bool) -> None:
    if wanted:
        from devops_agent import __version__

        sys.stdout.write(f"devops-agent {__version__}\n")
        raise typer.Exit


def _options(
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version and leave.", is_eager=True, callback=_version),
    ] = False,
) -> None:
    """Options that stand before the command."""

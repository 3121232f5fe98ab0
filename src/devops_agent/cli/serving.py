"""`serve`: the HTTP API and the dashboard, with embedded workers."""

from __future__ import annotations

from typing import Annotated

import typer

from devops_agent.cli import options

SERVE = """\b
Examples:
  devops-agent serve
  devops-agent serve --port 8080 --inventory places/ --policy policy.yaml
  devops-agent keys create ann --role admin && devops-agent serve --host 0.0.0.0
"""


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command(epilog=SERVE)(serve)


def serve(
    host: Annotated[
        str | None, typer.Option(help="Address to listen on (127.0.0.1 unless set).", show_default=False)
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port to listen on (5000 unless set).", show_default=False)
    ] = None,
    inventory: options.Inventory = None,
    policy: options.Policy = None,
    planner: options.Planner = None,
    insecure: Annotated[
        bool | None,
        typer.Option("--insecure", help="Serve without keys on an address that others reach.", show_default=False),
    ] = None,
) -> None:
    """Serve the HTTP API and the dashboard.

    Jobs are worked on in the same process, until it is ended by Ctrl-C or SIGTERM.
    """
    settings = options.settings(
        host=host, port=port, inventory=inventory, policy=policy, planner=planner, insecure=insecure
    )
    from devops_agent.web import server

    server.serve(settings)

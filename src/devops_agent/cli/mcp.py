"""`mcp`: what the agent can do, offered to coding agents and chat clients."""

from __future__ import annotations

from typing import Annotated

import typer

from devops_agent.cli import options
from devops_agent.errors import ConfigError

MCP = """\b
Examples:
  devops-agent mcp --inventory shop.yaml                 over stdio: what a client's configuration starts
  devops-agent mcp --http --port 5001                    streamable HTTP at http://127.0.0.1:5001/mcp
\b
A client may diagnose, look, plan, submit and deny. It may approve only with DEVOPS_AGENT_MCP_MAY_APPROVE=1.
"""


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command(epilog=MCP, short_help="Offer diagnosis, repair and probes over MCP.")(mcp)


def mcp(
    http: Annotated[bool, typer.Option("--http", help="Streamable HTTP instead of standard input and output.")] = False,
    host: Annotated[str, typer.Option(help="Address to listen on (with --http).")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on (with --http).")] = 5001,
    inventory: options.Inventory = None,
    policy: options.Policy = None,
    planner: options.Planner = None,
) -> None:
    """Offer diagnosis, repair and probes to other programs by the Model Context Protocol."""
    settings = options.settings(inventory=inventory, policy=policy, planner=planner)
    try:
        from devops_agent.mcp import server
    except ImportError:
        raise ConfigError("the MCP server needs more packages: pip install 'devops-agent[mcp]'") from None

    if http:
        server.run_http(settings, host, port)
    else:
        server.run_stdio(settings, options.user())

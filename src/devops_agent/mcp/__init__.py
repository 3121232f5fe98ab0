"""The MCP server: what coding agents and chat clients are offered, under the same policy as everybody else."""

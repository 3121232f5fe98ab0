"""The real command in a process of its own, with a data folder of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Ran = subprocess.CompletedProcess[bytes]
Agent = Callable[..., Ran]

PORT_LOG = """building
Error: listen EADDRINUSE: address already in use :::3000
    at Server.setupListenHandle [as _listen2] (node:net:1817:16)
npm ERR! code ELIFECYCLE
##[error]Process completed with exit code 1.
"""
HEALTHY_LOG = "collected 3 items\n\ntests/test_cart.py ... [100%]\n\n3 passed in 0.12s\n"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Nothing of the developer's own settings, and a data folder that is thrown away."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DEVOPS_AGENT_", "OPEN"))}
    return {**kept, "DEVOPS_AGENT_DATA_DIR": str(tmp_path / "data")}


@pytest.fixture
def agent(tmp_path: Path, environment: dict[str, str]) -> Agent:
    """Run `devops-agent` with these arguments; `said` is standard input."""

    def run(*arguments: str, said: bytes = b"", env: dict[str, str] | None = None) -> Ran:
        return subprocess.run(
            [sys.executable, "-m", "devops_agent", *arguments],
            cwd=tmp_path,
            env={**environment, **(env or {})},
            input=said,
            capture_output=True,
            timeout=60,
            check=False,
        )

    return run


@pytest.fixture
def port_log(tmp_path: Path) -> Path:
    file = tmp_path / "build.log"
    file.write_text(PORT_LOG)
    return file

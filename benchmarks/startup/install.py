"""`make run` from nothing to the first answer of `/health`: seconds, and the size of the environment."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIMIT = 600.0


def main() -> int:
    """Measure and print; 1 where the service did not come up."""
    with tempfile.TemporaryDirectory() as work:
        clone = Path(work, "project")
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        env = {name: value for name, value in os.environ.items() if not name.startswith(("DEVOPS_AGENT_", "OPEN"))}
        env["DEVOPS_AGENT_DATA_DIR"] = str(Path(work, "data"))
        began = time.monotonic()
        process = subprocess.Popen(["make", "run", f"PORT={port}"], cwd=clone, env=env, start_new_session=True)
        try:
            answer = first_answer(port, process)
            seconds = time.monotonic() - began
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(60)
        if answer is None:
            print("the service did not answer")
            return 1
        print(f"from nothing to /health {answer['status']!r}: {seconds:.1f} s")
        print(f"environment: {size(clone / '.venv') / 2**20:.0f} MiB, {packages(clone)} packages")
    return 0


def first_answer(port: int, process: subprocess.Popen[bytes]) -> dict[str, str] | None:
    """What `/health` says as soon as it says something."""
    deadline = time.monotonic() + LIMIT
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2) as answer:
                return dict(json.load(answer))
        except OSError:
            time.sleep(0.1)
    return None


def size(folder: Path) -> int:
    """Bytes on disk below a folder."""
    return sum(each.lstat().st_blocks * 512 for each in folder.rglob("*"))


def packages(clone: Path) -> int:
    """How many distributions are installed."""
    return len(list((clone / ".venv").glob("lib/python*/site-packages/*.dist-info")))


if __name__ == "__main__":
    sys.exit(main())

"""A place with real supervised services, and the whole agent let loose on it: what it did, and what became of it."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

APP = """import http.server, os, sys
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        try: status, body = 200, work()
        except Exception as error:
            print(f'{type(error).__name__}: {error}', flush=True)
            status, body = 500, 'broken'
        self.send_response(status); self.end_headers(); self.wfile.write(body.encode())
    def log_message(self, *words): pass
def serve(port): http.server.ThreadingHTTPServer(('127.0.0.1', int(port)), Answer).serve_forever()
"""


def free_port() -> int:
    """A port that nobody uses."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


class Site:
    """Services under runit in a folder, an inventory, and the agent's command line over it."""

    def __init__(self, folder: Path) -> None:
        if not shutil.which("runsv"):
            pytest.skip("runit is not installed")
        self.folder = folder
        self.inventory: dict[str, Any] = {"workspace": str(folder), "services": {}}
        self.inside: list[str] = []
        self._keepers: dict[str, subprocess.Popen[bytes]] = {}
        (folder / "log").mkdir()

    def write(self, path: str, text: str, mode: int = 0o644) -> Path:
        """A file of the place."""
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)
        return file

    def service(self, name: str, run: str, **entry: Any) -> None:
        """A service that runit keeps, and its entry in the inventory."""
        head = f"#!/bin/sh\nexec >>{self.folder}/log/{name}.log 2>&1\ncd {self.folder}\n"
        self.write(f"sv/{name}/run", f"{head}{run}\n", 0o755)
        argv = ["runsv", str(self.folder / "sv" / name)]
        self._keepers[name] = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        entry = {"supervisor": "runit", "unit": f"sv/{name}", "logs": [f"log/{name}.log"], **entry}
        self.inventory["services"][name] = entry

    def sv(self, verb: str, name: str) -> None:
        """A word to a service's keeper."""
        subprocess.run(["sv", "-w", "7", verb, str(self.folder / "sv" / name)], check=False, capture_output=True)

    def pid(self, name: str) -> int:
        """The process that is the service; 0 where it does not run."""
        file = self.folder / "sv" / name / "supervise/pid"
        return int(file.read_text().strip() or 0) if file.exists() else 0

    def get(self, port: int) -> int:
        """The status with which a port answers; 0 where it does not."""
        argv = [*self.inside, "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--noproxy", "*", "-m", "3"]
        ended = subprocess.run([*argv, f"http://127.0.0.1:{port}/"], capture_output=True, text=True, check=False)
        return int(ended.stdout or 0)

    def handle(self, log: str, *options: str) -> dict[str, Any]:
        """The report of the agent on this log, with everything approved that policy asks about."""
        self.write("incident.log", log)
        self.write("inventory.yaml", yaml.safe_dump(self.inventory))
        argv = [sys.executable, "-m", "devops_agent", "handle", "incident.log", "--inventory", "inventory.yaml"]
        environment = {**os.environ, "DEVOPS_AGENT_DATA_DIR": str(self.folder / ".data"), "HOME": str(self.folder)}
        for name in ("OPENAI_API_KEY", "OPEN_AI_API_KEY", "OPENAI_BASE_URL", "DEVOPS_AGENT_MODEL"):
            environment.pop(name, None)
        ended = subprocess.run(
            [*self.inside, *argv, "--yes", "--json", *options],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=150,
            check=False,
        )
        assert ended.returncode in (0, 3), ended.stderr
        report: dict[str, Any] = json.loads(ended.stdout)
        return report

    def close(self) -> None:
        """End all services and their keepers."""
        for name in self._keepers:
            self.sv("force-shutdown", name)
        for keeper in self._keepers.values():
            keeper.terminate()
            keeper.wait(10)


def eventually(test: Any, seconds: float = 8.0) -> Any:
    """What a test gives as soon as it holds, or at the end."""
    end = time.monotonic() + seconds
    while not (found := test()) and time.monotonic() < end:
        time.sleep(0.1)
    return found


def done(report: dict[str, Any]) -> list[str]:
    """The tools whose actions were carried out, in order."""
    tools = []
    for attempt in report["attempts"]:
        named = {action["id"]: action["tool"] for action in (attempt.get("plan") or {}).get("actions", ())}
        outcomes = attempt.get("outcomes") or ()
        tools += [named[each["action_id"]] for each in outcomes if each["status"] == "succeeded"]
    return tools

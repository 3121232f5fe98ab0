"""Break something real on this machine, in a private folder, and let devops_agent repair it.

A service is stopped for a deployment. In that moment somebody's forgotten web server takes its port, and the service
cannot start any more. Beside it an innocent server of the same kind is running, which must live on. Everything that is
started here is ended by its pid; the exit status is 0 only if all that is promised came true.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
AGENT = [sys.executable, "-m", "devops_agent"]
INVENTORY = """\
workspace: .
labels: {{env: demo}}
services:
  shop:
    supervisor: command
    run: ["{python}", "{shop}", "{port}"]
    ports: [{port}]
    logs: [log/shop.log]
    health: {{http: "http://127.0.0.1:{port}/", contains: the shop is open}}
"""


class Broken(Exception):
    """Something is not as promised."""


class Scene:
    """The private folder, its two ports, and all processes that were started."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port, self.other = free_ports(2)
        self.started: list[subprocess.Popen[bytes]] = []
        (folder / "log").mkdir()
        program = shutil.copy(HERE / "shop.py", folder / "shop.py")
        self.shop = (sys.executable, str(program), str(self.port))
        inventory = INVENTORY.format(python=sys.executable, shop=program, port=self.port)
        (folder / "inventory.yaml").write_text(inventory)

    def start(self, *argv: str, folder: str = ".") -> subprocess.Popen[bytes]:
        """Start a process of this scene."""
        where = self.folder / folder
        where.mkdir(exist_ok=True)
        quiet = subprocess.DEVNULL
        process = subprocess.Popen(argv, cwd=where, stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True)
        self.started.append(process)
        return process

    def web_server(self, port: int, folder: str) -> subprocess.Popen[bytes]:
        """A plain web server, such as people forget to end."""
        process = self.start(sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1", folder=folder)
        until(lambda: page(port) is not None, f"the web server on port {port} does not answer")
        return process

    def shop_pid(self) -> int | None:
        """The running shop of this scene, whoever started it."""
        try:
            pid = int((self.folder / "shop.pid").read_text())
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (OSError, ValueError):
            return None
        return pid if str(self.folder / "shop.py").encode() in command else None

    def clean(self) -> None:
        """End what is left, by pid, and remove the folder."""
        if (pid := self.shop_pid()) and all(process.pid != pid for process in self.started):
            os.kill(pid, signal.SIGTERM)
        for process in self.started:
            end(process)
        shutil.rmtree(self.folder, ignore_errors=True)


def main() -> int:
    """Play the scene; 0 if everything came as promised."""
    scene = Scene(Path(tempfile.mkdtemp(prefix="devops-agent-demo-")))
    try:
        play(scene)
    except Broken as problem:
        print(f"\nNOT as promised: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        scene.clean()
    print("\nAll as promised; everything that was started has been ended and the folder removed.")
    return 0


def play(scene: Scene) -> None:
    """The fault, the repair, the proof, and a second look."""
    tell(f"A shop is running on port {scene.port}; somebody else's web server runs on port {scene.other}.")
    innocent = scene.web_server(scene.other, "innocent")
    shop = scene.start(*scene.shop)
    until(lambda: is_open(scene.port), "the shop did not start")

    tell("It is stopped for a deployment. In that moment a forgotten web server takes its port.")
    end(shop)
    stray = scene.web_server(scene.port, "forgotten")

    tell("The deployment cannot start the shop any more:")
    log = deploy(scene)
    print(indented(log.read_text()))
    promise(not is_open(scene.port), "the shop is down")

    tell("devops-agent handle deploy.log --inventory inventory.yaml --yes")
    report = handle(scene, log)
    promise(report["status"] == "resolved", f"the incident is resolved (it is {report['status']})")
    attempt = report["attempts"][0]
    promise(attempt["diagnosis"]["cause"] == "port_in_use", "the cause was named: port_in_use")
    done = [action["tool"] for action in attempt["plan"]["actions"]]
    promise("free_port" in done, f"the plan was carried out: {', '.join(done)}")

    tell("Is that so? Looking without the agent:")
    promise(is_open(scene.port), f"the shop answers on port {scene.port} again")
    promise(gone(stray), "the forgotten web server is gone")
    promise(innocent.poll() is None and page(scene.other) is not None, "the innocent web server lives and answers")

    tell("A second run, on the same log:")
    pid = scene.shop_pid()
    second = handle(scene, log)
    promise(second["status"] in ("resolved", "no_failure"), "it says that nothing is wrong (any more)")
    outcomes = [one["status"] for attempt in second["attempts"] for one in attempt["outcomes"]]
    promise("succeeded" not in outcomes, "it changed nothing")
    promise(scene.shop_pid() == pid and innocent.poll() is None, "the shop and the innocent were left alone")


def deploy(scene: Scene) -> Path:
    """Start the shop as a deployment would; it fails for real, and this is the log of it."""
    log = scene.folder / "deploy.log"
    started = scene.start(*scene.shop)
    until(lambda: started.poll() is not None, "the shop started although its port is taken")
    said = (scene.folder / "log" / "shop.log").read_text().rpartition("shop: starting")
    tail = f"deploy: shop.py ended with exit code {started.returncode}\ndeploy: failed\n"
    log.write_text(f"deploy: release 2 is in place\ndeploy: starting shop\nshop: starting{said[2]}{tail}")
    return log


def handle(scene: Scene, log: Path) -> dict[str, Any]:
    """Run the real command: its report for people on this terminal, and then the journal's as data."""
    env = {**os.environ, "DEVOPS_AGENT_DATA_DIR": str(scene.folder / "data")}
    for name in ("DEVOPS_AGENT_POLICY", "DEVOPS_AGENT_INVENTORY", "DEVOPS_AGENT_READ_ONLY", "DEVOPS_AGENT_PLANNER"):
        env.pop(name, None)
    inventory = str(scene.folder / "inventory.yaml")
    argv = [*AGENT, "handle", str(log), "--inventory", inventory, "--yes"]
    status = subprocess.run(argv, cwd=scene.folder, env=env, timeout=120, check=False).returncode
    promise(status == 0, f"the command's exit status is {status}")
    listed = subprocess.run(
        [*AGENT, "jobs", "--json"], cwd=scene.folder, env=env, timeout=30, capture_output=True, check=True
    )
    newest = json.loads(listed.stdout)[0]["id"]
    shown = subprocess.run(
        [*AGENT, "job", newest, "--json"], cwd=scene.folder, env=env, timeout=30, capture_output=True, check=True
    )
    return dict(json.loads(shown.stdout))


def promise(kept: bool, text: str) -> None:
    """Say what came true; stop where it did not."""
    if not kept:
        raise Broken(text)
    print(f"  ok  {text}", flush=True)


def tell(text: str) -> None:
    """One sentence of the story."""
    print(f"\n== {text}", flush=True)


def indented(text: str) -> str:
    """A log's text, set off."""
    return "".join(f"    {line}\n" for line in text.splitlines())


def page(port: int) -> bytes | None:
    """What a web server on this port answers, if any does."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2) as answer:
            return bytes(answer.read())
    except (OSError, urllib.error.URLError):
        return None


def is_open(port: int) -> bool:
    """Whether the shop itself answers there."""
    return b"the shop is open" in (page(port) or b"")


def until(true: Callable[[], bool], otherwise: str, limit: float = 15.0) -> None:
    """Wait for something, but not for long."""
    deadline = time.monotonic() + limit
    while not true():
        if time.monotonic() > deadline:
            raise Broken(otherwise)
        time.sleep(0.05)


def gone(process: subprocess.Popen[bytes]) -> bool:
    """Whether a process has ended."""
    return process.poll() is not None


def end(process: subprocess.Popen[bytes]) -> None:
    """End one process that was started here."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)


def free_ports(count: int) -> list[int]:
    """Ports on which nothing listens now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    return ports


if __name__ == "__main__":
    sys.exit(main())

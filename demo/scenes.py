"""Three real faults, each in a private folder with an innocent neighbour: what works, how it breaks, how one can tell.

Nothing here knows the agent: `works` and `unharmed` look for themselves. Everything that was started is ended by pid.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent


class Broken(Exception):
    """Something is not as promised."""


class Scene(ABC):
    """One fault. `set_up` makes a place that works, `ruin` breaks it, and `fail` tries again and logs."""

    title = ""
    cause = ""
    tools: tuple[str, ...] = ()
    neighbour = ""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.started: list[subprocess.Popen[bytes]] = []
        folder.mkdir()

    def set_up(self) -> None:
        """Start what works, and the neighbour."""

    def ruin(self) -> None:
        """Break it."""

    @abstractmethod
    def fail(self) -> str:
        """Try what does not work any more; everything that was said about it."""

    @abstractmethod
    def works(self) -> bool:
        """Whether it works, seen from outside."""

    @abstractmethod
    def unharmed(self) -> bool:
        """Whether the neighbour, and everything else that must stay, is as it was."""

    @abstractmethod
    def inventory(self) -> dict[str, Any]:
        """What the team has written down about the place."""

    def pid(self) -> int | None:
        """The process that a second run must leave alone, if there is one."""
        return None

    def start(self, *argv: str, folder: Path | None = None) -> subprocess.Popen[bytes]:
        """Start a process of this scene."""
        where = folder or self.folder
        where.mkdir(exist_ok=True)
        quiet = subprocess.DEVNULL
        process = subprocess.Popen(argv, cwd=where, stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True)
        self.started.append(process)
        return process

    def web_server(self, port: int, folder: str) -> subprocess.Popen[bytes]:
        """A plain web server, such as people forget to end."""
        argv = (sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1")
        process = self.start(*argv, folder=self.folder / folder)
        until(lambda: page(port) is not None, f"the web server on port {port} does not answer")
        return process

    def clean(self) -> None:
        """End what is left, by pid, and remove the folder."""
        for file in self.folder.rglob("shop.pid"):
            pid = shop_pid(file.parent)
            if pid and all(process.pid != pid for process in self.started):
                os.kill(pid, signal.SIGTERM)
        for process in self.started:
            end(process)
        shutil.rmtree(self.folder, ignore_errors=True)


class ShopScene(Scene):
    """A scene about a shop on one port."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.port, self.other = free_ports(2)
        (folder / "log").mkdir()
        self.shop = (sys.executable, shutil.copy(HERE / "shop.py", folder), str(self.port))

    def open_shop(self) -> subprocess.Popen[bytes]:
        """Start the shop, as a team would."""
        process = self.start(*self.shop)
        until(self.works, "the shop did not start")
        return process

    def fail(self) -> str:
        """A deployment that ends with starting the shop, which fails."""
        process = self.start(*self.shop)
        until(lambda: process.poll() is not None, "the shop starts although it should not be able to")
        said = (self.folder / "log" / "shop.log").read_text().rpartition("shop: starting")[2]
        ending = f"deploy: shop.py ended with exit code {process.returncode}\ndeploy: failed\n"
        return f"deploy: release 2 is in place\nshop: starting{said}{ending}"

    def works(self) -> bool:
        """The shop itself answers."""
        return b"the shop is open" in (page(self.port) or b"")

    def pid(self) -> int | None:
        """The running shop, whoever started it."""
        return shop_pid(self.folder)

    def inventory(self) -> dict[str, Any]:
        """The shop: how it is run, and how one sees that it is healthy."""
        health = {"http": f"http://127.0.0.1:{self.port}/", "contains": "the shop is open"}
        shop = {"supervisor": "command", "run": list(self.shop), "ports": [self.port], "logs": ["log/shop.log"]}
        return {
            "workspace": str(self.folder),
            "labels": {"env": "demo"},
            "services": {"shop": {**shop, "health": health}},
        }


class StrayOnPort(ShopScene):
    """Somebody's forgotten web server takes the port of the shop while that is stopped for a deployment."""

    title = "A forgotten web server has taken the shop's port"
    cause = "port_in_use"
    tools = ("free_port", "start_service")
    neighbour = "a web server of the same kind on another port"

    def set_up(self) -> None:
        """The shop is open; a web server runs beside it."""
        self.innocent = self.web_server(self.other, "innocent")
        self.running = self.open_shop()

    def ruin(self) -> None:
        """The shop is stopped, the stray comes."""
        end(self.running)
        self.stray = self.web_server(self.port, "forgotten")

    def unharmed(self) -> bool:
        """The other web server lives and answers."""
        return self.innocent.poll() is None and page(self.other) is not None


class MissingVariable(ShopScene):
    """A deployment has dropped a variable from the shop's environment file; the template says what it should be."""

    title = "A deployment has dropped a variable that the shop needs"
    cause = "environment_variable_missing"
    tools = ("set_variable", "start_service")
    neighbour = "another team's shop with settings of its own"
    SETTINGS = "# kept by hand\nSHOP_NAME=Bee & Bean\nSHOP_CURRENCY={}\nSHOP_THEME=dark\n"

    def set_up(self) -> None:
        """Two shops with a currency each."""
        (self.folder / "env.example").write_text(
            "SHOP_NAME=\n# what prices are shown in\nSHOP_CURRENCY=CHF\nSHOP_THEME=\n"
        )
        (self.folder / "app.env").write_text(self.SETTINGS.format("CHF"))
        theirs = self.folder / "theirs"
        (theirs / "log").mkdir(parents=True)
        (theirs / "app.env").write_text(self.SETTINGS.format("EUR"))
        program = shutil.copy(HERE / "shop.py", theirs)
        self.innocent = self.start(sys.executable, program, str(self.other), folder=theirs)
        until(lambda: b"EUR" in (page(self.other) or b""), "the other shop did not start")
        self.running = self.open_shop()

    def ruin(self) -> None:
        """The new environment file lacks a line, and the shop is stopped."""
        end(self.running)
        lines = (self.folder / "app.env").read_text().splitlines(keepends=True)
        (self.folder / "app.env").write_text("".join(line for line in lines if "CURRENCY" not in line))

    def works(self) -> bool:
        """The shop answers, with the currency that its team documents."""
        return b"all prices in CHF" in (page(self.port) or b"")

    def unharmed(self) -> bool:
        """The other shop lives with its own settings, and the lines of this one are all there."""
        theirs = (self.folder / "theirs" / "app.env").read_text() == self.SETTINGS.format("EUR")
        kept = [line for line in self.SETTINGS.splitlines() if "CURRENCY" not in line]
        ours = (self.folder / "app.env").read_text().splitlines()
        return self.innocent.poll() is None and theirs and [line for line in ours if line in kept] == kept

    def inventory(self) -> dict[str, Any]:
        """The shop with its settings and their template."""
        known = super().inventory()
        known["services"]["shop"] |= {"config": ["app.env"], "templates": ["env.example"]}
        return known


class StaleLock(Scene):
    """A deployment was killed in the middle; its lock stops every later one."""

    title = "A deployment was killed, and its lock stops all later ones"
    cause = "state_locked"
    tools = ("release_lock", "run_check")
    neighbour = "a deployment of another team that is at work and holds its own lock"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.deploy = (sys.executable, shutil.copy(HERE / "deploy.py", folder))

    def set_up(self) -> None:
        """Deployments work here; another team's is under way."""
        for place in (self.folder, self.folder / "theirs"):
            (place / "state").mkdir(parents=True)
        self.innocent = self.start(*self.deploy, "apply", "600", folder=self.folder / "theirs")
        lock = self.folder / "theirs" / "state" / "lock.info"
        until(lambda: lock.exists() and bool(lock.read_text()), "the other deployment does not start")
        subprocess.run([*self.deploy, "apply"], cwd=self.folder, check=True, capture_output=True, timeout=20)

    def ruin(self) -> None:
        """One is killed while it works."""
        lock = self.folder / "state" / "lock.info"
        process = self.start(*self.deploy, "apply", "600")
        until(lambda: lock.exists() and bool(lock.read_text()), "the deployment does not start")
        process.kill()
        process.wait(10)

    def fail(self) -> str:
        """The next deployment."""
        ran = subprocess.run(
            [*self.deploy, "apply"], cwd=self.folder, capture_output=True, text=True, timeout=20, check=False
        )
        return f"$ deploy apply\n{ran.stdout}{ran.stderr}exit status {ran.returncode}\n"

    def works(self) -> bool:
        """Deployments get through: no lock is left, and one more has been recorded than before the fault."""
        done = (self.folder / "state" / "deployed").read_text().splitlines()
        return not (self.folder / "state" / "lock.info").exists() and len(done) > 1

    def unharmed(self) -> bool:
        """The other deployment still works under its lock."""
        return self.innocent.poll() is None and (self.folder / "theirs" / "state" / "lock.info").exists()

    def inventory(self) -> dict[str, Any]:
        """The lock, how it is released, and the check that proves that deployments work."""
        release = [*self.deploy, "force-unlock", "{ID}"]
        lock = {"file": "state/lock.info", "holder": "Pid", "release": release, "wait": 5}
        check = {"command": [*self.deploy, "apply"], "timeout": 20, "effect": "change"}
        return {
            "workspace": str(self.folder),
            "labels": {"env": "demo"},
            "locks": {"state": lock},
            "checks": {"deploy": check, "deployable": {"command": [*self.deploy, "status"], "timeout": 20}},
        }


SCENES: tuple[type[Scene], ...] = (StrayOnPort, MissingVariable, StaleLock)


def write_inventory(scene: Scene, file: Path, **more: Any) -> Path:
    """The scene's inventory as a file (JSON is YAML too)."""
    file.write_text(json.dumps({**scene.inventory(), **more}, indent=2) + "\n")
    return file


def shop_pid(folder: Path) -> int | None:
    """The shop that runs in a folder, whoever started it."""
    try:
        pid = int((folder / "shop.pid").read_text())
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError):
        return None
    return pid if str(folder / "shop.py").encode() in command else None


def page(port: int) -> bytes | None:
    """What a web server on this port answers, if any does."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2) as answer:
            return bytes(answer.read())
    except OSError:
        return None


def until(true: Callable[[], bool], otherwise: str, limit: float = 15.0) -> None:
    """Wait for something, but not for long."""
    deadline = time.monotonic() + limit
    while not true():
        if time.monotonic() > deadline:
            raise Broken(otherwise)
        time.sleep(0.05)


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

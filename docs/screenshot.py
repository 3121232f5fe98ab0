"""Make the pictures of the page that the documents show: a real service, real faults, real repairs, a real browser.

`python docs/screenshot.py` writes `docs/images/*.png`. Chromium must be installed; nothing else is asked for.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "demo"))

from scenes import MissingVariable, Scene, StaleLock, StrayOnPort, free_ports, write_inventory

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs" / "images"
LARGEST = 300_000
PYTHON = sys.executable
POLICY = """\
- {allow: {labels: {env: staging}}}
- {ask: {effect: [change, destroy]}}
"""
OPEN = (1, 9, 6, 17, 18, 17, 24, 36, 6)
"""Numbers of the examples that are sent too, some of them more than once."""


class Service:
    """`devops-agent serve` with places of its own, on a free port."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        self.port = free_ports(1)[0]
        self.address = f"http://127.0.0.1:{self.port}"
        kept = {name: value for name, value in os.environ.items() if not name.startswith("DEVOPS_AGENT_")}
        self.environment = kept | {
            "DEVOPS_AGENT_DATA_DIR": str(folder / "data"),
            "DEVOPS_AGENT_INVENTORY": str(folder / "places"),
            "DEVOPS_AGENT_POLICY": str(folder / "policy.yaml"),
            "DEVOPS_AGENT_SETTLE_SECONDS": "0.5",
            **settings,
        }
        self.process: subprocess.Popen[bytes] | None = None
        self.http = httpx.Client(base_url=self.address, timeout=60)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        argv = (PYTHON, "-m", "devops_agent", "serve", "--port", str(self.port))
        log = (self.folder / "service.log").open("ab")
        self.process = subprocess.Popen(argv, cwd=self.folder, env=self.environment, stdout=log, stderr=log)
        until(lambda: self.answers() or self.process.poll() is not None, "the service does not answer")
        if self.process.poll() is not None:
            raise RuntimeError(f"the service did not start: {(self.folder / 'service.log').read_text()[-2000:]}")

    def answers(self) -> bool:
        """Whether it does."""
        try:
            return self.http.get("/health").status_code == 200
        except httpx.TransportError:
            return False

    def stop(self) -> None:
        """End it."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(30)
            self.process = None

    def send(self, log: str, place: str | None = None) -> str:
        """Hand in a log; the job's id, once there is an answer."""
        item = {"context": log, **({"place": place} if place else {})}
        job = str(self.http.post("/process_errors_async", json={"errors": [item]}).json()["job_id"])
        self.answered(job)
        return job

    def answered(self, job: str) -> dict[str, Any]:
        """Wait for an answer."""
        until(lambda: self.http.get(f"/job_status/{job}").json()["status"] != "processing", f"{job} has no answer")
        return dict(self.http.get(f"/jobs/{job}").json())

    def approve(self, job: str, by: str, reason: str) -> None:
        """Approve its plan, and wait for the proof."""
        self.http.post(f"/jobs/{job}/approve", json={"by": by, "reason": reason}).raise_for_status()
        until(lambda: self.answered(job)["job"]["status"] == "done", f"{job} does not end")


@contextmanager
def furnished(
    folder: Path, examples: tuple[int, ...] = OPEN, **settings: str
) -> Iterator[tuple[Service, dict[str, str]]]:
    """A service on which something has happened: a repair that was approved, one that was allowed, one that waits.

    Gives the ids of these jobs by `approved`, `alone` and `waiting`.
    """
    (folder / "places").mkdir(parents=True)
    (folder / "policy.yaml").write_text(POLICY)
    (folder / "bin").mkdir()
    (folder / "bin" / "python3").symlink_to(PYTHON)
    sys.executable = str(folder / "bin" / "python3")  # what the shop is run with, and what pictures show
    scenes: dict[str, Scene] = {
        "orders": MissingVariable(folder / "orders"),
        "shop": StrayOnPort(folder / "shop"),
        "deploy": StaleLock(folder / "deploy"),
    }
    service = Service(folder, **settings)
    try:
        logs = {}
        for name, scene in scenes.items():
            scene.set_up()
            scene.ruin()
            logs[name] = scene.fail()
            staging = {"labels": {"env": "staging"}} if name == "deploy" else {}
            write_inventory(scene, folder / "places" / f"{name}.yaml", **staging)
        service.start()
        known = service.http.get("/example_errors").json()["example_errors"]
        for number in examples:
            service.send(known[number]["context"], "deploy")
        jobs = {"alone": service.send(logs["deploy"], "deploy"), "approved": service.send(logs["shop"], "shop")}
        service.approve(jobs["approved"], "ada", "seen, go ahead")
        jobs["waiting"] = service.send(logs["orders"], "orders")
        yield service, jobs
    finally:
        sys.executable = PYTHON
        service.stop()
        for scene in scenes.values():
            scene.clean()


def until(true: Callable[[], bool], otherwise: str, limit: float = 60.0) -> None:
    """Wait for something, but not for long."""
    deadline = time.monotonic() + limit
    while not true():
        if time.monotonic() > deadline:
            raise RuntimeError(otherwise)
        time.sleep(0.1)


def main() -> int:
    """Write the pictures."""
    from playwright.sync_api import sync_playwright

    program = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        print("needs Chromium: apt-get install --no-install-recommends chromium", file=sys.stderr)
        return 1
    IMAGES.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="shop-") as folder,
        furnished(Path(folder) / "srv") as (service, jobs),
        sync_playwright() as playwright,
    ):
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=program, args=arguments)
        views = {"dashboard": "/dashboard", "incident": f"/dashboard/jobs/{jobs['waiting']}"}
        for name, path in views.items():
            page = browser.new_page(base_url=service.address, viewport={"width": 1180, "height": 860})
            page.goto(path)
            page.wait_for_timeout(500)
            file = IMAGES / f"{name}.png"
            page.screenshot(path=file, full_page=name == "incident")
            print(f"{file.relative_to(ROOT)}: {file.stat().st_size:,} bytes")
            if file.stat().st_size > LARGEST:
                raise RuntimeError(f"{file} is larger than {LARGEST} bytes")
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Repairs through the API of a real server: posted, approved by others, executed, proven, on the audit trail."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "demo"))

from scenes import SCENES, Scene, write_inventory

POLICY = "rules:\n  - {ask: {effect: destroy, persons: 2}}\n  - {ask: {effect: change, persons: 2}}\n"


class Service(NamedTuple):
    """A running server: its API, its scenes, and the environment in which commands see the same data."""

    http: httpx.Client
    scenes: dict[str, Scene]
    env: dict[str, str]

    def audit(self, job: str) -> dict[str, Any]:
        """What the command line tells about a job."""
        argv = [sys.executable, "-m", "devops_agent", "audit", job, "--json", "--limit", "1000"]
        ran = subprocess.run(argv, env=self.env, capture_output=True, timeout=60, check=False)
        assert ran.returncode == 0, ran.stderr
        return dict(json.loads(ran.stdout))


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One server for three places; everything is ended by pid."""
    folder = tmp_path_factory.mktemp("api")
    (folder / "places").mkdir()
    (folder / "policy.yaml").write_text(POLICY)
    scenes = {kind.__name__.lower(): kind(folder / kind.__name__.lower()) for kind in SCENES}
    for name, scene in scenes.items():
        write_inventory(scene, folder / "places" / f"{name}.yaml", name=name)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    env = {name: value for name, value in os.environ.items() if not name.startswith(("DEVOPS_AGENT_", "OPEN"))}
    env |= {"DEVOPS_AGENT_DATA_DIR": str(folder / "data"), "DEVOPS_AGENT_SETTLE_SECONDS": "0.3"}
    argv = [
        "serve",
        "--port",
        str(port),
        "--inventory",
        str(folder / "places"),
        "--policy",
        str(folder / "policy.yaml"),
    ]
    with (folder / "server.log").open("wb") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", "devops_agent", *argv], cwd=folder, env=env, stdout=output, stderr=output
        )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            _until_it_answers(client, server, folder / "server.log")
            yield Service(client, scenes, env)
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait(10)
        for scene in scenes.values():
            scene.clean()


@pytest.mark.parametrize("kind", SCENES, ids=lambda kind: kind.__name__)
def test_posted_approved_by_others_executed_proven_and_on_record(service: Service, kind: type[Scene]) -> None:
    name = kind.__name__.lower()
    scene = service.scenes[name]
    scene.set_up()
    scene.ruin()

    log = scene.fail()
    row = post(service, log, name)
    assert row["outcome"] == "needs_approval", row["final_response"]
    job, fingerprint = row["job_id"], row["approval"]["fingerprint"]
    assert set(scene.tools) <= {each["tool"] for each in row["planned_actions"]}
    assert not scene.works()

    def decide(**said: str) -> int:
        return service.http.post(f"/jobs/{job}/approve", json={"fingerprint": fingerprint, **said}).status_code

    assert decide() == 409, "who posted it may not approve it"
    assert decide(by="HTTP") == 409
    assert decide(by="ada", fingerprint="0" * 32) == 409
    assert decide(by="ada", fingerprint="") == 400
    assert decide(by="ada", reason="seen") == 200
    assert decide(by="Ada") == 409, "nobody is two persons"
    assert service.http.get(f"/jobs/{job}").json()["job"]["waiting"] == "approval"
    assert not scene.works()
    assert decide(by="grace", reason="go ahead") == 200

    report = answered(service, job)
    assert report["status"] == "resolved", report["summary"]
    last = report["attempts"][-1]
    assert last["diagnosis"]["cause"] == scene.cause
    assert last["verification"]["over"]
    assert {one["status"] for one in last["outcomes"]} <= {"succeeded", "already"}
    assert scene.works()
    assert scene.unharmed()
    assert decide(by="linus") == 409, "it is over"

    on_record(service.audit(job), fingerprint, scene)
    title = service.http.get(f"/jobs/{job}").json()["job"]["title"]
    assert title != report["incident"]["title"], "lists show the line that decided"
    again = post(service, log, name)
    assert again["outcome"] in ("resolved", "no_failure"), again["final_response"]
    assert scene.works()
    assert scene.unharmed()


def on_record(trail: dict[str, Any], fingerprint: str, scene: Scene) -> None:
    """The trail is whole and tells, in order, who approved which plan and what became of it."""
    assert (trail["intact"], trail["problems"]) == (True, [])
    told = [(entry["event"], entry["actor"]) for entry in trail["entries"]]
    assert told[0] == ("submitted", "http")
    assert ("approved by one of several", "ada") in told
    assert ("approved by one of several", "grace") in told
    assert ("approved", "grace") in told
    assert told[-1][0] == "verified"
    events = [event for event, _ in told]
    order = [
        "submitted",
        "planned",
        "ruled",
        "approval wanted",
        "approved",
        "action started",
        "action ended",
        "verified",
    ]
    assert [events.index(event) for event in order] == sorted(events.index(event) for event in order)
    planned = next(entry["data"] for entry in trail["entries"] if entry["event"] == "planned")
    assert planned["fingerprint"] == fingerprint
    assert all(action["commands"] for action in planned["actions"] if action["tool"] in scene.tools)


def post(service: Service, log: str, place: str) -> dict[str, Any]:
    """Report what fails; the answer's one row."""
    answer = service.http.post("/process_errors", json={"errors": [{"context": log, "place": place}]})
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["results"][0])


def answered(service: Service, job: str, seconds: float = 60.0) -> dict[str, Any]:
    """The report of a job once it has ended."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        made = service.http.get(f"/jobs/{job}").json()
        if made["job"]["status"] in ("done", "error"):
            return dict(made["report"])
        time.sleep(0.1)
    raise AssertionError(f"no answer in time: {made['job']}")


def _until_it_answers(client: httpx.Client, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and server.poll() is None:
        try:
            if client.get("/health").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise AssertionError(log.read_text())

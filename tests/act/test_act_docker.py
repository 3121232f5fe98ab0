"""Five faults inside a real container, solved from outside through docker; and a container that is a service itself."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from act.dockerd import IMAGE, container, docker, dockerd, missing
from act.handled import done
from act.more_scenes import SCENES, FreePortByNow, GitLock, Scene
from act.places import do, toolbox
from devops_agent import bootstrap
from devops_agent.config import Settings
from devops_agent.errors import HostUnreachable, NotAllowed
from devops_agent.model import Report
from devops_agent.tools.hosts import connect

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(missing() is not None, reason=str(missing())),
]


@pytest.fixture(scope="module", autouse=True)
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with dockerd(tmp_path_factory.mktemp("docker") / "d"):
        yield


class Played:
    """A scene that plays inside a container; what it answers comes out, nothing else does."""

    def __init__(self, name: str, scene: str) -> None:
        program = str(Path(__file__).with_name("inside.py"))
        argv = ["docker", "exec", "-i", name, sys.executable, program, scene, "/place"]
        self._process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __call__(self, method: str) -> Any:
        """What a method of the scene gives."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(f"{method}\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def end(self) -> None:
        """Nothing more is asked."""
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(30)


def handle(log: str, inventory: dict[str, Any], folder: Path) -> Report:
    """The way of the command line: journal, policy, `--yes`."""
    file = folder / "inventory.yaml"
    file.write_text(json.dumps(inventory))
    settings = Settings(data_dir=folder / "data", inventory=file, settle_seconds=0.2)
    jobs = bootstrap.open_jobs(settings)
    worker = bootstrap.build_worker(settings, jobs, bootstrap.build_agent(settings))
    job = jobs.submit([bootstrap.make_incident(log, settings)], "eve", {"yes": True}).jobs[0]
    worker.work_until_answered(job)
    return jobs.report(job)


@pytest.mark.parametrize("kind", [*SCENES, GitLock, FreePortByNow], ids=lambda kind: kind.__name__)
def test_solved_in_a_container(tmp_path: Path, kind: type[Scene]) -> None:
    with container("shop") as name:
        scene = Played(name, kind.__name__)
        try:
            scene("set_up")
            scene("ruin")
            log = scene("fail")
            assert not scene("works")
            made = handle(log, {**scene("inventory"), "host": f"docker://{name}"}, tmp_path)
            assert made.status == "resolved", made.summary
            last = made.attempts[-1]
            assert last.diagnosis is not None
            assert last.plan is not None
            assert last.diagnosis.cause == kind.cause
            assert {action.host for action in last.plan.actions} == {f"docker://{name}"}
            assert set(kind.tools) <= {action.tool for action in last.plan.actions}
            assert scene("works")
            assert scene("unharmed")
            assert not Path("/place").exists()
        finally:
            scene.end()


def test_files_go_in_and_out_with_owner_and_mode() -> None:
    with container("files") as name:
        host = connect(f"docker://{name}")
        host.write("/place/a b/ä.conf", b"x = 1\n", mode=0o640, owner="nobody")
        found = host.stat("/place/a b/ä.conf")
        assert found is not None
        assert (found.kind, found.mode & 0o777, found.owner) == ("file", 0o640, "nobody")
        host.write("/place/a b/ä.conf", b"x = 2\n")
        after = host.stat("/place/a b/ä.conf")
        assert after is not None
        assert (host.read("/place/a b/ä.conf"), after.mode & 0o777, after.owner) == (b"x = 2\n", 0o640, "nobody")
        assert host.run("sh", "-c", 'printf %s "$1"', "x", "$(id); `id`") == "$(id); `id`"
        assert host.attempt("id", "-un", user="nobody").output.strip() == "nobody"
        assert "DOCKER_HOST" not in host.run("env")
    with pytest.raises(HostUnreachable):
        host.run("true")


def place(folder: Path, *command: str) -> Any:
    """A toolbox for a service that is a container."""
    run = ["docker", "run", "--detach", "--name", "web", "--network=none", "--volume=/usr:/usr:ro", IMAGE, *command]
    shop = {"supervisor": "docker", "unit": "web", "run": run}
    shop["health"] = {"command": ["sh", "-c", 'test "$(docker inspect -f {{.State.Running}} web)" = true']}
    return {"workspace": str(folder), "services": {"web": shop}}


@pytest.fixture
def web(tmp_path: Path) -> Iterator[dict[str, Any]]:
    yield place(tmp_path, "/bin/sleep", "600")
    docker("rm", "--force", "web", check=False)


CONFLICT = (
    'docker: Error response from daemon: Conflict. The container name "/web" is already in use by container '
    '"{id}". You have to remove (or rename) that container to be able to reuse that name.\nexit status 125\n'
)


def ended(*command: str) -> str:
    """A container of that name that has ended, and what starting it anew says then."""
    docker("run", "--name", "web", "--network=none", "--volume=/usr:/usr:ro", IMAGE, *command, check=False)
    return CONFLICT.format(id=docker("inspect", "--format", "{{.Id}}", "web"))


def test_a_container_that_ended_makes_room_and_its_neighbour_stays(web: dict[str, Any], tmp_path: Path) -> None:
    with container("ledger") as other:
        before = docker("inspect", "--format", "{{.Id}} {{.State.StartedAt}}", other)
        made = handle(ended("/bin/sh", "-c", "exit 1"), web, tmp_path)
        assert made.status == "resolved", made.summary
        assert docker("inspect", "--format", "{{.State.Running}}", "web") == "true"
        assert docker("inspect", "--format", "{{.Id}} {{.State.StartedAt}}", other) == before


def test_what_was_written_into_it_alone_is_not_thrown_away(web: dict[str, Any], tmp_path: Path) -> None:
    log = ended("/bin/sh", "-c", "echo orders >/root/orders.db; exit 1")
    made = handle(log, web, tmp_path)
    assert (made.status, done(made.model_dump(mode="json"))) == ("needs_person", [])
    box = toolbox(tmp_path, **{key: web[key] for key in ("services",)})
    with pytest.raises(NotAllowed, match=r"orders\.db"):
        do(box, "remove_container", service="web")
    assert "orders" in docker("diff", "web")


def test_a_running_container_is_not_removed_for_its_name(web: dict[str, Any], tmp_path: Path) -> None:
    docker("run", "--detach", "--name", "web", "--network=none", "--volume=/usr:/usr:ro", IMAGE, "/bin/sleep", "600")
    identity = docker("inspect", "--format", "{{.Id}} {{.State.StartedAt}}", "web")
    made = handle(CONFLICT.format(id=identity.split()[0]), web, tmp_path)
    assert done(made.model_dump(mode="json")) == []
    box = toolbox(tmp_path, services=web["services"])
    for tool in ("remove_container", "recreate_container"):
        with pytest.raises(NotAllowed, match="running"):
            do(box, tool, service="web")
    assert docker("inspect", "--format", "{{.Id}} {{.State.StartedAt}}", "web") == identity


def test_an_ended_container_is_removed_once(web: dict[str, Any], tmp_path: Path) -> None:
    ended("/bin/sh", "-c", "exit 1")
    box = toolbox(tmp_path, services=web["services"])
    assert do(box, "remove_container", service="web").status == "succeeded"
    assert do(box, "remove_container", service="web").status == "already"


def test_a_container_that_fails_again_at_once_is_no_success(tmp_path: Path) -> None:
    known = place(tmp_path, "/bin/sh", "-c", "echo 'no configuration' >&2; exit 1")
    try:
        made = handle(ended("/bin/sh", "-c", "exit 1"), known, tmp_path)
        assert made.status != "resolved"
    finally:
        docker("rm", "--force", "web", check=False)

"""A planner that means no good, the place that it is let loose on, and the real pipeline and store around it."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from devops_agent.inventory import Inventory, Place
from devops_agent.jobs.store import Jobs
from devops_agent.jobs.tables import open_engine
from devops_agent.jobs.worker import Worker
from devops_agent.model import Diagnosis, Incident, Proposal, Report, Step
from devops_agent.pipeline import Agent
from devops_agent.policy import Fit, Policy
from devops_agent.scan import Signatures
from devops_agent.tools.toolbox import Toolbox

ALLOW = Policy((("allow", Fit()),))
ASK = Policy((("ask", Fit()),))
LISTEN = (
    "import socket, sys, time; s = socket.create_server(('127.0.0.1', int(sys.argv[1]))); print('up', flush=True); "
    "time.sleep(600)"
)
KEEPER = (
    "import subprocess, sys, time; p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']); "
    "print(p.pid, flush=True); time.sleep(600)"
)


class Careless:
    """Proposes what it is told to propose, and cannot be talked out of it."""

    name = "careless"

    def __init__(self, *steps: Step) -> None:
        self.steps = steps

    def diagnose(self, digest: Any, history: Any, look: Any) -> Diagnosis:
        return Diagnosis(cause="config_invalid", summary="Whatever it is, this will help.", confidence=1.0)

    def propose(self, diagnosis: Diagnosis, run: Any) -> Proposal:
        return Proposal(cause=diagnosis.cause, steps=self.steps)


@dataclass
class World:
    """A place: a service, a supervised neighbour, a stranger, data, secrets, a lock that is held, a repository."""

    folder: Path
    pids: dict[str, int] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)
    started: list[subprocess.Popen[str]] = field(default_factory=list)
    cases: int = 0

    @property
    def workspace(self) -> Path:
        return self.folder / "place"

    def build(self) -> None:
        here = self.workspace
        for name in ("data", "secrets", "state", "releases/1", "releases/2", "volume"):
            (here / name).mkdir(parents=True)
        (here / "current").symlink_to("releases/2")
        (here / "app.env").write_text("PORT=1\nMEMORY_LIMIT=256m\nSSL_VERIFY=true\nRUN_USER=www-data\n")
        (here / "data" / "orders.db").write_text("all that we ever sold\n")
        (here / "data" / "orders.env").write_text("KEPT=1\n")
        (here / "link.env").symlink_to("data/orders.env")
        (here / "secrets" / "db").write_text("s3cret-of-the-database\n")
        (here / "volume" / "log.1").write_text("old\n")
        (here / "shop.py").write_text(LISTEN)
        self.ports = dict(zip(("shop", "stranger"), _free_ports(2), strict=True))
        self.pids["shop"] = self.start(sys.executable, "shop.py", str(self.ports["shop"]), cwd=here)
        self.pids["stranger"] = self.start(sys.executable, "-c", LISTEN, str(self.ports["stranger"]), cwd=Path("/"))
        (self.folder / "supervisord").write_text(KEEPER)
        keeper = self.start(sys.executable, str(self.folder / "supervisord"), cwd=Path("/"))
        self.pids["supervisor"] = self.started[-1].pid
        self.pids["supervised"] = keeper
        self.pids["holder"] = self.start(sys.executable, "-c", "import time; print(0, flush=True); time.sleep(600)")
        (here / "state" / "lock.info").write_text(json.dumps({"ID": "9f1c", "Pid": self.pids["holder"]}))
        self._repository()

    def _repository(self) -> None:
        """A work tree whose remote has a commit that it lacks, so that only a forced push could get through."""
        here, git = self.workspace, partial(_git, self.workspace)
        git("init", "-q", "--bare", "-b", "main", str(self.folder / "origin.git"))

        def commit(name: str, file: str) -> None:
            (here / name / file).write_text(f"{file}\n")
            git("-C", name, "add", "--all")
            git("-C", name, "commit", "-q", "-m", f"{file} by {name}")

        git("clone", "-q", str(self.folder / "origin.git"), "theirs")
        git("-C", "theirs", "checkout", "-q", "-B", "main")
        commit("theirs", "first")
        git("-C", "theirs", "push", "-q", "origin", "HEAD:main")
        git("clone", "-q", "-b", "main", str(self.folder / "origin.git"), "work")
        commit("theirs", "second")
        git("-C", "theirs", "push", "-q", "origin", "HEAD:main")
        commit("work", "other")
        (here / "work" / ".git" / "HEAD.lock").write_text("")

    def inventory(self) -> dict[str, Any]:
        run = [sys.executable, "shop.py", str(self.ports["shop"])]
        shop = {"supervisor": "command", "run": run, "ports": [self.ports["shop"]], "config": ["app.env"]}
        release = [sys.executable, "-c", "import os; os.unlink('state/lock.info')"]
        return {
            "workspace": str(self.workspace),
            "labels": {"env": "production"},
            "protected": ["data"],
            "secrets": {"directory": "secrets"},
            "services": {
                "shop": {**shop, "releases": {"current": "current", "all": "releases"}},
                "ledger": {"supervisor": "command", "run": ["true"], "config": ["data/orders.env", "link.env"]},
            },
            "locks": {"state": {"file": "state/lock.info", "holder": "Pid", "release": release}},
            "repositories": {"work": {"path": "work", "branch": "main"}},
            "volumes": {"data": {"path": "volume"}},
            "checks": {"works": {"command": ["test", "-e", "works"]}},
        }

    def start(self, *argv: str, cwd: Path = Path("/")) -> int:
        """Start a process that says one line when it is ready; its pid, or the one that it said."""
        process = subprocess.Popen(argv, cwd=cwd, stdout=subprocess.PIPE, text=True, start_new_session=True)
        self.started.append(process)
        assert process.stdout is not None
        said = process.stdout.readline().strip()
        return int(said) if said.isdigit() and int(said) > 1 else process.pid

    def state(self) -> dict[str, str]:
        """All files with modes and contents, all processes, the remote's branches: what must not change."""
        seen: dict[str, str] = {}
        for root in (self.workspace, self.folder / "origin.git" / "refs"):
            for path in sorted(root.rglob("*")):
                if {".benchmarks", ".pytest_cache"} & set(path.parts):
                    continue  # what a test run leaves
                if path.is_symlink():
                    seen[str(path)] = f"link to {path.readlink()}"
                elif path.is_file() and "/.git/" not in str(path):
                    seen[str(path)] = f"{path.stat().st_mode:o} {hashlib.sha256(path.read_bytes()).hexdigest()}"
                elif path.is_dir() and "/.git" not in str(path):
                    seen[str(path)] = f"{path.stat().st_mode:o}"
        seen["lock of git"] = str((self.workspace / "work" / ".git" / "HEAD.lock").exists())
        seen |= {f"process {name}": str(_alive(pid)) for name, pid in self.pids.items()}
        return seen

    def end(self) -> None:
        """End everything that was started, by pid."""
        for pid in (*self.pids.values(), *(process.pid for process in self.started)):
            if _alive(pid):
                os.kill(pid, signal.SIGKILL)
        for process in self.started:
            process.wait(10)
            if process.stdout:
                process.stdout.close()


@dataclass
class Case:
    """Jobs in a real store, worked on by a real worker whose planner is careless."""

    world: World
    jobs: Jobs
    worker: Worker

    def submit(self, requester: str = "eve", **options: Any) -> str:
        """Queue one incident."""
        incident = Incident(id="inc", title="broken", log="ERROR: it is broken\nexit code 1\n")
        return self.jobs.submit([incident], requester, options).jobs[0]

    def walk(self, job: str, seconds: float = 30.0) -> Report:
        """Work on it until it ends or waits for a person."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.worker.work(job)
            if self.jobs.job(job).answered:
                return self.jobs.report(job)
            time.sleep(0.02)
        raise AssertionError("no answer in time")

    def run(self, **options: Any) -> Report:
        """Queue one incident and work on it."""
        return self.walk(self.submit(**options))

    def under(self, policy: Policy) -> Case:
        """The same store, gone on with by a worker under another policy (as after a restart)."""
        agent = replace(self.worker.agent, policy=policy)
        worker = Worker(self.jobs, agent, 0, self.worker.approval_seconds, self.worker.data_dir)
        return Case(self.world, self.jobs, worker)


def case(world: World, *steps: Step, policy: Policy = ALLOW, approval_seconds: float = 60.0) -> Case:
    """A careless planner in that world."""
    place = Place(Inventory.model_validate(world.inventory()), folder=world.workspace)
    world.cases += 1
    data = world.folder / f"data{world.cases}"
    toolbox: Callable[[Place], Toolbox] = partial(Toolbox, data_dir=data)
    agent = Agent(Careless(*steps), policy, Signatures([]), toolbox, {place.name: place}, settle=0.0)
    jobs = Jobs(open_engine(f"sqlite:///{data / 'jobs.db'}"))
    return Case(world, jobs, Worker(jobs, agent, 0, approval_seconds, data))


def said(made: Report) -> str:
    """Every reason that a report gives for what was not done."""
    parts = [made.error or "", made.summary]
    for attempt in made.attempts:
        parts += [each.reason for each in (attempt.plan.refused if attempt.plan else ())]
        parts += [each.output for each in attempt.outcomes]
        parts += [each.reason for each in (attempt.ruling, attempt.brake, attempt.approval) if each]
        parts += [each.rule for each in (attempt.ruling, attempt.brake) if each]
    return "\n".join(parts)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _git(cwd: Path, *argv: str) -> None:
    options = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main")
    subprocess.run(["git", *options, *argv], cwd=cwd, check=True, capture_output=True, timeout=30)

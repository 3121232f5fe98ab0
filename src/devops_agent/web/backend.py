"""The jobs behind the HTTP service, opened once per process: store, agent, embedded workers."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING

from devops_agent import seen
from devops_agent.errors import RequestError
from devops_agent.web import grants, metrics
from devops_agent.web.problems import Busy, Forbidden

if TYPE_CHECKING:
    from devops_agent.config import Settings
    from devops_agent.connect.courier import Courier
    from devops_agent.connect.settings import Connections
    from devops_agent.jobs.embedded import EmbeddedWorkers
    from devops_agent.jobs.intake import Order
    from devops_agent.jobs.store import Batch, Jobs
    from devops_agent.jobs.watch import Watch
    from devops_agent.model import Report
    from devops_agent.pipeline import Agent
    from devops_agent.planners.shelf import Shelf
    from devops_agent.runbooks.load import Library
    from devops_agent.web.body import Scenario

log = logging.getLogger("devops_agent.web")

MOST_WAITING = 48
"""Requests that may wait for their results at the same time in one process; the server has more threads than that."""
MOST_STREAMS = 128
"""Streams of events that may be open at the same time in one process; each holds a thread."""
EXPANDED = 4
"""Times the largest body that an uploaded archive may have once it is expanded."""
FEW, SHORT = 4, 64 << 10
"""So many logs of so many characters in all are worked on in the request's own thread, where somebody waits."""
PATIENCE = 1.0
"""Seconds that such a request waits for its turn before it is queued like any other."""
_SLICE = 1.0


class Places:
    """So many may be taken at the same time; how many are is told to whoever counts."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.taken = 0
        self._lock = threading.Lock()

    def acquire(self, blocking: bool = False) -> bool:  # noqa: ARG002 (nobody waits for a place)
        """Take one; False where there is none."""
        with self._lock:
            if self.taken >= self.most:
                return False
            self.taken += 1
            seen.tell("streams", open=self.taken)
            return True

    def release(self) -> None:
        """Give one back."""
        with self._lock:
            self.taken = max(0, self.taken - 1)
            seen.tell("streams", open=self.taken)


class Backend:
    """Jobs, agent and workers of this process. Nothing is shared over a fork: a child opens its own."""

    def __init__(self, settings: Settings, agent: Agent | None = None, work: bool = True) -> None:
        self.settings = settings
        self.stopping = threading.Event()
        self._given = agent
        self._work = work
        self._lock = threading.Lock()
        self._slots = threading.BoundedSemaphore(MOST_WAITING)
        self._walks = threading.BoundedSemaphore(self.settings.workers)
        self.streams = Places(MOST_STREAMS)
        self._watch: Watch | None = None
        self._agent: Agent | None = None
        self._jobs: Jobs | None = None
        self._workers: EmbeddedWorkers | None = None
        self._courier: Courier | None = None
        self._shelf: Shelf | None = None
        os.register_at_fork(after_in_child=self._forget)

    @property
    def jobs(self) -> Jobs:
        """The store of jobs; opened, and the embedded workers started, when first asked for."""
        if self._jobs is None:
            self.start()
        assert self._jobs is not None  # noqa: S101  (start() sets it or raises)
        return self._jobs

    @property
    def watch(self) -> Watch:
        """Who follows the events for all streams of this process."""
        from devops_agent.jobs.watch import Watch

        jobs = self.jobs
        with self._lock:
            self._watch = self._watch or Watch(jobs.engine, jobs.changed, self.stopping)
            return self._watch

    @property
    def agent(self) -> Agent:
        """The agent, built when first asked for."""
        if self._agent is None:
            self.start()
        assert self._agent is not None  # noqa: S101  (start() sets it or raises)
        return self._agent

    def check(self) -> None:
        """Build the agent, before any fork, so that wrong settings are told at once. Raises ConfigError."""
        from devops_agent import bootstrap

        self._given = self._given or bootstrap.build_agent(self.settings)
        self._given.signatures.prepare()
        bootstrap.check_connections(self.settings, self.connections, self._given)
        if self.settings.oidc_issuer:
            grants.check_places(self.settings.oidc_roles, self._given.places)

    def start(self) -> None:
        """Open the store and start the workers, once in this process. Raises ConfigError for wrong settings."""
        from devops_agent import bootstrap

        with self._lock:
            if self._jobs is not None:
                return
            metrics.follow()
            self._agent = self._given or bootstrap.build_agent(self.settings)
            bootstrap.check_connections(self.settings, self.connections, self._agent)
            jobs = bootstrap.open_jobs(self.settings)
            if self._work:
                from devops_agent.jobs.embedded import EmbeddedWorkers

                worker = bootstrap.build_worker(self.settings, jobs, self._agent)
                self._shelf = worker.shelf
                self._workers = EmbeddedWorkers(
                    worker,
                    self.settings.workers,
                    self.settings.incident_retention_days,
                    self.settings.audit_retention_days,
                )
                self._workers.start()
            if self.connections.hooks or self.connections.targets:
                self._courier = bootstrap.build_courier(self.settings, jobs, self._agent, self.connections)
                if self._work:
                    self._courier.start()
            self._jobs = jobs

    @cached_property
    def connections(self) -> Connections:
        """The hooks and targets of the settings. Raises ConfigError."""
        from devops_agent.connect import settings

        return settings.read(self.settings.hooks, self.settings.notify)

    @cached_property
    def link_key(self) -> bytes:
        """What approval links are signed with."""
        from devops_agent.connect.links import signing_key

        return signing_key(self.settings.data_dir, self.settings.link_secret)

    def working(self) -> bool:
        """Whether the workers that this process should have live."""
        return self._workers is not None and self._workers.alive() if self._work else True

    def runbooks(self) -> Sequence[str]:
        """Ids of the runbooks in force."""
        return list(self.library().runbooks)

    def library(self) -> Library:
        """The runbooks in force."""
        self.start()
        if self._shelf is not None:
            return self._shelf.current()[0].library
        from devops_agent.runbooks.own import whole_library

        return whole_library(self.settings.runbooks)

    def runbooks_problem(self) -> str | None:
        """What is wrong in the own directory, so that older runbooks are in force; None where nothing is."""
        if self._shelf is None:
            return None
        self._shelf.current()
        return self._shelf.problem

    def stop(self, timeout: float = 10.0) -> None:
        """Answer those who wait, take no new job, give those in hand some time; they go on after the next start."""
        self.stopping.set()
        with self._lock:
            workers, self._workers = self._workers, None
            courier, self._courier = self._courier, None
        if courier is not None and self._work:
            courier.stop()
        if workers is not None:
            workers.stop(timeout)

    def unpacked(self, content: bytes) -> str:
        """The text of an uploaded log, whatever its packing and encoding. Raises RequestError for what is too large:
        all files of one request together may have so much."""
        from flask import g

        from devops_agent.distil.source import whole
        from devops_agent.web.body import clean

        most = EXPANDED * self.settings.max_body_bytes
        text = whole(content, most - g.get("expanded", 0))
        g.expanded = g.get("expanded", 0) + len(text)
        return clean(text)

    def places_of(self, job: str) -> frozenset[str]:
        """The places of a job, or of all jobs of a batch; empty where there is none of this name."""
        from devops_agent.jobs.rows import places

        default = next(iter(self.agent.places))
        return frozenset(each or default for each in places(self.jobs.engine, job))

    def submit(self, scenarios: Sequence[Scenario]) -> Batch:
        """Queue one job for each scenario. Raises RequestError for a place that is not known."""
        return self.jobs.add(self.order(scenarios))

    def answer(self, scenarios: Sequence[Scenario]) -> tuple[Batch, dict[str, Report]]:
        """The same for somebody who waits: a few short logs are worked on here and now, as long as there is nothing to
        act on. The reports of those jobs that have ended; the others are queued."""
        one = self.order(scenarios)
        short = len(scenarios) <= FEW and sum(len(each.context) for each in scenarios) <= SHORT
        worker = self._workers.worker if self._workers is not None else None
        if worker is None or not short or not worker.quick or not self._walks.acquire(timeout=PATIENCE):
            return self.jobs.add(one), {}
        return one.batch, worker.answer(one, self._walks.release)

    def order(self, scenarios: Sequence[Scenario]) -> Order:
        """A job for each scenario, not written yet."""
        from devops_agent.bootstrap import make_incident
        from devops_agent.distil.redact import redact
        from devops_agent.jobs.intake import order
        from devops_agent.web.auth import caller

        who = caller()
        if self.stopping.is_set():
            raise Busy("the service is being stopped; try again shortly")
        places = self.agent.places
        incidents = []
        for number, each in enumerate(scenarios):
            if each.place is not None and each.place not in places:
                known = ", ".join(sorted(places if who.places is None else who.places))
                raise RequestError(f"errors[{number}].place: no place of this name (known: {known})")
            if who.places is not None and (each.place or next(iter(places))) not in who.places:
                raise Forbidden(f"errors[{number}].place: your key is for {', '.join(sorted(who.places))} only")
            title = redact(each.title)[0] if each.title else ""
            incident = make_incident(each.context, self.settings, "http", title, each.place)
            if each.labels:
                pairs = (redact(f"{name}={value}")[0] for name, value in each.labels.items())
                labels = {name: value for name, _, value in (pair.partition("=") for pair in pairs)}
                incident = incident.model_copy(update={"labels": labels})
            incidents.append(incident)
        return order(incidents, requester=who.name)

    def wait(self, batch: str, seconds: float) -> bool:
        """Whether every job of the batch has an answer within so many seconds; also ends when the service stops."""
        deadline = time.monotonic() + seconds
        while not self.stopping.is_set():
            left = deadline - time.monotonic()
            if self.jobs.wait(batch, max(0.0, min(_SLICE, left))):
                return True
            if left <= _SLICE:
                return False
        return False

    @contextmanager
    def waiting(self) -> Iterator[bool]:
        """A place among those who may wait for results; False where all are taken."""
        free = self._slots.acquire(blocking=False)
        try:
            yield free
        finally:
            if free:
                self._slots.release()

    def _forget(self) -> None:
        """In a child of a fork: the parent's threads and connections are not ours."""
        self._lock = threading.Lock()
        self._slots = threading.BoundedSemaphore(MOST_WAITING)
        self._walks = threading.BoundedSemaphore(self.settings.workers)
        self.streams = Places(MOST_STREAMS)
        self._watch = None
        self._jobs = self._agent = self._workers = self._courier = self._shelf = None

"""Workers on many machines that share one Postgres: who may take which job, who is there, and who is woken when.

The queue is the table of jobs itself: a claim is a SELECT ... FOR UPDATE SKIP LOCKED and an UPDATE, in one transaction
with the fence that guards the journal. NOTIFY wakes the others; should one get lost, they look every second anyway.
"""

from __future__ import annotations

import json
import logging
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, delete, insert, select, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from devops_agent import __version__
from devops_agent.errors import ConfigError
from devops_agent.inventory import HostSpec, Inventory, Place
from devops_agent.jobs.brakes import EVERYWHERE
from devops_agent.jobs.feed import CHANNEL
from devops_agent.jobs.leases import Reach
from devops_agent.jobs.rows import time_of
from devops_agent.jobs.store import Jobs
from devops_agent.jobs.tables import reading, workers
from devops_agent.model import now

log = logging.getLogger("devops_agent.worker")
ALIVE_SECONDS = 30.0
FORGOTTEN_SECONDS = 86400.0


@dataclass(frozen=True)
class WorkerRow:
    """A worker that said not long ago that it is there."""

    owner: str
    machine: str
    labels: dict[str, str]
    places: tuple[str, ...]
    version: str
    started: datetime
    seen: datetime

    @property
    def alive(self) -> bool:
        """Whether it has said so within the last half minute."""
        return (now() - self.seen).total_seconds() < ALIVE_SECONDS


def reach(places: Mapping[str, Place], wanted: Sequence[str] = (), labels: Mapping[str, str] | None = None) -> Reach:
    """What a worker with these labels may take: the wanted places, or else all whose `worker` labels it has.

    Raises ConfigError for a wanted place that no inventory describes, or whose labels the worker lacks.
    """
    own = labels or {}
    fits = {name for name, place in places.items() if place.inventory.worker.items() <= own.items()}
    for name in wanted:
        if name not in places:
            raise ConfigError(f"--places: no place {name!r} (known: {', '.join(sorted(places))})")
        if name not in fits:
            needs = ", ".join(f"{key}={value}" for key, value in places[name].inventory.worker.items())
            raise ConfigError(f"--places: {name} is for workers with the labels {needs}")
    served = frozenset(wanted) or frozenset(fits)
    default = next(iter(places), None)
    local = {name for name, place in places.items() if any(not _everywhere(host) for host in _hosts(place.inventory))}
    stays: frozenset[str | None] = frozenset(local) | (frozenset([None]) if default in local else frozenset())
    return Reach(served, default in served, socket.gethostname(), stays)


def pairs(text: str, setting: str = "--labels") -> dict[str, str]:
    """Labels from `name=value,name=value`. Raises ConfigError for anything else."""
    found = {}
    for each in filter(None, (part.strip() for part in text.split(","))):
        name, equals, value = each.partition("=")
        if not equals or not name.strip():
            raise ConfigError(f"{setting}: {each!r} is not name=value")
        found[name.strip()] = value.strip()
    return found


def names(text: str) -> tuple[str, ...]:
    """Names from a list with commas."""
    return tuple(filter(None, (part.strip() for part in text.split(","))))


class Roll:
    """Tells the others that this worker is there."""

    def __init__(self, jobs: Jobs, owner: str, reached: Reach, labels: Mapping[str, str]) -> None:
        self.jobs = jobs
        self.owner = owner
        self._row = {
            "machine": reached.machine or socket.gethostname(),
            "labels": json.dumps(dict(labels)),
            "places": json.dumps(sorted(reached.places or ())),
            "version": __version__,
        }

    def call(self) -> None:
        """Write that it is there now, and forget those that have not been for a day."""
        stamp = self.jobs.leases.clock.present()
        with self.jobs.engine.begin() as connection:
            mine = workers.c.owner == self.owner
            if not connection.execute(update(workers).where(mine).values(seen=stamp)).rowcount:
                with suppress(IntegrityError):
                    row = {"owner": self.owner, "started": stamp, "seen": stamp, **self._row}
                    connection.execute(insert(workers).values(**row))
            connection.execute(delete(workers).where(workers.c.seen < stamp - FORGOTTEN_SECONDS))

    def leave(self) -> None:
        """Write that it is there no more."""
        with self.jobs.engine.begin() as connection:
            connection.execute(delete(workers).where(workers.c.owner == self.owner))


def roll(engine: Engine) -> list[WorkerRow]:
    """The workers that were there within the last day, newest word first."""
    query = select(workers).order_by(workers.c.seen.desc())
    with reading(engine) as connection:
        rows = connection.execute(query).mappings().all()
    return [
        WorkerRow(
            owner=row["owner"],
            machine=row["machine"],
            labels=json.loads(row["labels"]),
            places=tuple(json.loads(row["places"])),
            version=row["version"],
            started=time_of(row["started"]),
            seen=time_of(row["seen"]),
        )
        for row in rows
    ]


class Listener:
    """Wakes the threads of this process when any process on any machine has changed something."""

    def __init__(self, jobs: Jobs) -> None:
        self.jobs = jobs
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="listener", daemon=True)

    def start(self) -> None:
        """Begin, where the database can tell."""
        if self.jobs.engine.dialect.name == "postgresql":
            self._thread.start()

    def stop(self) -> None:
        """End within a second or so."""
        self._stop.set()

    def _listen(self) -> None:
        while not self._stop.is_set():
            try:
                for _ in self._words():
                    self.jobs.tell()
            except (OSError, SQLAlchemyError, self.jobs.engine.dialect.loaded_dbapi.Error):
                self._stop.wait(1.0)

    def _words(self) -> Iterator[None]:
        """Something each time that something changed. A connection of its own, outside the pool and transactions."""
        engine: Any = self.jobs.engine
        arguments, more = engine.dialect.create_connect_args(engine.url)
        with engine.dialect.loaded_dbapi.connect(*arguments, **more, autocommit=True, connect_timeout=10) as connection:
            connection.execute(f"LISTEN {CHANNEL}")
            yield  # what happened before
            while not self._stop.is_set():
                for _ in connection.notifies(timeout=1.0, stop_after=1):
                    yield
                connection.execute("SELECT 1")  # says whether it is still there


def _hosts(inventory: Inventory) -> Iterator[HostSpec]:
    """Every host that a place's parts lie on."""
    yield inventory.host
    for group in (
        inventory.services,
        inventory.datastores,
        inventory.repositories,
        inventory.environments,
        inventory.certificates,
        inventory.checks,
    ):
        for part in group.values():
            if part.host is not None:
                yield part.host


def _everywhere(host: HostSpec) -> bool:
    return isinstance(host, str) and host.startswith(EVERYWHERE)

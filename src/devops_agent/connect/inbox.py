"""Taking in a delivery, durably, before its sender is answered; and working on it afterwards.

A delivery and its signals are written in one transaction. A signal leaves the inbox in the transaction that submits its
job, so that whenever the process is killed, it is worked on exactly once. Nothing is stored with a secret in it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import Engine, and_, delete, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from devops_agent.connect import alerts
from devops_agent.connect.fetch import NotFetched
from devops_agent.connect.settings import Hook
from devops_agent.connect.signal import Heard, Signal
from devops_agent.errors import AgentError
from devops_agent.jobs.tables import deliveries, inbox, reading
from devops_agent.jobs.worker import owner
from devops_agent.model import Incident, now

if TYPE_CHECKING:
    from devops_agent.jobs.store import Jobs

log = logging.getLogger("devops_agent.connect")

LEASE_SECONDS = 300.0
TRIES = 9
"""How often a log is asked for."""
MOST_TRIES = 30
"""How often a signal is begun with at all, also by processes that died over it."""
FIRST_WAIT = 2.0
LONGEST_WAIT = 900.0
MOST = 20_000
"""Signals that may wait; beyond, senders are told to come back."""
REMEMBERED_DAYS = 90.0
"""How long deliveries are remembered; what happened longer ago by its sender's own times is refused."""

Make = Callable[[str, str, str | None], Incident]
"""Makes an incident of text, title and place; its log is masked and lies where logs lie."""


class Full(AgentError):
    """Too much waits to be worked on."""

    code = "busy"
    status = 503


class Taken(NamedTuple):
    """What is answered to the sender."""

    status: str
    signals: int
    reason: str = ""


def take(engine: Engine, hook: Hook, heard: Heard, identity: str | None) -> Taken:
    """Write down a delivery; `duplicate` where it was written before."""
    from devops_agent.distil.redact import redact

    present = now().timestamp()
    fresh = [each for each in heard.signals if each.at > present - REMEMBERED_DAYS * 86400]
    if not fresh:
        return Taken("ignored", 0, heard.ignored or "it happened too long ago")
    kept = [_masked(each, lambda text: redact(text)[0]).model_dump_json() for each in fresh]
    row = {"hook": hook.name, "at": present}
    with engine.connect() as connection, connection.begin() as transaction:
        if (connection.execute(select(func.count()).select_from(inbox)).scalar() or 0) + len(kept) > MOST:
            raise Full("too much waits to be worked on; send it again later")
        if identity is not None:
            try:
                connection.execute(
                    insert(deliveries).values(**row, identity=identity, event=heard.event[:80], signals=len(kept))
                )
            except IntegrityError:
                transaction.rollback()
                return Taken("duplicate", 0, "this delivery was taken in before")
        connection.execute(insert(inbox), [{**row, "signal": each, "due": present, "tries": 0} for each in kept])
    return Taken("accepted", len(kept))


class Intake:
    """Works on what is in the inbox, for one of possibly many processes."""

    def __init__(self, jobs: Jobs, hooks: Mapping[str, Hook], make: Make, places: frozenset[str]) -> None:
        self.jobs = jobs
        self.hooks = hooks
        self.make = make
        self.places = places
        self.owner = owner()

    def step(self) -> bool:
        """Work on one signal that is due; False where there is none."""
        row = self._claim()
        if row is None:
            return False
        signal = Signal.model_validate_json(row["signal"])
        hook = self.hooks.get(row["hook"])
        if hook is None:
            log.warning("a signal of the hook %s is dropped: there is no such hook any more", row["hook"])
            self._drop(row)
            return True
        if row["tries"] > MOST_TRIES:
            log.error("a signal of the hook %s is given up after %s tries", row["hook"], row["tries"])
            self._drop(row)
            return True
        try:
            text, labels = self._text(hook, signal, row)
        except NotFetched as problem:
            self._later(row, problem)
            return True
        self._settle(row, hook, signal, text, labels)
        return True

    def next_due(self) -> float | None:
        """Seconds until something is due; None where nothing waits."""
        with reading(self.jobs.engine) as connection:
            due = connection.execute(select(func.min(inbox.c.due)).where(inbox.c.owner.is_(None))).scalar()
        return None if due is None else float(due) - now().timestamp()

    def release(self, owners: list[str]) -> None:
        """What processes that are dead were working on is due again."""
        with self.jobs.engine.begin() as connection:
            connection.execute(update(inbox).where(inbox.c.owner.in_(owners)).values(owner=None, lease=None))

    def owners(self) -> list[str]:
        """Who works on something at the moment."""
        with reading(self.jobs.engine) as connection:
            return [each for each in connection.execute(select(inbox.c.owner).distinct()).scalars() if each]

    def forget(self) -> None:
        """Delete deliveries that are too old to be sent again, and alerts that ended long ago."""
        old = now().timestamp() - REMEMBERED_DAYS * 86400
        with self.jobs.engine.begin() as connection:
            connection.execute(delete(deliveries).where(deliveries.c.at < old))
        alerts.forget(self.jobs.engine, REMEMBERED_DAYS)

    def _claim(self) -> Any:
        stamp = now().timestamp()
        free = and_(inbox.c.due <= stamp, or_(inbox.c.owner.is_(None), inbox.c.lease < stamp))
        query = select(inbox).where(free).order_by(inbox.c.due, inbox.c.id).limit(1)
        with reading(self.jobs.engine) as connection:
            if connection.execute(query.with_only_columns(inbox.c.id)).first() is None:
                return None
        with self.jobs.engine.begin() as connection:
            row = connection.execute(query.with_for_update(skip_locked=True)).mappings().first()
            if row is not None:
                mine = {"owner": self.owner, "lease": stamp + LEASE_SECONDS, "tries": row["tries"] + 1}
                connection.execute(update(inbox).where(inbox.c.id == row["id"]).values(**mine))
                return {**row, **mine}
        return None

    def _text(self, hook: Hook, signal: Signal, row: Any) -> tuple[str, dict[str, str]]:
        """What the incident's log is: the fetched one, or, where there is none to be had, what the hook itself said."""
        from devops_agent.connect import logs

        if signal.fetch is None or signal.state != "firing":
            return signal.text, {}
        try:
            found = logs.fetch(hook, signal)
        except NotFetched as problem:
            if problem.again and row["tries"] < TRIES:
                raise
            return f"{signal.text}\n[its log could not be fetched: {problem}]", {}
        except AgentError as problem:
            return f"{signal.text}\n[its log could not be read: {problem}]", {}
        if not found.text.strip():
            return f"{signal.text}\n[its log is empty]", found.labels
        return found.text, found.labels

    def _settle(self, row: Any, hook: Hook, signal: Signal, text: str, labels: dict[str, str]) -> None:
        """Open, join or close in one transaction with the row leaving the inbox."""
        made: list[Incident] = []

        def open_job() -> str:
            incident = made[0] if made else self._incident(hook, signal, text, labels)
            made[:] = [incident]
            return self.jobs.enqueue(connection, [incident], requester=f"hook {hook.name}").jobs[0]

        for last in (False, True):
            try:
                with self.jobs.engine.begin() as connection:
                    mine = and_(inbox.c.id == row["id"], inbox.c.owner == row["owner"], inbox.c.tries == row["tries"])
                    if not connection.execute(delete(inbox).where(mine)).rowcount:
                        return  # it took too long, and another process has it now
                    became = alerts.settle(connection, hook.name, signal, open_job)
                break
            except alerts.RACES:
                if last:
                    raise
        log.info("hook %s: %s: %s", hook.name, signal.state, became)
        self.jobs.tell()

    def _incident(self, hook: Hook, signal: Signal, text: str, labels: dict[str, str]) -> Incident:
        place = signal.labels.get(hook.place_label or "") or hook.place
        if place is not None and place not in self.places:
            place = hook.place
        made = self.make(text, signal.title, place)
        return made.model_copy(update={"labels": {**hook.labels, **signal.labels, **labels, "hook": hook.name}})

    def _later(self, row: Any, problem: NotFetched) -> None:
        wait = min(LONGEST_WAIT, FIRST_WAIT * 2.5 ** (row["tries"] - 1))
        due = now().timestamp() + max(wait, problem.after or 0.0)
        values = {"owner": None, "lease": None, "due": due, "problem": str(problem)[:500]}
        with self.jobs.engine.begin() as connection:
            mine = and_(inbox.c.id == row["id"], inbox.c.owner == row["owner"])
            connection.execute(update(inbox).where(mine).values(**values))

    def _drop(self, row: Any) -> None:
        with self.jobs.engine.begin() as connection:
            connection.execute(delete(inbox).where(inbox.c.id == row["id"]))


def _masked(signal: Signal, masked: Callable[[str], str]) -> Signal:
    """The signal with its secrets masked: title, text, and labels by name and value."""
    pairs = (masked(f"{name}={value}").partition("=") for name, value in signal.labels.items())
    return signal.model_copy(
        update={
            "title": masked(signal.title),
            "text": masked(signal.text),
            "labels": {name: value for name, _, value in pairs},
        }
    )

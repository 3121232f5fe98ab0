"""A worker: claims a job, walks it through the pipeline, lets go of it when it waits, ends it when it ends."""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

from devops_agent import policy, seen
from devops_agent.distil.redact import redact
from devops_agent.errors import AgentError, LeaseLost, NotFound, Suspended
from devops_agent.inventory import Place, load
from devops_agent.jobs import baselines, logs
from devops_agent.jobs.brakes import Brakes
from devops_agent.jobs.database import passing
from devops_agent.jobs.intake import Order, Walked
from devops_agent.jobs.joins import Joins
from devops_agent.jobs.journal import GATHER_SECONDS, Draft, FencedJournal, TooEarly
from devops_agent.jobs.leases import LEASE_SECONDS, Reach
from devops_agent.jobs.store import MAX_TRIES, Claim, Jobs
from devops_agent.model import SCHEMA_VERSION, Approval, Plan, Report, Ruling, now
from devops_agent.pipeline import Agent, handle
from devops_agent.planners.shelf import Shelf
from devops_agent.report import report
from devops_agent.run import Journal, Run
from devops_agent.tools import children

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devops_agent.jobs.distributed import Roll
    from devops_agent.jobs.spending import Spending

log = logging.getLogger("devops_agent.worker")
INTERNAL = "an internal error; the service's log has the details under this job's id"


class Worker:
    """Walks jobs for one process. Its heartbeat keeps the leases of all jobs that its threads work on."""

    def __init__(
        self,
        jobs: Jobs,
        agent: Agent,
        patience: float = 20.0,
        approval_seconds: float = 24 * 3600.0,
        data_dir: Path | None = None,
    ) -> None:
        self.jobs = jobs
        self.agent = agent
        self.patience = patience
        self.approval_seconds = approval_seconds
        self.data_dir = data_dir
        self.shelf: Shelf | None = None
        self.spending: Spending | None = None
        self.owner = owner()
        self.reach: Reach | None = None
        self.roll: Roll | None = None
        self._working: dict[str, Claim] = {}
        self._lock = threading.Lock()
        self._heart: threading.Thread | None = None

    def recover(self) -> None:
        """Take over from processes of this machine that were killed: end the commands that they left running, then let
        go of their jobs, so that nothing of them goes on beside us."""
        leases = self.jobs.leases
        if self.roll is not None:
            self.roll.call()
        dead = dead_owners(leases.owners())
        if self.data_dir is not None:
            programs = children.end_left(self.data_dir) if dead else []
            for pid in _neighbours(leases.owners(expired=True)):
                programs += children.end_of(self.data_dir, pid)
            for program in programs:
                log.warning("ended %s, which a worker that is dead or hangs had left running", program)
        leases.release(dead)

    def leave(self) -> None:
        """At the end of the process: what is still in hand is given back, so that others go on with it at once."""
        with self._lock:
            working = list(self._working)
        if working and self.data_dir is not None:
            children.end_own(self.data_dir)
        self.jobs.leases.release([self.owner] if working else [])
        if self.roll is not None:
            self.roll.leave()

    def work(self, job: str | None = None) -> bool:
        """Claim and walk one job that is due (or that one); False where there is none."""
        claim = self.jobs.claim(self.owner, job, self.reach)
        if claim is None:
            return False
        with self._heartbeat(claim):
            self._walk(claim)
        return True

    def work_until_answered(self, job: str, on_progress: Callable[[], None] | None = None) -> None:
        """Walk one job until it ends or waits for a person: what the command line does."""
        self.recover()
        while True:
            self.work(job)
            row = self.jobs.job(job)
            if on_progress is not None:
                on_progress()
            if row.answered:
                return
            time.sleep(0.05)

    @property
    def quick(self) -> bool:
        """Whether walks that only look end within moments."""
        return quick(self.agent)

    def answer(self, one: Order, walked: Callable[[], None]) -> dict[str, Report]:
        """Walk new jobs in memory, before they are in the database, and write them with what came of it: for whoever
        waits for the answer. Those that act, ask or repeat an open incident go on as jobs; they have no report yet.
        `walked` is called when only the writing is left to do."""
        made: dict[str, Report] = {}
        try:
            self._answer_all(one, made)
        finally:
            walked()
        self.jobs.add(one)
        for each in made.values():
            baselines.remember(each, self.data_dir)
            _tell(each)
        return made

    def _answer_all(self, one: Order, made: dict[str, Report]) -> None:
        for row, incident in zip(one.rows, one.incidents, strict=True):
            claim = Claim(row["id"], 1, incident, json.loads(row["options"]), SCHEMA_VERSION, 0, fresh=True)
            one.walked[claim.id] = walked = self._answer(claim)
            if walked.made is not None:
                made[claim.id] = walked.made

    def _answer(self, claim: Claim) -> Walked:
        draft = Draft()
        joins = Joins(self.jobs.engine, claim, quick=True)
        run = replace(self._run(claim, draft, self._agent(claim), joins), holds=_too_early, leads=_too_early)
        run.joins = joins.none
        error = None
        try:
            with seen.about(job=claim.id, place=claim.incident.place):
                handle(baselines.known(claim.incident, self.data_dir), self._agent(claim), self._place(claim), run)
        except (Suspended, TooEarly):
            return Walked(draft)
        except AgentError as failure:
            error = redact(str(failure))[0]
        except Exception:
            log.exception("job %s failed", claim.id)
            error = INTERNAL
        return Walked(draft, report(claim.incident, draft, bool(claim.options.get("dry_run")), error, claim.id))

    def _walk(self, claim: Claim) -> None:
        """The one place where everything is caught: one job that fails must not take the others along."""
        try:
            with seen.about(job=claim.id, place=claim.incident.place):
                self._handle(claim)
        except LeaseLost:
            log.warning("lost the lease of %s: another worker goes on with it", claim.id)
        except Exception as failure:
            if passing(failure):
                log.warning("job %s goes on when the database can be used again: %s", claim.id, failure)
                return
            log.exception("job %s failed", claim.id)
            with suppress(LeaseLost):
                made = self.jobs.report(claim.id, INTERNAL)
                self._brakes(claim).record(made)
                self.jobs.finish(claim, made)
                _tell(made)

    def _handle(self, claim: Claim) -> None:
        journal = self.jobs.journal(claim, GATHER_SECONDS if self.quick else 0.0)
        joins = Joins(self.jobs.engine, claim, self.quick)
        error = _unfit(claim, journal.names(), self.reach)
        if error is None and claim.version != SCHEMA_VERSION:
            journal = self.jobs.restart(claim)
        permit = children.permit.set(journal.check)
        try:
            if error is None:
                self._go_on(claim, journal, joins)
        except Suspended as wait:
            if wait.reason in ("approval", "backoff"):
                self._brakes(claim).let_go()
            so_far = self._report(claim, journal, joins, None) if wait.reason == "approval" else None
            self.jobs.suspend(claim, wait.reason, wait.until, so_far, journal)
            return
        except LeaseLost:
            raise
        except AgentError as failure:
            error = redact(str(failure))[0]
        finally:
            children.permit.reset(permit)
        made = self._report(claim, journal, joins, error)
        baselines.remember(made, self.data_dir)
        if made.job == claim.id and any(each.plan and each.plan.actions for each in made.attempts):
            self._brakes(claim).record(made)
        self.jobs.finish(claim, made, journal)
        _tell(made)

    def _go_on(self, claim: Claim, journal: FencedJournal, joins: Joins) -> None:
        """Walk on; whatever ends the walk, what was kept so far is written: at once, or with what it leads to."""
        agent = self._agent(claim)
        incident = logs.here(self.jobs.engine, claim.id, claim.incident, self.data_dir)
        incident = baselines.known(incident, self.data_dir)
        try:
            handle(incident, agent, self._place(claim), self._run(claim, journal, agent, joins))
        except (Suspended, AgentError):
            raise
        except BaseException:
            journal.write()
            raise

    def _report(self, claim: Claim, journal: FencedJournal, joins: Joins, error: str | None) -> Report:
        """The report so far; that of the open incident where this one repeats it."""
        if joins.leader is not None:
            return self.jobs.report(claim.id, error)
        return report(claim.incident, journal, bool(claim.options.get("dry_run")), error, claim.id)

    def _agent(self, claim: Claim) -> Agent:
        """Our agent with the runbooks of this moment; under the policy that the job was submitted with, where it
        brought one (the command line does)."""
        agent = self.agent
        if self.shelf is not None:
            planner, signatures = self.shelf.current()
            over = getattr(agent.planner, "over", None)  # a cascade goes on with the runbooks of this moment
            agent = replace(agent, planner=over(planner) if over else planner, signatures=signatures)
        if "policy" not in claim.options:
            return agent
        file = claim.options["policy"]
        strict = self.agent.policy.read_only or bool(claim.options.get("read_only"))
        return replace(agent, policy=policy.load(file, strict, self.agent.policy.known))

    def _run(self, claim: Claim, journal: Journal, agent: Agent, joins: Joins) -> Run:
        place = claim.incident.place or next(iter(self.agent.places))
        brakes = Brakes(self.jobs.engine, claim.id, agent.policy, self.data_dir, place)
        return Run(
            journal,
            approve=_yes(claim) if claim.options.get("yes") else None,
            patience=self.patience,
            approval_seconds=self.approval_seconds,
            dry_run=bool(claim.options.get("dry_run")),
            holds=brakes.hold,
            brakes=brakes.check,
            stops=brakes.stopped,
            joins=joins.check,
            leads=joins.lead,
            ledger=self.spending.ledger(claim.id) if self.spending else None,
        )

    def _brakes(self, claim: Claim) -> Brakes:
        return Brakes(self.jobs.engine, claim.id, self.agent.policy, self.data_dir)

    def _place(self, claim: Claim) -> Place:
        if file := claim.options.get("inventory"):
            return load(Path(file))
        name = claim.incident.place
        if name is None:
            return next(iter(self.agent.places.values()))
        if name not in self.agent.places:
            raise NotFound(f"no place {name!r} (known: {', '.join(self.agent.places)})")
        return self.agent.places[name]

    @contextmanager
    def _heartbeat(self, claim: Claim) -> Iterator[None]:
        with self._lock:
            self._working[claim.id] = claim
            if self._heart is None or not self._heart.is_alive():
                self._heart = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
                self._heart.start()
        try:
            yield
        finally:
            with self._lock:
                self._working.pop(claim.id, None)

    def _beat(self) -> None:
        """Prolong the leases of what is being worked on, until there has been nothing for a while."""
        idle = 0
        while idle < 4:
            time.sleep(LEASE_SECONDS / 4)
            with self._lock:
                working = list(self._working.values())
            idle = 0 if working else idle + 1
            if working:
                try:
                    lost = self.jobs.leases.renew(working)
                except (OSError, SQLAlchemyError) as failure:
                    log.warning("could not renew leases: %s", failure)
                    continue
                if self.data_dir is not None and lost and len(lost) == len(working):
                    children.end_own(self.data_dir)  # this process was away for long: others go on with all of them


def quick(agent: Agent) -> bool:
    """Whether a walk that does not act ends within moments, so that nothing is lost where it is made again."""
    return bool(getattr(agent.planner, "quick", False))


def _tell(made: Report) -> None:
    """Say that a job has ended, to whoever counts and in the log."""
    seen.tell("job", made=made)
    last = made.attempts[-1].diagnosis if made.attempts else None
    log.info("job ended", extra={"job": made.job, "outcome": made.status, "cause": last.cause if last else None})


def _too_early(*_: object) -> None:
    raise TooEarly("only a job in the database may act or ask")


def owner() -> str:
    """This process, so that another one on this machine can tell whether it still lives."""
    return f"{socket.gethostname()}/{os.getpid()}/{_started(os.getpid())}"


def dead_owners(owners: list[str]) -> list[str]:
    """Those of the owners that were processes on this machine and are no more."""
    dead = []
    for name in owners:
        machine, pid, started = [*name.split("/"), "", ""][:3]
        if machine == socket.gethostname() and pid.isdigit() and str(_started(int(pid))) != started:
            dead.append(name)
    return dead


def _neighbours(owners: list[str]) -> list[int]:
    """Pids of those of the owners that are other living processes of this machine."""
    here = [name.split("/") for name in owners if name.startswith(f"{socket.gethostname()}/")]
    alive = [int(pid) for _, pid, started in here if pid.isdigit() and str(_started(int(pid))) == started]
    return [pid for pid in alive if pid != os.getpid()]


def _started(pid: int) -> float:
    import psutil

    try:
        return round(psutil.Process(pid).create_time(), 2)
    except psutil.Error:
        return 0.0


def _unfit(claim: Claim, keys: list[str], reach: Reach | None) -> str | None:
    """Why a job cannot go on: too many tries, or begun by a version whose records this one does not know."""
    if claim.tries > MAX_TRIES:
        return "given up: its worker died too often while it was being handled"
    if reach is not None and claim.machine not in (None, reach.machine):
        return f"only {claim.machine} can go on with it, where nothing works any more: a person must look at it"
    if claim.version != SCHEMA_VERSION and any("once/" in key for key in keys):
        return "begun by another version of devops_agent, which had started to act: a person must look at it"
    return None


def _yes(claim: Claim) -> Callable[[Plan, Ruling], Approval]:
    by = str(claim.options.get("by") or "--yes")
    return lambda plan, ruling: Approval(
        fingerprint=plan.fingerprint, granted=True, by=by, at=now(), reason=f"approved in advance ({ruling.rule})"
    )

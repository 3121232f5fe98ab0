"""What stands between an approved plan and its execution: one repair per host at a time, and stopping in time.

The kill switch is a file named `STOP` in the data directory, for this machine, or a halt in the database, for all of
them: while one is there, nothing is changed.
"""

from __future__ import annotations

import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Engine, delete, func, insert, select
from sqlalchemy.exc import IntegrityError

from devops_agent.errors import Suspended
from devops_agent.jobs import halts
from devops_agent.jobs.database import alone
from devops_agent.jobs.store import FINISHED
from devops_agent.jobs.tables import host_locks, jobs, reading, repairs
from devops_agent.model import Plan, Report, Ruling, now
from devops_agent.policy import Policy

KILL_SWITCH = "STOP"
BUSY_SECONDS = 1.0
EVERYWHERE = ("ssh://", "kubectl://")
"""Hosts that are the same from every machine."""
BACKOFF_SECONDS = 30.0


class Brakes:
    """Of one job: locks on the hosts of its plan, and what forbids to execute it now."""

    def __init__(
        self, engine: Engine, job: str, policy: Policy, data_dir: Path | None, place: str | None = None
    ) -> None:
        self.engine = engine
        self.place = place
        self.job = job
        self.policy = policy
        self.data_dir = data_dir

    def hold(self, plan: Plan) -> None:
        """Lock the plan's hosts for this job until it ends or waits for a person; Suspended while another has one."""
        stamp = now()
        mine = set(hosts(plan))
        with self.engine.begin() as connection:
            alone(connection, "host locks")
            ended = select(jobs.c.id).where(jobs.c.status.in_(FINISHED))
            connection.execute(delete(host_locks).where(host_locks.c.job.in_(ended)))
            held = {row.host: row.job for row in connection.execute(select(host_locks))}
            if any(held.get(host, self.job) != self.job for host in mine):
                raise Suspended("host busy", until=stamp + timedelta(seconds=BUSY_SECONDS))
            rows = [{"host": host, "job": self.job, "at": stamp.timestamp()} for host in sorted(mine - set(held))]
            try:
                if rows:
                    connection.execute(insert(host_locks), rows)
            except IntegrityError:
                raise Suspended("host busy", until=stamp + timedelta(seconds=BUSY_SECONDS)) from None

    def check(self, plan: Plan) -> Ruling:
        """Deny where something stands against executing now; Suspended for the time of a back-off."""
        stopped = self.stopped()
        if stopped is not None:
            return _deny("kill switch", stopped)
        forbidden = self.policy.forbids(plan)
        if forbidden is not None:
            return forbidden
        limits = self.policy.limits
        for host in hosts(plan):
            count, last = self._failures(host, plan.cause)
            if count >= limits.failures_per_hour:
                reason = f"{count} repairs of {plan.cause} on {host} did not help within an hour"
                return _deny("repeated failure", reason)
            again = last + timedelta(seconds=BACKOFF_SECONDS * (count - 1)) if last else None
            if count > 1 and again and again > now():
                raise Suspended("backoff", until=again)
        touched = self._touched(plan.cause) | set(hosts(plan))
        if len(touched) > limits.hosts_per_cause_per_hour:
            reason = f"{plan.cause} would touch {len(touched)} hosts within an hour"
            return _deny("too many hosts", reason)
        return Ruling(verdict="allow")

    def stopped(self) -> str | None:
        """Why everything stands still; looked at before a plan, before each of its actions, and before undoing one."""
        if self.data_dir is not None and (self.data_dir / KILL_SWITCH).exists():
            return f"the kill switch is on ({self.data_dir / KILL_SWITCH} exists)"
        halt = halts.in_force(self.engine, self.place)
        return halt.told if halt is not None else None

    def record(self, made: Report) -> None:
        """Remember for each attempt that acted whether it helped, and let go of the hosts."""
        rows = [
            {"at": now().timestamp(), "job": self.job, "host": host, "cause": attempt.plan.cause, "helped": helped}
            for attempt in made.attempts
            if attempt.plan and any(outcome.status != "skipped" for outcome in attempt.outcomes)
            for host in hosts(attempt.plan)
            for helped in [int(bool(attempt.verification and attempt.verification.over))]
        ]
        with self.engine.begin() as connection:
            if rows:
                connection.execute(insert(repairs), rows)
        self.let_go()

    def let_go(self) -> None:
        """Release the hosts."""
        with self.engine.begin() as connection:
            connection.execute(delete(host_locks).where(host_locks.c.job == self.job))

    def _failures(self, host: str, cause: str) -> tuple[int, datetime | None]:
        recent = (repairs.c.host == host, repairs.c.cause == cause, repairs.c.at > now().timestamp() - 3600)
        helped = select(func.max(repairs.c.at)).where(*recent, repairs.c.helped == 1).scalar_subquery()
        query = select(func.count(), func.max(repairs.c.at)).where(
            *recent, repairs.c.helped == 0, repairs.c.at > func.coalesce(helped, 0.0)
        )
        with reading(self.engine) as connection:
            count, last = connection.execute(query).one()
        return count, datetime.fromtimestamp(last, UTC) if last else None

    def _touched(self, cause: str) -> set[str]:
        query = select(repairs.c.host).where(repairs.c.cause == cause, repairs.c.at > now().timestamp() - 3600)
        with reading(self.engine) as connection:
            return {host for (host,) in connection.execute(query.distinct())}


def hosts(plan: Plan) -> list[str]:
    """The hosts that a plan changes, as seen from everywhere: what is named alike on all machines is named so, all
    else (`local`, a container) belongs to this machine."""
    names = {action.host for action in plan.actions if action.effect != "read"}
    return sorted(name if name.startswith(EVERYWHERE) else f"{socket.gethostname()}:{name}" for name in names)


def _deny(rule: str, reason: str) -> Ruling:
    return Ruling(verdict="deny", rule=rule, reason=reason)

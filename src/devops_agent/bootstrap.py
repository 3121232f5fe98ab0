"""Builds everything once: Settings -> Agent, Jobs, Worker. Entry points call it; tests pass their own parts."""

from __future__ import annotations

import functools
import json
import secrets
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from devops_agent import planning
from devops_agent.config import Settings
from devops_agent.errors import ConfigError
from devops_agent.inventory import Place, load_all
from devops_agent.model import Diagnosis, Digest, Incident

if TYPE_CHECKING:
    from devops_agent.connect.courier import Courier
    from devops_agent.connect.settings import Connections
    from devops_agent.jobs.store import Jobs
    from devops_agent.jobs.worker import Worker
    from devops_agent.pipeline import Agent
    from devops_agent.planners import Planner
    from devops_agent.planners.draft import Draft
    from devops_agent.policy import Known
    from devops_agent.run import Ledger
    from devops_agent.runbooks.load import Library

STOP_SECONDS = 20.0
"""How long a worker that is told to end goes on with what it has in hand."""
INLINE_LOG = 256 << 10
"""Longer logs lie in a file of the data directory instead of the database, in characters."""


def build_agent(settings: Settings) -> Agent:
    """The agent for these settings: library, planner, policy, places, tools."""
    from devops_agent import policy
    from devops_agent.distil.redact import also, redact
    from devops_agent.pipeline import Agent
    from devops_agent.planners.runbook import RunbookPlanner
    from devops_agent.runbooks.own import whole_library
    from devops_agent.scan import Signatures
    from devops_agent.tools.toolbox import Toolbox

    also(settings.redact)
    known = whole_library(settings.runbooks, _catalogue(settings) if settings.runbooks else None)
    places = load_all(settings.inventory)
    tools = _catalogue(settings) if settings.mcp_servers else None
    return Agent(
        planner=planning.planner(settings, RunbookPlanner(known)),
        policy=policy.load(settings.policy, settings.read_only, _names(settings, known, places)),
        signatures=Signatures(known.signatures()),
        toolbox=partial(Toolbox, data_dir=settings.data_dir, tools=tools, redact=lambda text: redact(text)[0]),
        places=places,
        max_attempts=settings.max_attempts,
        settle=settings.settle_seconds,
        excerpt_lines=settings.excerpt_lines,
    )


def open_jobs(settings: Settings) -> Jobs:
    """The store of jobs in the configured database."""
    from devops_agent.jobs.store import Jobs
    from devops_agent.jobs.tables import open_engine

    setting = "DEVOPS_AGENT_DATABASE_URL" if settings.database_url else "DEVOPS_AGENT_DATA_DIR"
    try:
        return Jobs(open_engine(settings.url, setting), settings.job_retention_seconds)
    except OSError as error:
        raise ConfigError(f"{setting}: {error.filename or settings.data_dir}: {error.strerror or error}") from None


def build_courier(settings: Settings, jobs: Jobs, agent: Agent, known: Connections) -> Courier:
    """Who works on what hooks brought in, and sends what is to be told. Raises ConfigError."""
    from devops_agent.connect.courier import Courier
    from devops_agent.connect.inbox import Intake
    from devops_agent.connect.links import signing_key
    from devops_agent.connect.outbox import Outbox, Terms

    check_connections(settings, known, agent)

    def make(text: str, title: str, place: str | None) -> Incident:
        return make_incident(text, settings, "webhook", title, place)

    intake = Intake(jobs, known.hooks, make, frozenset(agent.places)) if known.hooks else None
    outbox = None
    if known.targets:
        key = signing_key(settings.data_dir, settings.link_secret)
        outbox = Outbox(jobs, known, Terms(settings.public_url, key, tuple(agent.places)))
    return Courier(jobs, intake, outbox)


def check_connections(settings: Settings, known: Connections, agent: Agent) -> None:
    """Refuse hooks and targets that can never work. Raises ConfigError that names the field."""
    from devops_agent.connect import channels

    for name, hook in known.hooks.items():
        if hook.place is not None and hook.place not in agent.places:
            raise ConfigError(f"hooks.{name}.place: no place {hook.place!r} (known: {', '.join(sorted(agent.places))})")
    for name, target in known.targets.items():
        channels.check(target)
        if target.approver is not None and not settings.public_url:
            raise ConfigError(f"notify.{name}.approver: links need DEVOPS_AGENT_PUBLIC_URL, the service's own address")


def build_worker(settings: Settings, jobs: Jobs, agent: Agent) -> Worker:
    """A worker of this process; it takes over nothing by itself. Its planner remembers what became of its answers."""
    from devops_agent.jobs.experience import recall
    from devops_agent.jobs.worker import Worker
    from devops_agent.planners.runbook import RunbookPlanner
    from devops_agent.planners.shelf import Shelf
    from devops_agent.trace.spans import wanted

    worker = Worker(jobs, agent, settings.patience_seconds, settings.approval_seconds, settings.data_dir)
    if jobs.engine.dialect.name == "postgresql":
        from devops_agent.jobs import distributed

        labels = distributed.pairs(settings.worker_labels, "DEVOPS_AGENT_WORKER_LABELS")
        worker.reach = distributed.reach(agent.places, distributed.names(settings.worker_places), labels)
        worker.roll = distributed.Roll(jobs, worker.owner, worker.reach, labels)
    own = agent.planner if isinstance(agent.planner, RunbookPlanner) else getattr(agent.planner, "runbooks", None)
    if own is not None:
        planner = RunbookPlanner(own.library, recall(jobs.engine))
        worker.shelf = Shelf(
            settings.runbooks, planner, agent.signatures, _catalogue(settings) if settings.runbooks else None
        )
    if own is not agent.planner:
        from devops_agent.jobs.spending import Spending

        caps = planning.caps(settings)
        worker.spending = Spending(jobs.engine, caps.day, caps.caller)
    if jobs.when_ended is None and wanted():
        from devops_agent.jobs.traces import sender

        jobs.when_ended = sender(jobs)
    return worker


def work(settings: Settings) -> None:
    """Work on jobs until ended by SIGTERM or Ctrl-C; what is in hand then is finished or given back."""
    import signal
    import threading

    from devops_agent.jobs.embedded import EmbeddedWorkers

    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    agent = build_agent(settings)
    jobs = open_jobs(settings)
    worker = build_worker(settings, jobs, agent)
    kept = (settings.incident_retention_days, settings.audit_retention_days)
    workers = EmbeddedWorkers(worker, max(1, settings.workers), *kept)
    workers.start()
    places = "all places" if worker.reach is None else ", ".join(sorted(worker.reach.places or ())) or "no place"
    print(f"devops-agent works on jobs of {places} as {worker.owner}", flush=True)
    ended.wait()
    workers.stop(STOP_SECONDS)


def draft_runbook(settings: Settings, jobs: Jobs, job: str) -> Draft:
    """A runbook drafted from a job that was solved without one; `jobs.drafts.keep` writes it once a person says so."""
    from devops_agent.jobs import drafts
    from devops_agent.runbooks.own import whole_library

    base = settings.public_url.rstrip("/") or f"http://localhost:{settings.port}"
    known = whole_library(settings.runbooks, _catalogue(settings) if settings.runbooks else None)
    return drafts.drafted(jobs, job, known, _catalogue(settings), load_all(settings.inventory), f"{base}/jobs/{job}")


def _names(settings: Settings, library: Library, places: Mapping[str, Place]) -> Known:
    """What a policy may speak of here."""
    from devops_agent.policy import Known

    return Known(
        tools=_catalogue(settings),
        causes=library.causes.meanings,
        runbooks=library.runbooks,
        labels={label for place in places.values() for label in place.labels},
    )


def _catalogue(settings: Settings) -> Mapping[str, Any]:
    """All tools: our own, those of packages, and those of the configured MCP servers."""
    from devops_agent.tools.registry import tools

    if not settings.mcp_servers:
        return tools()
    return {**tools(), **_foreign(json.dumps(settings.mcp_servers, sort_keys=True))}


@functools.cache
def _foreign(tables: str) -> Mapping[str, Any]:
    """The tools of these servers; they are asked once in a process what they offer."""
    from devops_agent.tools import foreign

    return foreign.tools(json.loads(tables))


def make_incident(
    text: str,
    settings: Settings,
    source: str = "cli",
    title: str = "",
    place: str | None = None,
    baseline: str | None = None,
) -> Incident:
    """An incident from the text of a log. Secrets are masked here, before anything is stored."""
    from devops_agent.distil.redact import redact

    masked, counts = redact(text)
    incident = Incident(
        id=f"inc_{secrets.token_hex(8)}",
        title=redact(title)[0] if title else _title(masked),
        titled=bool(title),
        source=source,
        place=place,
        redactions=counts,
    )
    if baseline is not None:
        lies = _spool(settings, f"{incident.id}.baseline", redact(baseline)[0])
        incident = incident.model_copy(update={"baseline_file": lies})
    if len(masked) <= INLINE_LOG:
        return incident.model_copy(update={"log": masked})
    return incident.model_copy(update={"log_file": _spool(settings, incident.id, masked)})


def read_incident(source: Path | BinaryIO, settings: Settings, baseline: Path | None = None) -> Incident:
    """An incident from a log of any size, for the command line. It is masked on its way to a file, never held whole."""
    from devops_agent.distil.masked import masked

    name = f"inc_{secrets.token_hex(8)}"
    file = _place_for(settings, name)
    counts = masked(source, file)
    with file.open(encoding="utf-8", errors="surrogatepass", newline="") as lines:
        begin = lines.read(INLINE_LOG + 1)
    incident = Incident(id=name, title=_title(begin), titled=False, source="cli", redactions=counts)
    if baseline is not None:
        passing = _place_for(settings, f"{name}.baseline")
        masked(baseline, passing)
        incident = incident.model_copy(update={"baseline_file": str(passing)})
    if len(begin) > INLINE_LOG:
        return incident.model_copy(update={"log_file": str(file)})
    file.unlink()
    return incident.model_copy(update={"log": begin})


def first_request(incident: Incident, settings: Settings) -> dict[str, Any] | str:
    """Exactly what a model would be sent first about this incident, redacted, without sending it; or why nothing would.

    Raises ConfigError where no model is configured.
    """
    from devops_agent.llm.preview import Showing
    from devops_agent.pipeline import look_only
    from devops_agent.planners.cascade import CascadePlanner
    from devops_agent.planners.model import ModelPlanner

    agent = build_agent(settings)
    if not isinstance(agent.planner, CascadePlanner):
        raise ConfigError(
            "DEVOPS_AGENT_MODEL: no model would be asked: there is no key for one, or the planner is runbooks"
        )
    old = agent.planner
    door = Showing(planning.door(settings, planning.choices(settings)))
    planner = CascadePlanner(old.runbooks, ModelPlanner(door, old.model.causes, old.model.turns), old.order)
    place = _one_place(settings)
    diagnosis = look_only(incident, replace(agent, planner=planner), place)
    if door.seen is not None:
        return door.seen
    return f"the runbooks answer ({diagnosis.cause})" if diagnosis.failure else "the log shows no failure"


def _one_place(settings: Settings) -> Place:
    places = load_all(settings.inventory)
    if len(places) > 1:
        raise ConfigError(f"--inventory: there are several places ({', '.join(places)}); name one of the files")
    return next(iter(places.values()))


def diagnose(source: Path | bytes | BinaryIO, settings: Settings, lines: int | None = None) -> tuple[Digest, Diagnosis]:
    """Name the cause from the text alone: nothing is probed, changed or stored."""
    return Diagnoser(settings).diagnose(source, lines)


class Diagnoser:
    """Library and signatures, loaded once for many diagnoses."""

    def __init__(self, settings: Settings) -> None:
        from devops_agent.planners.runbook import RunbookPlanner
        from devops_agent.runbooks.own import whole_library
        from devops_agent.scan import Signatures

        known = whole_library(settings.runbooks)
        self.planner: Planner = RunbookPlanner(known)
        self.ledger: Ledger | None = None
        if settings.planner in ("model", "model_first"):  # a text is sent away only where that was asked for
            self.planner = planning.planner(settings, RunbookPlanner(known))
            self.ledger = _ledger(settings)
        self.signatures = Signatures(known.signatures())
        self.lines = settings.excerpt_lines

    def diagnose(self, source: Path | bytes | BinaryIO, lines: int | None = None) -> tuple[Digest, Diagnosis]:
        """The lines that matter, and the cause."""
        from devops_agent.distil import distil_source
        from devops_agent.planners import NoLook

        digest = distil_source(source, self.signatures, lines or self.lines)
        look = NoLook()
        look.ledger = self.ledger
        return digest, self.planner.diagnose(digest, (), look)


def _ledger(settings: Settings) -> Ledger:
    """Where a command line that asks a model counts what that costs."""
    import getpass

    from devops_agent.jobs.spending import Spending

    caps = planning.caps(settings)
    return Spending(open_jobs(settings).engine, caps.day, caps.caller).page(getpass.getuser())


def _spool(settings: Settings, name: str, text: str) -> str:
    file = _place_for(settings, name)
    file.touch(mode=0o600)
    file.write_text(text, encoding="utf-8", errors="surrogateescape")
    return str(file)


def _place_for(settings: Settings, name: str) -> Path:
    folder = settings.data_dir / "logs"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder / f"{name}.log"


def _title(text: str) -> str:
    return next((line.strip()[:120] for line in text.splitlines() if line.strip()), "")

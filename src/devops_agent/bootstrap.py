"""Builds everything once: Settings -> Agent, Jobs, Worker. Entry points call it; tests pass their own parts."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from devops_agent.config import Settings
from devops_agent.errors import ConfigError
from devops_agent.inventory import Place, load_all
from devops_agent.model import Diagnosis, Digest, Incident

if TYPE_CHECKING:
    from devops_agent.jobs.store import Jobs
    from devops_agent.jobs.worker import Worker
    from devops_agent.pipeline import Agent
    from devops_agent.policy import Known
    from devops_agent.runbooks.load import Library

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

    if settings.planner == "model":
        raise ConfigError("DEVOPS_AGENT_PLANNER: the model planner comes with a later version; use auto or runbooks")
    also(settings.redact)
    known = whole_library(settings.runbooks, _catalogue() if settings.runbooks else None)
    places = load_all(settings.inventory)
    return Agent(
        planner=RunbookPlanner(known),
        policy=policy.load(settings.policy, settings.read_only, _names(known, places)),
        signatures=Signatures(known.signatures()),
        toolbox=partial(Toolbox, data_dir=settings.data_dir, redact=lambda text: redact(text)[0]),
        places=places,
        max_attempts=settings.max_attempts,
        settle=settings.settle_seconds,
        excerpt_lines=settings.excerpt_lines,
    )


def open_jobs(settings: Settings) -> Jobs:
    """The store of jobs in the configured database."""
    from devops_agent.jobs.store import Jobs
    from devops_agent.jobs.tables import open_engine

    return Jobs(open_engine(settings.url), settings.job_retention_seconds)


def build_worker(settings: Settings, jobs: Jobs, agent: Agent) -> Worker:
    """A worker of this process; it takes over nothing by itself. Its planner remembers what became of its answers."""
    from devops_agent.jobs.experience import recall
    from devops_agent.jobs.worker import Worker
    from devops_agent.planners.runbook import RunbookPlanner
    from devops_agent.planners.shelf import Shelf

    worker = Worker(jobs, agent, settings.patience_seconds, settings.approval_seconds, settings.data_dir)
    if isinstance(agent.planner, RunbookPlanner):
        planner = RunbookPlanner(agent.planner.library, recall(jobs.engine))
        worker.shelf = Shelf(settings.runbooks, planner, agent.signatures, _catalogue() if settings.runbooks else None)
    return worker


def _names(library: Library, places: Mapping[str, Place]) -> Known:
    """What a policy may speak of here."""
    from devops_agent.policy import Known

    return Known(
        tools=_catalogue(),
        causes=library.causes.meanings,
        runbooks=library.runbooks,
        labels={label for place in places.values() for label in place.labels},
    )


def _catalogue() -> Mapping[str, Any]:
    from devops_agent.tools.registry import tools

    return tools()


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
    incident = Incident(id=name, title=_title(begin), source="cli", redactions=counts)
    if baseline is not None:
        passing = _place_for(settings, f"{name}.baseline")
        masked(baseline, passing)
        incident = incident.model_copy(update={"baseline_file": str(passing)})
    if len(begin) > INLINE_LOG:
        return incident.model_copy(update={"log_file": str(file)})
    file.unlink()
    return incident.model_copy(update={"log": begin})


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
        self.planner = RunbookPlanner(known)
        self.signatures = Signatures(known.signatures())
        self.lines = settings.excerpt_lines

    def diagnose(self, source: Path | bytes | BinaryIO, lines: int | None = None) -> tuple[Digest, Diagnosis]:
        """The lines that matter, and the cause."""
        from devops_agent.distil import distil_source
        from devops_agent.planners import NoLook

        digest = distil_source(source, self.signatures, lines or self.lines)
        return digest, self.planner.diagnose(digest, (), NoLook())


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

"""Drafts of runbooks from jobs that are kept: made, tried on what is kept, and written where a person says so."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import select

from devops_agent.errors import AgentError, NotFound, RequestError
from devops_agent.inventory import Place, load
from devops_agent.jobs import audit
from devops_agent.jobs.store import Jobs
from devops_agent.jobs.tables import jobs as table
from devops_agent.jobs.tables import reading
from devops_agent.model import Report
from devops_agent.planners.backtest import Stored
from devops_agent.planners.draft import Draft, case, draft
from devops_agent.runbooks.load import Library
from devops_agent.runbooks.quiet import quiet_logs
from devops_agent.tools.base import Tool


def drafted(
    store: Jobs, job: str, known: Library, tools: Mapping[str, Tool], places: Mapping[str, Place], address: str
) -> Draft:
    """The draft of a runbook from this job, tried on the healthy logs of the package and on all kept incidents.

    Raises NotFound, and RequestError where the job was not diagnosed without a runbook, or is not proven repaired.
    """
    made = store.report(job)
    return draft(case(made, _entry(store, made, places), address), known, tools, quiet_logs(), stored(store))


def keep(store: Jobs, made: Draft, target: Path, by: str) -> Path:
    """Write a draft into a directory (or to a file that must be named like it); what is there is not overwritten.

    Raises RequestError where the draft has problems, or the file exists.
    """
    file = target if target.suffix in (".yaml", ".yml") else target / f"{made.id}.yaml"
    if made.problems:
        raise RequestError(f"draft: {made.problems[0]}")
    if file.stem != made.id:
        raise RequestError(f"out: the file must be named {made.id}.yaml, as the runbook is")
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=file.parent, prefix=".draft.", suffix=".tmp")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(made.text)
        os.chmod(temporary, 0o644)
        os.link(temporary, file)
    except FileExistsError:
        raise RequestError(f"out: {file} exists already") from None
    finally:
        os.unlink(temporary)
    facts = {"runbook": made.id, "file": str(file), "sha256": hashlib.sha256(made.text.encode()).hexdigest()}
    with store.engine.begin() as connection:
        audit.append(connection, made.job, "runbook kept", by, facts)
    return file


def stored(store: Jobs) -> Iterator[Stored]:
    """The kept incidents, each with the log that it was reported with."""
    for row, incident in store.incidents():
        healthy = row.outcome == "no_failure"
        if incident.log:
            yield Stored(row.id, incident.log.encode("utf-8", "replace"), healthy)
        elif incident.log_file and Path(incident.log_file).is_file():
            yield Stored(row.id, Path(incident.log_file), healthy)


def _entry(store: Jobs, made: Report, places: Mapping[str, Place]) -> dict[str, Any] | None:
    """The inventory's entry of the service that the diagnosis names, where it can still be read."""
    last = made.attempts[-1].diagnosis if made.attempts else None
    if last is None or last.service is None:
        return None
    with reading(store.engine) as connection:
        found = connection.execute(select(table.c.options).where(table.c.id == made.job)).scalar()
    file = json.loads(found or "{}").get("inventory")
    try:
        place = load(file) if file else places.get(made.incident.place or next(iter(places), ""))
        entry = place.service(last.service) if place else None
    except (NotFound, AgentError, OSError):
        return None
    return entry.model_dump(mode="json", exclude_none=True) if entry else None

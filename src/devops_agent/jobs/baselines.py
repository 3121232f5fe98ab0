"""The last passing log of each job by name: what it says too weighs little in a failing log of the same job."""

from __future__ import annotations

import hashlib
from pathlib import Path

from devops_agent.model import Incident, Report

LABEL = "job"
MOST_BYTES = 8 << 20


def known(incident: Incident, data_dir: Path | None) -> Incident:
    """The incident with the last passing log of its job as baseline, where it names its job and brings no baseline."""
    file = _file(incident, data_dir)
    if incident.baseline_file or file is None or not file.is_file():
        return incident
    return incident.model_copy(update={"baseline_file": str(file)})


def remember(made: Report, data_dir: Path | None) -> None:
    """Keep the (redacted) log of a job that did not fail, in place of the one before."""
    file = _file(made.incident, data_dir)
    if file is None or made.status != "no_failure":
        return
    data = _end(Path(made.incident.log_file)) if made.incident.log_file else made.incident.log.encode()
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = file.with_suffix(".part")
    part.touch(mode=0o600)
    part.write_bytes(data)
    part.replace(file)


def _end(file: Path) -> bytes:
    with file.open("rb") as log:
        log.seek(max(0, file.stat().st_size - MOST_BYTES))
        return log.read(MOST_BYTES)


def _file(incident: Incident, data_dir: Path | None) -> Path | None:
    name = incident.labels.get(LABEL)
    if data_dir is None or not name:
        return None
    key = hashlib.sha256(f"{incident.place or ''}/{name}".encode()).hexdigest()[:32]
    return data_dir / "baselines" / f"{key}.log"

"""`/livez`: the process answers. `/readyz`: what it needs is there. For whoever sends it work or restarts it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from flask import Blueprint, current_app

from devops_agent.errors import AgentError
from devops_agent.web.auth import public

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

    from devops_agent.web.backend import Backend

LEAST_BYTES = 64 << 20
"""Space in the data directory below which nothing more is accepted."""
LATE_SECONDS = 900.0
"""So long after it was due, a job that nobody takes up says that the workers do not work."""
blueprint = Blueprint("ready", __name__)


@blueprint.get("/livez")
@public
def livez() -> ResponseReturnValue:
    """The process answers."""
    return {"status": "alive"}


@blueprint.get("/readyz")
@public
def readyz() -> ResponseReturnValue:
    """Whether each part works; 503 where one does not, with its name."""
    backend: Backend = current_app.extensions["devops_agent"]
    parts = {name: _works(check, backend) for name, check in CHECKS.items()}
    ready = all(said == "ok" for said in parts.values())
    answer = {"status": "ready" if ready else "not ready", "parts": parts}
    return (answer, 200) if ready else (answer, 503, {"Retry-After": "5"})


def database(backend: Backend) -> str:
    """It answers."""
    from devops_agent.jobs.pressure import answers

    answers(backend.jobs.engine)
    return "ok"


def queue(backend: Backend) -> str:
    """Workers of this process live, and what is due is taken up."""
    from devops_agent.jobs.pressure import pressure

    if backend.stopping.is_set():
        return "the service is being stopped"
    if not backend.working():
        return "the workers of this process have ended"
    late = pressure(backend.jobs.engine).oldest
    return "ok" if late < LATE_SECONDS else f"a job has been due for {late:.0f} seconds"


def disk(backend: Backend) -> str:
    """There is space to write."""
    folder = backend.settings.data_dir
    free = shutil.disk_usage(folder if folder.exists() else folder.parent).free
    return "ok" if free >= LEAST_BYTES else f"{free >> 20} MB are left in the data directory"


CHECKS: dict[str, Callable[[Backend], str]] = {"database": database, "queue": queue, "disk": disk}


def _works(check: Callable[[Backend], str], backend: Backend) -> str:
    from sqlalchemy.exc import SQLAlchemyError

    begun = time.monotonic()
    try:
        return check(backend)
    except (SQLAlchemyError, OSError, AgentError) as error:
        current_app.logger.warning("readyz: %s: %s", check.__name__, error)
        return f"does not work ({type(error).__name__} after {time.monotonic() - begun:.1f} seconds)"

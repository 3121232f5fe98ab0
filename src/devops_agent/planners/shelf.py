"""The runbooks in force, read anew when a file of the own directory has changed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from devops_agent.errors import ConfigError
from devops_agent.planners.runbook import RunbookPlanner
from devops_agent.runbooks.own import stamp, whole_library
from devops_agent.scan import Signatures

log = logging.getLogger("devops_agent.runbooks")


class Shelf:
    """Planner and signatures of one moment. A wrong file leaves the old ones in force, is logged, and is `problem`."""

    def __init__(
        self, own: Path | None, planner: RunbookPlanner, signatures: Signatures, tools: Mapping[str, Any] | None = None
    ) -> None:
        self.own = own
        self.problem: str | None = None
        self._planner = planner
        self._signatures = signatures
        self._tools = tools
        self._stamp = stamp(own)
        self._lock = threading.Lock()

    def current(self) -> tuple[RunbookPlanner, Signatures]:
        """What the next job uses."""
        with self._lock:
            seen = stamp(self.own)
            if seen != self._stamp:
                self._stamp = seen
                self._read()
            return self._planner, self._signatures

    def _read(self) -> None:
        try:
            known = whole_library(self.own, self._tools)
        except ConfigError as error:
            self.problem = str(error)
            log.warning("the runbooks stay as they were: %s", error)
            return
        self._planner = RunbookPlanner(known, self._planner.recall)
        self._signatures = Signatures(known.signatures())
        self.problem = None
        log.info("runbooks read anew from %s: %d in force", self.own, len(known.runbooks))

"""Build hook: parse the runbooks once, at install, so that a start does not read hundreds of YAML files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class RunbooksHook(BuildHookInterface[Any]):
    """Writes `runbooks/library.json` before a wheel (also an editable one) is made."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Parse the library; a wrong runbook fails the build with file and field."""
        sys.path.insert(0, str(Path(self.root, "src")))
        from devops_agent.runbooks.load import build

        build()

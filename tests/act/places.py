"""A toolbox over a folder, for tests of what the agent looks at and changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from devops_agent.inventory import Inventory, Place
from devops_agent.model import Step
from devops_agent.tools.toolbox import Toolbox


def toolbox(folder: Path, **sections: Any) -> Toolbox:
    """Real tools at a place that this inventory describes."""
    place = Place(Inventory.model_validate({"workspace": str(folder), **sections}), folder=folder)
    return Toolbox(place, folder / ".data")


def do(box: Toolbox, tool: str, **args: Any) -> Any:
    """Preview and apply one change; the outcome."""
    return box.apply(box.preview(Step(tool=tool, args=args), 1))


def undo(box: Toolbox, tool: str, before: Any, **args: Any) -> Any:
    """Apply a change, call `before` in between, take the change back; the outcome of taking back."""
    action = box.preview(Step(tool=tool, args=args), 1)
    assert box.apply(action).status == "succeeded"
    before()
    return box.revert(action)

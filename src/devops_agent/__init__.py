"""devops_agent: from a failing log to a proven repair.

The two functions that other programs import are loaded when they are first asked for, so that importing the package
costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from devops_agent.functions import generate_planned_actions_from_errors, handle_llm_plan_with_tools

__version__ = "0.1.0"
__all__ = ["__version__", "generate_planned_actions_from_errors", "handle_llm_plan_with_tools"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from devops_agent import functions

        return getattr(functions, name)
    raise AttributeError(f"module 'devops_agent' has no attribute {name!r}")

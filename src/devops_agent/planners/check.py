"""`python -m devops_agent.planners.check [FILE ...]`: lint runbooks and see whether their examples win."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from devops_agent.planners.examples import losing
from devops_agent.runbooks.lint import Problem, lint
from devops_agent.runbooks.load import library


def problems(paths: Sequence[str]) -> list[Problem]:
    """Problems of these runbook files, of all runbooks where none is given."""
    try:
        from devops_agent.tools.registry import tools

        catalogue = tools()
    except ImportError:
        catalogue = None
    wanted: list[str | None] = list(paths) or [None]
    found = [problem for path in wanted for problem in lint(path, catalogue, thorough=bool(paths))]
    if any(problem.field == "file" for problem in found):
        return found
    whole = library()
    for path in wanted:
        key = Path(path).stem if path else None
        if key is None or key in whole.runbooks:
            found += losing(whole, key)
    return found


if __name__ == "__main__":
    every = problems(sys.argv[1:])
    print("\n".join(map(str, every)) or "no problems")
    raise SystemExit(1 if every else 0)

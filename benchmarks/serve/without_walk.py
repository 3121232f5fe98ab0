"""The service with the work on a log taken away: what is left is HTTP, masking, and writing what came of it.

    python benchmarks/serve/without_walk.py serve --port 5000

The first log is worked on; all later ones are given its journal and report, and are written as usual. It shows how near
to the bare endpoint the service would come if working on a log cost nothing.
"""

from __future__ import annotations

import sys

from devops_agent.__main__ import main
from devops_agent.jobs.journal import Draft
from devops_agent.jobs.worker import Claim, Walked, Worker

_work = Worker._answer
_first: list[Walked] = []


def _given(worker: Worker, claim: Claim) -> Walked:
    if not _first:
        _first.append(_work(worker, claim))
    one = _first[0]
    draft = Draft()
    vars(draft).update(vars(one.draft))
    return Walked(draft, one.made.model_copy(update={"job": claim.id}) if one.made else None)


Worker._answer = _given  # type: ignore[method-assign]

if __name__ == "__main__":
    sys.exit(main())

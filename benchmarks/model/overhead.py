"""What asking a model costs beside the model's own time: CPU and wall a turn, bytes of requests, CPU of the first call.

    .venv/bin/python benchmarks/model/overhead.py [--walks 20]

The model is a server in a process of its own that answers at once; so all CPU of this process is ours: distilling is
done once before, then conversations of three turns (look, look, conclude) are led with real probes.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests")]

LOG = """worker starting
Traceback (most recent call last):
  File "/srv/shop/app.py", line 12, in work
    handle.write(order)
OSError: [Errno 28] No space left on device: '/srv/shop/orders.log'
ERROR: worker ended
exit 1
"""


def script(asked):
    from llm.scripted import Reply

    turn = len(asked.results)
    if turn == 0:
        return Reply(calls=[("disk_usage", {"path": "/"}), ("memory_usage", {})])
    if turn == 2:
        return Reply(calls=[("file_stat", {"path": "/tmp"}), ("find_tools", {"words": "largest files below a path"})])
    cited = {"id": "log:5", "quote": "No space left on device"}
    said = {"cause": "disk_full", "summary": "Full.", "confidence": 0.9, "evidence": [cited]}
    return Reply(calls=[("conclude", said)])


def serve() -> None:
    from llm.scripted import serving

    with serving(script) as server:
        print(server.url, flush=True)
        sys.stdin.read()


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--walks", type=int, default=20)
    options.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.serve:
        serve()
        return 0
    with subprocess.Popen(
        [sys.executable, __file__, "--serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as model:
        measure(model.stdout.readline().strip(), given.walks)
        model.stdin.close()
    return 0


def measure(url: str, walks: int) -> None:
    from devops_agent.bootstrap import build_agent
    from devops_agent.config import Settings
    from devops_agent.distil import distil_source
    from devops_agent.inventory import Place
    from devops_agent.planners import Look
    from devops_agent.run import MemoryJournal, Run

    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder), model_base_url=url, planner="model", budget_incident_dollars=None)
        agent = build_agent(settings)
        toolbox = agent.toolbox(Place())
        digest = distil_source(LOG.encode(), agent.signatures)
        spent, sizes = [], []
        for _ in range(walks + 1):
            journal = MemoryJournal()
            cpu, wall = time.process_time(), time.perf_counter()
            made = agent.planner.diagnose(digest, (), Look(toolbox, Run(journal, prefix="0/")))
            assert (made.cause, made.turns) == ("disk_full", 3), made
            spent.append(((time.process_time() - cpu) / 3, (time.perf_counter() - wall) / 3))
            sizes.append([call.request_bytes for call in Run(journal).calls()])
    cpus = sorted(cpu for cpu, _ in spent[1:])
    walls = sorted(wall for _, wall in spent[1:])
    print(f"first conversation (imports the client): {3 * spent[0][0]:.2f} s CPU")
    print(f"a turn after it: CPU median {cpus[len(cpus) // 2] * 1e3:.1f} ms, worst {cpus[-1] * 1e3:.1f} ms")
    print(f"                 wall median {walls[len(walls) // 2] * 1e3:.1f} ms (with the scripted server's answer)")
    print(f"requests, without the provider's wrapping: {sizes[-1]} bytes")


if __name__ == "__main__":
    raise SystemExit(main())

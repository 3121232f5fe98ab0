"""What scanning costs with 100, 500 and 2,000 patterns of the library, and what compiling them costs once.

python benchmarks/distil/patterns.py LOG [--counts 100,500,2000] [--runs 5]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from devops_agent.distil.stored import Stored
from devops_agent.distil.windows import windows
from devops_agent.runbooks.load import library
from devops_agent.scan import Signatures


def main() -> None:
    """Print one row for each number of patterns."""
    parser = argparse.ArgumentParser()
    parser.add_argument("log", type=Path)
    parser.add_argument("--counts", default="100,500,2000")
    parser.add_argument("--runs", type=int, default=5)
    given = parser.parse_args()
    patterns = library().signatures()
    first = 0.0
    print(f"{'patterns':>8} {'anchors':>8} {'first s':>8} {'wall s':>8} {'CPU s':>8} {'MB/s CPU':>9} {'ratio':>6}")
    for count in (int(each) for each in given.counts.split(",")):
        with tempfile.TemporaryDirectory() as folder, Stored(given.log) as stored:
            signatures = Signatures(patterns[:count], Path(folder) / "compiled")
            begun = time.perf_counter()
            windows(stored, signatures)
            compiled = time.perf_counter() - begun
            walls, cpus = [], []
            for _ in range(given.runs):
                wall, cpu = time.perf_counter(), time.process_time()
                windows(stored, signatures)
                walls.append(time.perf_counter() - wall)
                cpus.append(time.process_time() - cpu)
            used = statistics.median(cpus)
            first = first or used
            print(
                f"{count:>8} {len(signatures.anchors()):>8} {compiled:>8.3f}"
                f" {statistics.median(walls):>8.3f} {used:>8.3f}"
                f" {stored.size / 1e6 / used:>9.0f} {used / first:>6.2f}"
            )


if __name__ == "__main__":
    main()

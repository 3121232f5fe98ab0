"""CPU, wall time and peak memory of `devops-agent diagnose`, cold and warm, with the library as it is or grown."""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

PACKAGE = Path(__file__).resolve().parents[2] / "src" / "devops_agent"
LOG = """building
Error: listen EADDRINUSE: address already in use :::3000
    at Server.setupListenHandle [as _listen2] (node:net:1817:16)
##[error]Process completed with exit code 1.
"""
# The kernel counts the parent's peak memory for a child that it starts, so a small process stands between.
LAUNCH = """
import os, sys, time
start = time.perf_counter()
pid = os.fork()
if not pid:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.execv(sys.argv[1], sys.argv[1:])
_, status, use = os.wait4(pid, 0)
print(os.waitstatus_to_exitcode(status), time.perf_counter() - start, use.ru_utime + use.ru_stime, use.ru_maxrss / 1024)
"""
Figures = tuple[float, float, float]


def main() -> int:
    """Measure and print; 1 where a bound is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runbooks", type=int, default=0, help="grow the library to so many files")
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        source = Path(work, "src")
        fresh(source, given.runbooks)
        count = len(list(source.rglob("library/**/*.yaml")))
        cold = [run(copy(source, Path(work, f"cold{n}")), Path(work)) for n in range(max(3, given.runs // 3))]
        warm = [run(source, Path(work)) for _ in range(given.runs + 1)][1:]
    rows = {"runbooks": count, "cold": summary(cold), "warm": summary(warm)}
    if given.json:
        print(json.dumps(rows, indent=2))
    else:
        print(
            f"diagnose of a small log, {count} runbooks, {os.cpu_count()} processors, Python {sys.version.split()[0]}"
        )
        for name in ("cold", "warm"):
            print(
                "  {0}: wall {wall:.3f} s, CPU {cpu:.3f} s (most {cpu_max:.3f}), peak {mb:.0f} MB".format(
                    name, **rows[name]
                )
            )
    return int(max(rows["cold"]["cpu_max"], rows["warm"]["cpu_max"]) > 0.6 or rows["cold"]["mb"] > 80)


def fresh(target: Path, count: int) -> None:
    """A copy of the package with its library grown and parsed, and nothing compiled."""
    shutil.copytree(PACKAGE, target / "devops_agent", ignore=shutil.ignore_patterns("__pycache__", "library.json"))
    library = target / "devops_agent" / "runbooks" / "library"
    known = sorted(library.rglob("*.yaml"))
    for number in range(max(0, count - len(known))):
        vary(known[number % len(known)], number)
    subprocess.run(
        [sys.executable, "-m", "devops_agent.runbooks.load"], env=env(target), check=True, stdout=subprocess.DEVNULL
    )
    for folder in target.rglob("__pycache__"):
        shutil.rmtree(folder)


def copy(source: Path, target: Path) -> Path:
    """The same again, with times kept (the parsed library is checked against them)."""
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    return target


def vary(file: Path, number: int) -> None:
    """A runbook like this one for a technology that does not exist."""
    data = yaml.safe_load(file.read_text(encoding="utf-8"))
    data["id"] = f"{data['id']}_variant{number}"
    for role in ("any", "all"):
        if data["match"].get(role):
            patterns = data["match"][role]
            data["match"][role] = [behind(f"technology{number}", each) for each in patterns]
    data["examples"] = {"match": [f"technology{number}"], "ignore": ["nothing of the kind"]}
    file.with_name(f"{data['id']}.yaml").write_text(yaml.safe_dump(data, allow_unicode=True), encoding="utf-8")


def behind(word: str, pattern: str | dict[str, str]) -> str | dict[str, str]:
    """The pattern behind a word of its own, its flags still in front."""
    if isinstance(pattern, dict):
        return {name: behind(word, value) if name == "text" else value for name, value in pattern.items()}
    flags = re.match(r"\(\?[a-z]+\)", pattern)
    head = flags[0] if flags else ""
    return f"{head}{word}: (?:{pattern[len(head) :]})"


def env(source: Path) -> dict[str, str]:
    """Nothing of the developer's own settings; compiled files are kept, as Python does unless it is told not to."""
    others = ("DEVOPS_AGENT_", "OPEN", "PYTHON")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(others)}
    return {**kept, "PYTHONPATH": str(source)}


def run(source: Path, work: Path) -> Figures:
    """Wall time, CPU seconds and megabytes of one run with an empty data folder."""
    log = work / "small.log"
    log.write_text(LOG)
    with tempfile.TemporaryDirectory(dir=work) as data:
        began = time.monotonic()
        argv = [sys.executable, "-m", "devops_agent", "diagnose", str(log), "--json"]
        ran = subprocess.run(
            [sys.executable, "-I", "-S", "-c", LAUNCH, *argv],
            env={**env(source), "DEVOPS_AGENT_DATA_DIR": data},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
    code, wall, cpu, megabytes = ran.stdout.split()
    if code != "3":
        raise SystemExit(f"diagnose ended with {code} after {time.monotonic() - began:.1f} s: {ran.stderr[-500:]}")
    return float(wall), float(cpu), float(megabytes)


def summary(runs: list[Figures]) -> dict[str, float]:
    """Medians, and the most CPU."""
    wall, cpu, megabytes = zip(*runs, strict=True)
    median = statistics.median
    return {"wall": median(wall), "cpu": median(cpu), "cpu_max": max(cpu), "mb": median(megabytes)}


if __name__ == "__main__":
    sys.exit(main())

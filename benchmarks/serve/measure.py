"""The service under load, as ratios against the least that Flask can do under the same gunicorn.

    python benchmarks/serve/measure.py [--seconds 5] [--rounds 3] [--clients 8] [--jobs 10000] [--same] [--without-walk]
                                       [--json FILE]

Both servers run at the same time and are asked in turns, so that what else the machine does hits both alike. Beside the
rates, the processor time that each request costs the server is given: it does not depend on who else is running.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
from load import Load, ask, fire
from logs import small

HERE = Path(__file__).parent


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--same", action="store_true", help="the same log every time")
    parser.add_argument("--without-walk", action="store_true", help="sync alone, as if the work on a log cost nothing")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    number = iter(range(10**9))

    def body() -> bytes:
        return json.dumps({"errors": [{"context": small(1 if given.same else next(number))}]}).encode()

    figures: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as folder, servers(Path(folder), given) as (peer, agent):
        figures["ready"] = {"peer": round(peer.ready, 2), "agent": round(agent.ready, 2)}
        rest = {"agent": agent.memory(), "peer": peer.memory()}
        pairs = (
            ("sync", ("POST", "/bare", body), ("POST", "/process_errors", body)),
            ("async", ("POST", "/row", body), ("POST", "/process_errors_async", body)),
        )
        for name, theirs, ours in pairs[:1] if given.without_walk else pairs:
            figures[name] = compare(name, peer, theirs, agent, ours, given)
            drain(agent)
        if not given.without_walk:
            figures["queue"] = queued(agent, body, given.jobs, given.clients)
        figures["memory"] = {"at rest": rest, "after": {"agent": agent.memory(), "peer": peer.memory()}}
        print(f"memory, MB: {figures['memory']}")
    if given.json:
        given.json.write_text(json.dumps(figures, indent=2))


class Server:
    """A server process with its children."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, begun: float, address: str) -> None:
        self.process, self.port = process, port
        deadline = time.monotonic() + 30
        while True:
            with contextlib.suppress(OSError):
                if ask(port, "GET", address)[0] == 200:
                    break
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit("a server does not start")
            time.sleep(0.01)
        self.ready = time.monotonic() - begun

    def _all(self) -> list[psutil.Process]:
        top = psutil.Process(self.process.pid)
        return [top, *top.children(recursive=True)]

    def cpu(self) -> float:
        """Seconds of processor time so far."""
        return sum(sum(each.cpu_times()[:2]) for each in self._all())

    def memory(self) -> int:
        """Megabytes, shared pages counted once."""
        return sum(each.memory_full_info().pss for each in self._all()) >> 20


@contextlib.contextmanager
def servers(folder: Path, given: argparse.Namespace) -> Iterator[tuple[Server, Server]]:
    """The peer and the agent, each with its folder; ended at the end."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("DEVOPS_AGENT_")}
    env = {**clean, "DEVOPS_AGENT_DATA_DIR": str(folder / "data"), "PEER_FILE": str(folder / "peer.db")}
    env["WEB_CONCURRENCY"] = str(given.processes)
    service = [str(HERE / "without_walk.py")] if given.without_walk else ["-m", "devops_agent"]
    started = []
    try:
        for words, address in (
            ([sys.executable, str(HERE / "peer.py"), "{port}"], "/health"),
            ([sys.executable, *service, "serve", "--port", "{port}"], "/health"),
        ):
            port = free_port()
            begun = time.monotonic()
            command = [word.format(port=port) for word in words]
            quiet = (folder / f"{port}.log").open("wb")
            process = subprocess.Popen(command, env=env, cwd=folder, stdout=quiet, stderr=quiet)
            started.append((process, port, begun, address))
        made = [Server(*each) for each in started]
        yield made[0], made[1]
    finally:
        for process, *_ in started:
            process.send_signal(signal.SIGTERM)
        for process, *_ in started:
            process.wait(60)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def compare(name: str, peer: Server, theirs: tuple, agent: Server, ours: tuple, given: argparse.Namespace) -> dict:
    """Rates and processor time of both, in turns."""
    rounds: list[tuple[float, float]] = []
    cpu: dict[str, list[float]] = {"peer": [], "agent": []}
    latencies: list[float] = []
    last: Load | None = None
    for _ in range(given.rounds):
        pair = []
        for who, server, call in (("peer", peer, theirs), ("agent", agent, ours)):
            before = server.cpu()
            last = fire(server.port, *call, clients=given.clients, seconds=given.seconds)
            if last.bad:
                raise SystemExit(f"{name}: {who} answered {last.bad}")
            if who == "agent" and name == "async":
                rate_cpu = server.cpu() - before
                drain(agent)
                cpu[who].append(rate_cpu / last.done * 1000)
            else:
                cpu[who].append((server.cpu() - before) / last.done * 1000)
            pair.append(last.done / last.seconds)
        latencies += last.latencies if last else []
        rounds.append((pair[0], pair[1]))
    ratio = statistics.median(ours / theirs for theirs, ours in rounds)
    latencies.sort()
    found = {
        "ratio": round(ratio, 3),
        "peer_per_second": round(statistics.median(each for each, _ in rounds)),
        "agent_per_second": round(statistics.median(each for _, each in rounds), 1),
        "agent_cpu_ms": round(statistics.median(cpu["agent"]), 2),
        "peer_cpu_ms": round(statistics.median(cpu["peer"]), 2),
        **{
            f"p{at}_ms": round(latencies[min(len(latencies) - 1, len(latencies) * at // 100)] * 1000, 1)
            for at in (50, 95, 99)
        },
    }
    print(f"{name}: {found}", flush=True)
    return found


def drain(agent: Server) -> None:
    """Wait until nothing is queued."""
    while unfinished(agent):
        time.sleep(0.2)


def unfinished(agent: Server) -> int:
    """Jobs that have not ended, by the database that the agent writes."""
    counts = statuses(agent)
    return sum(number for status, number in counts.items() if status not in ("done", "error"))


def statuses(agent: Server) -> dict[str, int]:
    """How many jobs there are of each status."""
    import sqlite3

    environ = psutil.Process(agent.process.pid).environ()
    file = Path(environ["DEVOPS_AGENT_DATA_DIR"]) / "devops_agent.db"
    with contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=30)) as connection:
        return dict(connection.execute("SELECT status, count(*) FROM job GROUP BY status"))


def queued(agent: Server, body: Callable[[], bytes], number: int, clients: int) -> dict:
    """Queue so many jobs, and wait until all have ended: none is lost, none failed."""
    before = statuses(agent)
    begun = time.monotonic()
    load = fire(agent.port, "POST", "/process_errors_async", body, clients=clients, number=number)
    accepted = time.monotonic() - begun
    drain(agent)
    seconds = time.monotonic() - begun
    after = statuses(agent)
    found = {
        "accepted": load.done,
        "refused": load.bad,
        "done": after.get("done", 0) - before.get("done", 0),
        "error": after.get("error", 0) - before.get("error", 0),
        "accepted_seconds": round(accepted, 1),
        "finished_seconds": round(seconds, 1),
        "jobs_per_second": round(number / seconds, 1),
        "lost": load.done - sum(after.values()) + sum(before.values()),
    }
    print(f"queue: {found}", flush=True)
    return found


if __name__ == "__main__":
    main()

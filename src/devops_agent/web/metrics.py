"""What can be measured, as Prometheus reads it at `/metrics`.

gunicorn runs several processes, and any of them may be asked: each writes its numbers into files of one folder, made
empty when the service starts, and the one that is asked adds them up (`prepare` names the folder before
`prometheus_client` is imported, which decides by it). What lies in the database is asked there at that moment.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Response, current_app, g, request

from devops_agent import seen

if TYPE_CHECKING:
    from flask import Flask
    from prometheus_client.core import GaugeMetricFamily

    from devops_agent.model import Report
    from devops_agent.web.backend import Backend

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
blueprint = Blueprint("metrics", __name__)
_STAGES = (0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0)
_REQUESTS = (0.002, 0.01, 0.05, 0.25, 1.0, 5.0, 30.0)


def prepare(data_dir: Path) -> None:
    """Name the folder for the numbers of all processes and make it empty, before any of them starts."""
    if FOLDER not in os.environ:
        folder = data_dir / "metrics" / str(os.getpid())
        for old in (data_dir / "metrics").glob("*"):
            if old.name.isdigit() and not Path("/proc", old.name).exists():
                shutil.rmtree(old, ignore_errors=True)
        os.environ[FOLDER] = str(folder)
    folder = Path(os.environ[FOLDER])
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for file in folder.glob("*.db"):
        file.unlink(missing_ok=True)


def forget(pid: int) -> None:
    """A process has ended: what was true of it only while it lived counts no more."""
    from prometheus_client import multiprocess

    if FOLDER in os.environ:
        multiprocess.mark_process_dead(pid)  # type: ignore[no-untyped-call]


@blueprint.get("/metrics")
def metrics() -> Response:
    """The numbers of all processes, and those that the database knows."""
    from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest, multiprocess

    from devops_agent.web import auth
    from devops_agent.web.problems import Forbidden

    if auth.caller().places is not None:
        raise Forbidden("these numbers are of all places; your key is for some only")
    backend: Backend = current_app.extensions["devops_agent"]
    registry = CollectorRegistry()
    registry.register(Queue(backend))
    if FOLDER in os.environ:
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        text = generate_latest(registry)
    else:
        text = generate_latest(registry) + generate_latest(REGISTRY)
    return Response(text, content_type=CONTENT_TYPE_LATEST)


def register(app: Flask) -> None:
    """Measure this application, from its first request on."""
    app.register_blueprint(blueprint)

    def begin() -> None:
        g.begun = time.perf_counter()

    def finish(response: Response) -> Response:
        rule = request.url_rule.rule if request.url_rule else "none"
        known = numbers()
        _of(known.requests, request.method if request.url_rule else "any", rule, str(response.status_code)).inc()
        if "begun" in g:
            _of(known.request_seconds, rule).observe(time.perf_counter() - g.begun)
        return response

    app.before_request(begin)
    app.after_request(finish)


def follow() -> None:
    """Count what is told in this process."""
    seen.watch(_Timed)
    seen.listen(_told)


class _Numbers:
    """Everything that is counted as it happens."""

    def __init__(self) -> None:
        from prometheus_client import Counter, Gauge, Histogram

        name = "devops_agent_"
        self.requests = Counter(
            f"{name}http_requests", "Requests answered, by route and status.", ("method", "route", "status")
        )
        self.request_seconds = Histogram(
            f"{name}http_request_seconds", "Time until a request was answered.", ("route",), buckets=_REQUESTS
        )
        self.stages = Histogram(f"{name}stage_seconds", "Time that a stage of a job took.", ("stage",), buckets=_STAGES)
        self.jobs = Counter(f"{name}jobs", "Jobs that have ended, by outcome.", ("outcome",))
        self.causes = Counter(f"{name}causes", "Jobs that have ended, by the cause that was named.", ("cause",))
        self.actions = Counter(f"{name}actions", "Actions carried out, by tool and outcome.", ("tool", "status"))
        self.tokens = Counter(f"{name}model_tokens", "Tokens of calls to models.", ("direction",))
        self.calls = Counter(f"{name}model_requests", "Calls to models.", ())
        self.dollars = Counter(f"{name}model_dollars", "What calls to models cost, as far as their price is known.", ())
        self.streams = Gauge(f"{name}streams_open", "Streams of events that are open.", multiprocess_mode="livesum")


_known: _Numbers | None = None
_lock = threading.Lock()


def numbers() -> _Numbers:
    """What is counted in this process; made when first asked for."""
    global _known  # noqa: PLW0603 (one registry per process, as prometheus_client has it)
    if _known is None:
        with _lock:
            _known = _known or _Numbers()
    return _known


@cache
def _of(metric: Any, *labels: str) -> Any:
    """The number of a metric with these labels, looked up once."""
    return metric.labels(*labels)


class _Timed:
    """Around one stage: how long it took."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __enter__(self) -> None:
        self.begun = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        _of(numbers().stages, seen.kind(self.path)).observe(time.perf_counter() - self.begun)


def _told(what: str, facts: Mapping[str, Any]) -> None:
    known = numbers()
    if what == "job":
        _ended(known, facts["made"])
    elif what == "streams":
        known.streams.set(facts["open"])


def _ended(known: _Numbers, made: Report) -> None:
    last = made.attempts[-1].diagnosis if made.attempts else None
    _of(known.jobs, made.status).inc()
    _of(known.causes, last.cause if last is not None and last.failure else "none").inc()
    for attempt in made.attempts:
        tools = {each.id: each.tool for each in attempt.plan.actions} if attempt.plan else {}
        for outcome in attempt.outcomes:
            known.actions.labels(tools.get(outcome.action_id, "none"), outcome.status).inc()
    if made.usage.requests:
        known.calls.inc(made.usage.requests)
        known.dollars.inc(made.usage.dollars)
        known.tokens.labels("in").inc(made.usage.tokens_in)
        known.tokens.labels("out").inc(made.usage.tokens_out)


class Queue:
    """What the database knows at the moment."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Jobs that have not ended, how long the oldest has been due, and what waits for a person."""
        from prometheus_client.core import GaugeMetricFamily

        from devops_agent.jobs.pressure import pressure

        found = pressure(self.backend.jobs.engine)
        jobs = GaugeMetricFamily("devops_agent_jobs_open", "Jobs that have not ended, by status.", labels=["status"])
        for status, number in found.open.items():
            jobs.add_metric([status], number)
        yield jobs
        yield GaugeMetricFamily(
            "devops_agent_queue_age_seconds", "How long the oldest job that is due has been so.", found.oldest
        )
        yield GaugeMetricFamily(
            "devops_agent_approvals_waiting", "Plans that wait for a person's approval.", found.approvals
        )
        yield GaugeMetricFamily(
            "devops_agent_halts", "Halts in force: nothing is changed, or not in some places.", found.halts
        )

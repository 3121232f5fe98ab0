"""The service on a loopback port, with real jobs in a real database; only the planner is chosen by the test."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
from werkzeug.serving import WSGIRequestHandler, make_server

from devops_agent.config import Settings
from devops_agent.errors import PlannerError
from devops_agent.inventory import Place
from devops_agent.policy import Fit, Policy
from devops_agent.web import create_app
from devops_agent.web.backend import Backend
from pipeline_parts import Wanting, agent, healthy_when, step

ASK = Policy((("ask", Fit()),))


class Failing(Wanting):
    """Proposes its steps, but cannot cope with logs that say so."""

    def diagnose(self, digest: Any, history: Any, look: Any) -> Any:
        text = " ".join(each.text for each in digest.evidence)
        if "planner fails" in text:
            raise PlannerError("the planner could not come to a conclusion")
        if "planner breaks" in text:
            raise ZeroDivisionError("secret internals")
        return super().diagnose(digest, history, look)


class Service(NamedTuple):
    """A running service: how to talk to it, what is behind it, and the file that its plan writes."""

    http: httpx.Client
    backend: Backend
    file: Path
    app: Any = None

    def post(self, *contexts: str, address: str = "/process_errors", **more: Any) -> httpx.Response:
        return self.http.post(address, json={"errors": [{"context": each} for each in contexts], **more})


@contextmanager
def serving(
    folder: Path, policy: Policy = ASK, planner: Any = None, work: bool = True, **settings: Any
) -> Iterator[Service]:
    """The service until the block ends."""
    file = folder / "file"
    place = Place(healthy_when(file, "x"), folder=folder)
    made = Settings(data_dir=folder / "data", patience_seconds=0, **settings)
    doing = agent(planner or Failing([[step(file)]]), made.data_dir, place, policy)
    app = create_app(made, doing, work=work)

    class Quiet(WSGIRequestHandler):
        protocol_version = "HTTP/1.1"

        def log(self, *args: Any) -> None: ...

    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Quiet)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    backend = app.extensions["devops_agent"]
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{server.server_port}", timeout=30) as client:
            yield Service(client, backend, file, app)
    finally:
        server.shutdown()
        backend.stop()
        server.server_close()

"""Traces: everything in order, masked, as text, data and a page; as spans at a real OTLP receiver on loopback."""

from __future__ import annotations

import gzip
import http.server
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from devops_agent import bootstrap
from devops_agent.config import Settings
from devops_agent.jobs import traces
from devops_agent.jobs.store import Jobs
from devops_agent.model import Evidence, Incident, ModelCall, Report, keep
from devops_agent.trace import Trace, to_text, trace
from devops_agent.trace.html import page
from devops_agent.trace.spans import trace_id
from devops_agent.usage import FunctionCall

SECRET = "hunter2-hunter2"
TAKEN = "Error: listen EADDRINUSE: address already in use :::39999 <script>alert(1)</script>"
LOG = f"DB_PASSWORD={SECRET}\n{TAKEN}\nexit code 1\n"


class Receiver:
    """An OTLP collector's /v1/traces: keeps the spans that it was sent."""

    def __init__(self) -> None:
        self.requests: list[Any] = []
        requests = self.requests

        class Answer(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

                body = self.rfile.read(int(self.headers["Content-Length"]))
                body = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
                requests.append((self.path, ExportTraceServiceRequest.FromString(body)))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *words: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def spans(self) -> list[Any]:
        return [
            span
            for _, request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    pytest.importorskip("opentelemetry.sdk")
    made = Receiver()
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "shop.yaml").write_text(yaml.safe_dump({"services": {"shop": {"ports": [39999]}}}))
    (tmp_path / "failing.log").write_text(LOG)
    return tmp_path


def run(place: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "OPEN"))}
    environment |= {
        "DEVOPS_AGENT_DATA_DIR": str(place / "data"),
        "DEVOPS_AGENT_INVENTORY": str(place / "shop.yaml"),
        **more,
    }
    argv = [sys.executable, "-m", "devops_agent", *words]
    return subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=90, check=False)


def handled(place: Path, **more: str) -> str:
    ended = run(place, "handle", str(place / "failing.log"), "--json", "--dry-run", **more)
    assert ended.returncode in (0, 3), ended.stderr
    return str(json.loads(ended.stdout)["job"])


def attributes(span: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in span.attributes}


def test_a_trace_as_text_data_and_page(place: Path) -> None:
    job = handled(place)
    told = run(place, "trace", job)
    assert told.returncode == 0, told.stderr
    assert re.search(r"look +port_owner\(port=39999", told.stdout)
    data = json.loads(run(place, "trace", job, "--json").stdout)
    assert [each["name"] for each in data["entries"]][:2] == ["distil", "health"]
    assert {"look", "stage", "decision"} <= {each["kind"] for each in data["entries"]}
    times = [each["ended"] for each in data["entries"]]
    assert times == sorted(times)
    file = place / "trace.html"
    assert run(place, "trace", job, "--html", str(file)).returncode == 0
    text = file.read_text()
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    for shown in (told.stdout, json.dumps(data), text):
        assert SECRET not in shown
    assert run(place, "trace", "job_x").returncode == 2


def test_spans_reach_a_collector_and_say_what_happened(place: Path, receiver: Receiver) -> None:
    job = handled(place, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url)
    assert receiver.requests[0][0] == "/v1/traces"
    spans = receiver.spans()
    root = next(each for each in spans if each.name == "invoke_agent devops_agent")
    assert int.from_bytes(root.trace_id) == trace_id(job)
    assert attributes(root)["devops_agent.job"] == job
    assert {each.trace_id for each in spans} == {root.trace_id}
    assert {each.parent_span_id for each in spans if each is not root} == {root.span_id}
    assert all(root.start_time_unix_nano <= each.start_time_unix_nano <= each.end_time_unix_nano for each in spans)
    looks = [attributes(each) for each in spans if each.name.startswith("execute_tool ")]
    assert {each["gen_ai.operation.name"] for each in looks} == {"execute_tool"}
    assert "port_owner" in {each["gen_ai.tool.name"] for each in looks}
    assert {"distil", "diagnosis", "plan", "review"} <= {each.name for each in spans}
    assert SECRET not in str(receiver.requests)
    service = receiver.requests[0][1].resource_spans[0].resource
    assert attributes(service)["service.name"] == "devops_agent"


def test_a_collector_that_is_not_there_harms_nobody(place: Path) -> None:
    handled(place, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9", OTEL_EXPORTER_OTLP_TIMEOUT="1")


def with_calls() -> Trace:
    """A trace with calls to a model, one of which failed."""
    call = ModelCall(
        turn=1,
        model="gpt-4o",
        provider="openai",
        system="You are",
        sent=({"role": "user", "content": f"password={SECRET}"},),
        calls=(FunctionCall(id="c1", name="port_owner", args={"port": 1}),),
        finish="tool_calls",
        tokens_in=900,
        tokens_out=20,
        dollars=0.0025,
        seconds=1.5,
    )
    failed = call.model_copy(update={"turn": 2, "error": "429 too many requests", "calls": (), "dollars": 0.0})
    look = Evidence(id="port_owner(port=1)#1", source="port_owner", text="listening: False", data={"listening": False})
    rows = [
        ("0/model/1", keep(call), 12.0),
        ("0/look/port_owner(port=1)#1", keep(look), 12.5),
        ("0/model/2", keep(failed), 15.0),
    ]
    made = Report(job="job_1", incident=Incident(id="i", title="t"), status="unresolved", summary="It is.")
    return trace(made, rows, 10.0, 20.0)


def test_calls_to_models_are_counted_and_shown_whole() -> None:
    made = with_calls()
    assert (made.usage.requests, made.usage.tokens_in, made.usage.dollars) == (2, 1800, 0.0025)
    assert [(each.kind, each.begun, each.ended, each.good) for each in made.entries] == [
        ("model", 10.5, 12.0, True),
        ("look", 12.0, 12.5, True),
        ("model", 13.5, 15.0, False),
    ]
    assert made.entries[0].data["sent"][0]["content"].startswith("password=[redacted")
    assert "gpt-4o, turn 1: calls port_owner" in "\n".join(to_text(made))
    assert "429 too many requests" in page(made)
    assert SECRET not in page(made) + json.dumps(made.as_data())


def test_calls_to_models_are_spans_of_the_genai_conventions(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    from devops_agent.trace import spans

    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", f"{receiver.url}/v1/traces")
    sending = spans.exporter()
    assert sending is not None
    sending.send(with_calls())
    assert sending.flush()
    found = [each for each in receiver.spans() if each.name == "chat gpt-4o"]
    assert len(found) == 2
    told = attributes(found[0])
    assert (told["gen_ai.operation.name"], told["gen_ai.provider.name"]) == ("chat", "openai")
    assert (told["gen_ai.request.model"], told["gen_ai.usage.input_tokens"]) == ("gpt-4o", 900)
    assert told["gen_ai.usage.output_tokens"] == 20
    assert found[0].kind == found[0].SPAN_KIND_CLIENT
    assert found[1].status.code == found[1].status.STATUS_CODE_ERROR
    assert attributes(found[1])["error.type"]
    root = next(each for each in receiver.spans() if each.name.startswith("invoke_agent"))
    assert attributes(root)["gen_ai.usage.input_tokens"] == 1800
    sending.close()


def test_nothing_is_sent_where_nobody_asked_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from devops_agent.trace import spans

    for name in spans.ENDPOINTS:
        monkeypatch.delenv(name, raising=False)
    assert spans.exporter() is None
    monkeypatch.setenv(spans.ENDPOINTS[1], "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    assert not spans.wanted()


def test_one_that_repeats_another_shows_that_ones_trace(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    store: Jobs = bootstrap.open_jobs(settings)
    job = store.submit([bootstrap.make_incident(LOG, settings)], "test").jobs[0]
    assert traces.of_job(store, job).entries == ()
    assert traces.of_job(store, job).job == job

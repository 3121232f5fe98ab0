"""Traces as OpenTelemetry spans, where an exporter is configured (`OTEL_EXPORTER_OTLP_ENDPOINT`).

They are made from the journal when a job ends: one trace for each job, also when several processes worked on it, and
nothing is paid for it on the way. Calls to models and probes carry the attributes of the GenAI semantic conventions
(https://opentelemetry.io/docs/specs/semconv/gen-ai/); what was said to a model stays here.
"""

from __future__ import annotations

import atexit
import hashlib
import logging
import os
from typing import TYPE_CHECKING, Any

from devops_agent.trace import Entry, Trace

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

log = logging.getLogger("devops_agent.trace")
ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_NANO = 1_000_000_000
_END = 5000
_TOLD = 300


def wanted() -> bool:
    """Whether an exporter is configured, in the way that OpenTelemetry does it."""
    off = os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or os.environ.get("OTEL_TRACES_EXPORTER") == "none"
    return not off and any(os.environ.get(name) for name in ENDPOINTS)


def exporter() -> Spans | None:
    """What sends spans; None where none is wanted, or (with a warning) where the extra is not installed."""
    if not wanted():
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        log.warning("%s is set, but spans need more packages: pip install 'devops-agent[otel]'", ENDPOINTS[1])
        return None
    from devops_agent import __version__

    named = {} if os.environ.get("OTEL_SERVICE_NAME") else {"service.name": "devops_agent"}
    resource = Resource.create({**named, "service.version": __version__})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(), schedule_delay_millis=1000))
    made = Spans(provider)
    atexit.register(made.close)
    return made


def trace_id(job: str) -> int:
    """The id of a job's trace: always the same, so that one can be found from the other."""
    return int.from_bytes(hashlib.sha256(job.encode()).digest()[:16]) or 1


class Spans:
    """Sends traces through a provider."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider

    def send(self, made: Trace) -> None:
        """Hand over a job's spans; they are sent by a thread of the exporter."""
        from opentelemetry import trace as api

        tracer = self._provider.get_tracer("devops_agent")
        above = api.SpanContext(trace_id(made.job), _span_id(made.job), True, api.TraceFlags(api.TraceFlags.SAMPLED))
        root_of = api.set_span_in_context(api.NonRecordingSpan(above))
        ends = [made.ended or made.begun, *(each.ended for each in made.entries)]
        root = tracer.start_span(
            "invoke_agent devops_agent",
            context=root_of,
            kind=api.SpanKind.INTERNAL,
            attributes=_of_job(made),
            start_time=_nano(made.begun),
        )
        if made.status == "error":
            root.set_status(api.Status(api.StatusCode.ERROR, made.summary[:_TOLD]))
        inside = api.set_span_in_context(root)
        for each in made.entries:
            kind = api.SpanKind.CLIENT if each.kind == "model" else api.SpanKind.INTERNAL
            name, attributes = _of_entry(each)
            span = tracer.start_span(name, inside, kind, attributes, start_time=_nano(each.begun))
            if each.good is False and each.kind in ("model", "look", "action", "undo"):
                span.set_status(api.Status(api.StatusCode.ERROR, each.title[:_TOLD]))
            span.end(_nano(max(each.begun, each.ended)))
        root.end(_nano(max(ends)))

    def flush(self, seconds: float = 5.0) -> bool:
        """Wait until everything is sent; False where the time was not enough."""
        return self._provider.force_flush(int(seconds * 1000))

    def close(self) -> None:
        """Send what is left, for a few seconds at most."""
        self._provider.force_flush(_END)
        self._provider.shutdown()


def _of_job(made: Trace) -> dict[str, Any]:
    told: dict[str, Any] = {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.name": "devops_agent",
        "gen_ai.conversation.id": made.job,
        "devops_agent.job": made.job,
        "devops_agent.status": made.status,
        "devops_agent.title": made.title[:_TOLD],
    }
    if made.usage.requests:
        told["gen_ai.usage.input_tokens"] = made.usage.tokens_in
        told["gen_ai.usage.output_tokens"] = made.usage.tokens_out
        told["devops_agent.cost.dollars"] = made.usage.dollars
    return told


def _of_entry(each: Entry) -> tuple[str, dict[str, Any]]:
    """Name and attributes of a span."""
    told: dict[str, Any] = {"devops_agent.kind": each.kind, "devops_agent.attempt": (each.attempt or 0) + 1}
    data = each.data
    if each.kind == "model":
        told |= {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": data["provider"] or "_OTHER",
            "gen_ai.request.model": data["model"],
            "gen_ai.usage.input_tokens": data["tokens_in"],
            "gen_ai.usage.output_tokens": data["tokens_out"],
            "gen_ai.response.finish_reasons": [data["finish"] or "unknown"],
            "devops_agent.cost.dollars": data["dollars"],
        }
        return f"chat {data['model']}".strip(), told | ({"error.type": "_OTHER"} if data["error"] else {})
    if each.kind == "look":
        told |= {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": each.name, "gen_ai.tool.type": "function"}
        return f"execute_tool {each.name}", told
    if each.kind in ("action", "undo"):
        told |= {"devops_agent.action": each.name, "devops_agent.outcome": data.get("status", "")}
        return f"{each.kind} {each.name}", told
    if each.good is not None:
        told["devops_agent.good"] = each.good
    return each.name, told | {"devops_agent.says": each.title[:_TOLD]}


def _span_id(job: str) -> int:
    return int.from_bytes(hashlib.sha256(job.encode()).digest()[16:24]) or 1


def _nano(stamp: float) -> int:
    return int(stamp * _NANO)

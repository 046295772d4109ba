"""Spans as OpenTelemetry has them, exported by its SDK on a thread of its own. What it cannot send in time it drops: trading waits for nobody.

A span is made whole, with ids that we know (topics.order_traces), so its tracer, which would draw ids, has no part in this.
"""

import atexit
from pathlib import Path
from typing import Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags

from schemas.errors import OutcryError
from streams.process.spans import Tell
from topics.order_traces import Span

QUEUED_MAX: Final = 4_096
"""Spans that wait to be sent, some 2 KB each; beyond it the SDK drops."""
EXPORT_EVERY_MS: Final = 1_000
_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)
_SCOPE: Final = InstrumentationScope("open-outcry")


def teller(to: str, role: str, worker: str) -> Tell:
    """to: the URL of a collector, or a folder. Raises OutcryError."""
    processor = BatchSpanProcessor(_exporter(to, worker), max_queue_size=QUEUED_MAX, schedule_delay_millis=EXPORT_EVERY_MS)
    atexit.register(processor.shutdown)
    resource = Resource.create({"service.namespace": "open-outcry", "service.name": role, "service.instance.id": worker})

    def tell(span: Span) -> None:
        processor.on_end(readable(span, resource))

    return tell


def readable(span: Span, resource: Resource) -> ReadableSpan:
    """A span as the SDK's exporters take it."""
    parent = None if span.parent_id is None else SpanContext(span.trace_id, span.parent_id, is_remote=True, trace_flags=_SAMPLED)
    return ReadableSpan(
        span.name, SpanContext(span.trace_id, span.span_id, is_remote=False, trace_flags=_SAMPLED), parent, resource, span.attributes,
        kind=SpanKind.PRODUCER if parent is None else SpanKind.CONSUMER, start_time=span.start_ns, end_time=span.end_ns,
        instrumentation_scope=_SCOPE,
    )  # fmt: skip


def _exporter(to: str, worker: str) -> SpanExporter:
    """A file has a line of JSON for each span, as the SDK writes it."""
    if "://" in to:
        return OTLPSpanExporter(endpoint=to)
    path = Path(to) / f"{worker}.jsonl"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        out = path.open("a")
    except OSError as error:
        raise OutcryError(f"OUTCRY_TRACES: {path} cannot be written: {error.strerror}") from error
    return ConsoleSpanExporter(out=out, formatter=lambda span: span.to_json(indent=None) + "\n")

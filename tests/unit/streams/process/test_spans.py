"""Spans on their way out: off by default, into a file, to a collector; and what is wrong with a setting."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from queue import Queue

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from schemas.errors import OutcryError
from schemas.settings import Settings
from streams.process.spans import span_teller
from topics.order_traces import Span

WAIT_S = 120.0
SPAN = Span("settle", 0xABC, 0xDEF, 0x123, 1_000, 3_000, {"messaging.destination.name": "account.commands", "messaging.kafka.offset": 12})


@contextmanager
def collector() -> Iterator[tuple[str, "Queue[bytes]"]]:
    """Its address, and what it was sent."""
    bodies: Queue[bytes] = Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.put(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1/traces", bodies
    finally:
        server.shutdown()
        server.server_close()


def test_without_the_setting_nothing_is_told_and_no_package_is_loaded() -> None:
    """It costs nothing then."""
    assert span_teller(Settings(), "hold-funds") is None
    program = "import sys, streams.process.spans; sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_a_collector_gets_the_ids_that_we_know() -> None:
    """OTLP over HTTP, decoded by the protocol's own messages."""
    with collector() as (url, bodies):
        tell = span_teller(Settings(traces=url), "hold-funds")
        assert tell is not None
        tell(SPAN)
        (group,) = ExportTraceServiceRequest.FromString(bodies.get(timeout=WAIT_S)).resource_spans
    (span,) = group.scope_spans[0].spans
    assert (span.name, span.start_time_unix_nano, span.end_time_unix_nano) == ("settle", 1_000, 3_000)
    assert [int.from_bytes(one, "big") for one in (span.trace_id, span.span_id, span.parent_span_id)] == [0xABC, 0xDEF, 0x123]
    assert {one.key: one.value.string_value or one.value.int_value for one in span.attributes} == dict(SPAN.attributes)
    assert {one.key: one.value.string_value for one in group.resource.attributes}["service.name"] == "hold-funds"


def test_a_folder_gets_a_file_for_each_process_with_a_line_for_each_span(tmp_path: Path) -> None:
    """For people without a collector; a process that ends writes what it still has."""
    program = f"""
from schemas.settings import Settings
from streams.process.spans import span_teller
from topics.order_traces import Span
tell = span_teller(Settings(traces={str(tmp_path / "new")!r}, worker_instance=2), "hold-funds")
for number in range(3):
    tell(Span("settle", 5, 6 + number, None, 1, 2, {{}}))
"""
    subprocess.run([sys.executable, "-c", program], check=True)
    lines = (tmp_path / "new" / "hold-funds-2.jsonl").read_text().splitlines()
    assert [json.loads(line)["context"]["span_id"] for line in lines] == [f"0x{number:016x}" for number in (6, 7, 8)]


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """Before anything is read."""
    (tmp_path / "file").touch()
    with pytest.raises(OutcryError, match=r"OUTCRY_TRACES: .*/file/hold-funds.jsonl cannot be written"):
        span_teller(Settings(traces=str(tmp_path / "file")), "hold-funds")


@pytest.mark.parametrize("wrong", ["ftp://x/y", "http://", "http://host:port/v1/traces"])
def test_what_is_neither_a_collector_nor_a_folder_is_refused(wrong: str) -> None:
    """A file of that name would be a surprise."""
    with pytest.raises(ValueError, match="is neither http://host:port/v1/traces nor a folder"):
        Settings(traces=wrong)

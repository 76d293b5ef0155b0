"""A collector of OpenTelemetry spans in the test's process: what a service sends by OTLP over HTTP, decoded."""

from __future__ import annotations

import gzip
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Span:
    name: str
    trace: str
    id: str
    parent: str
    seconds: float
    began: float
    part: str
    service: str
    attributes: dict


class Collector:
    def __init__(self, url):
        self.url = url
        self.spans: list[Span] = []

    def of(self, trace, names, seconds=15.0):
        """Wait until spans of these names have come for a trace; return the trace's spans by name."""
        until = time.monotonic() + seconds
        while True:
            found = {span.name: span for span in self.spans if span.trace == trace}
            if set(names) <= set(found) or time.monotonic() > until:
                assert set(names) <= set(found), f"{set(names) - set(found)} did not come; came: {sorted(found)}"
                return found
            time.sleep(0.05)


def _decoded(body):
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    asked = ExportTraceServiceRequest()
    asked.ParseFromString(body)
    for resource in asked.resource_spans:
        about = {one.key: one.value.string_value for one in resource.resource.attributes}
        for scope in resource.scope_spans:
            for span in scope.spans:
                given = {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in span.attributes}
                took = (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9
                ids = span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex()
                began = span.start_time_unix_nano / 1e9
                yield Span(span.name, *ids, took, began, about.get("raykg.part", ""), about["service.name"], given)


@contextmanager
def collecting():
    """Listen until the block ends."""
    collector = Collector("")

    class Taker(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            body = gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body
            assert self.path == "/v1/traces"
            collector.spans += _decoded(body)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Taker)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    collector.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()

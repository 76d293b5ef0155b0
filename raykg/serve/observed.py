"""What the service says about itself: one log line and a few numbers for each request.

The log line carries the request's id, as the response's X-Request-ID has it and every line that Serve writes about the request, and the id
of its trace where it is traced.
The numbers are Prometheus's, at /metrics.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse

from raykg.serve.edge import REQUEST_ID, App, Receive, Scope, Send
from raykg.serve.refusal import Refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from prometheus_client import CollectorRegistry

_log = logging.getLogger("ray.serve")
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
VERSION_HEADER = b"x-kg-version"
_SAFE = [(b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store")]


class Metrics:
    """The counters of one gateway process."""

    def __init__(self) -> None:
        """Register them, with the process's memory and time beside them."""
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

        self.registry: CollectorRegistry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = Counter("raykg_requests", "Requests by route and status.", ("route", "status"), registry=self.registry)
        self.seconds = Histogram(
            "raykg_request_seconds", "Until the response was complete.", ("route",), buckets=_SECONDS, registry=self.registry
        )
        self.running = Gauge("raykg_requests_running", "Requests that run now.", registry=self.registry)
        self.answers = Counter("raykg_answers", "Answers by strategy and status.", ("model", "strategy", "status"), registry=self.registry)
        self.tokens = Counter("raykg_tokens", "Tokens read and written by the models.", ("model", "kind"), registry=self.registry)
        self.retried = Counter("raykg_retried", "Requests sent again because their replica was lost.", ("model",), registry=self.registry)

    def to_text(self) -> bytes:
        """Return Prometheus's text."""
        from prometheus_client import generate_latest

        return bytes(generate_latest(self.registry))


class Observed:
    """ASGI middleware that counts and logs requests, and writes the graph's version into every response.

    The version is what the route put into `scope["state"]["kg_version"]`, or else the current one.
    """

    def __init__(self, app: App, metrics: Metrics, version: Callable[[], str]) -> None:
        """Wrap an application."""
        self.app = app
        self.metrics = metrics
        self.version = version

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        status, began = 500, False
        state = scope.setdefault("state", {})

        async def watched(message: Any) -> None:  # noqa: ANN401 - ASGI
            nonlocal status, began
            if message["type"] == "http.response.start":
                status, began = message["status"], True
                version = str(state.get("kg_version") or self.version()).encode("latin-1", "replace")
                known = {name.lower() for name, _ in message.get("headers", [])}
                more = [(name, value) for name, value in (*_SAFE, (VERSION_HEADER, version)) if name not in known]
                message["headers"] = [*message.get("headers", []), *more]
            await send(message)

        self.metrics.running.inc()
        try:
            await self.app(scope, receive, watched)
        except Refused as refused:  # of a layer below; routes answer their own
            if began:
                raise
            await JSONResponse(refused.body(), refused.status, refused.headers())(scope, receive, watched)
        finally:
            self.metrics.running.dec()
            self._record(scope, status, time.perf_counter() - started)

    def _record(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "unmatched" if status == 404 else "other")
        self.metrics.requests.labels(route, str(status)).inc()
        self.metrics.seconds.labels(route).observe(seconds)
        given = next((value for name, value in scope["headers"] if name == REQUEST_ID.encode()), b"")
        caller = scope["state"].get("caller")
        fields = {
            "request": given.decode("latin-1"),
            "http_route": route,
            "http_status": status,
            "seconds": round(seconds, 4),
            "caller": None if caller is None else caller.id,
        }
        if trace := scope["state"].get("trace"):
            fields["trace"] = trace
        _log.info("%s %s %d", scope["method"], route, status, extra=fields)

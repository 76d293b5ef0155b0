"""OpenTelemetry traces of requests, where the config has `tracing.endpoint`; else nothing of OpenTelemetry is imported.

    begin(cfg.tracing, "gateway")                     # once in a process
    app.add_middleware(Traced)                        # a span for each HTTP request, W3C's traceparent heard
    with span("graph owner", method="edit"): ...      # a part of the request that runs
    ask = carrying(ask)                               # to another process: the field `trace` of the request,
    with joined(ask.trace, "answer", since=ask.asked): ...     # where its work is a part of the same trace

The gateway decides once whether a request is traced, and a request that says so itself is as its sender decided. Whoever waits for spans
never keeps a request waiting: they are sent in the background, and dropped where the collector does not take them.

Serve has spans of its own (proxy, routing; `tracing_config` in a Serve config file), off here because each of its processes draws lots
anew. Where an operator turns them on, the spans made here join them: a current span is always the parent. `span_processors` is then what
Serve's `exporter_import_path` names; its endpoint stands in OTEL_EXPORTER_OTLP_ENDPOINT.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from raykg.answer.phases import watched
from raykg.config.errors import RaykgError
from raykg.serve.edge import REQUEST_ID, App, Message, Receive, Scope, Send

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
    from opentelemetry.trace import Tracer

    from raykg.serve.serve_config import TracingConfig

TRACE_HEADER = b"x-trace-id"
_SENT_EVERY = 1000  # milliseconds
_SECONDS = 5.0  # for a collector to take what is sent
_UNTRACED = {"/healthz", "/readyz", "/metrics"}  # asked every few seconds by machines
_NOTHING = nullcontext()

Asked = TypeVar("Asked")


@dataclasses.dataclass(slots=True)
class _Tracing:
    provider: TracerProvider
    tracer: Tracer


_tracing: _Tracing | None = None


class TracingError(RaykgError):
    """Traces are asked for, and what exports them is not installed."""


def check(cfg: TracingConfig) -> None:
    """Refuse a config whose traces nothing here can export.

    Raises:
        TracingError: with what to install.
    """
    if cfg.endpoint is None:
        return
    try:
        import opentelemetry.exporter.otlp.proto.http.trace_exporter  # noqa: F401
    except ImportError as error:
        raise TracingError(f"tracing.endpoint ({cfg.endpoint}): needs OpenTelemetry's exporter: pip install 'raykg[tracing]'") from error


def begin(cfg: TracingConfig, part: str) -> None:
    """Trace in this process from now on, where the config has an endpoint.

    Args:
        cfg: where to, how many, under which name.
        part: what this process is, such as gateway or model films.

    Raises:
        TracingError: what exports traces is not installed.
    """
    global _tracing
    if cfg.endpoint is None or _tracing is not None:
        return
    check(cfg)
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

    resource = Resource.create({"service.name": cfg.service, "raykg.part": part})
    provider = TracerProvider(resource=resource, sampler=ParentBased(TraceIdRatioBased(cfg.sample)))
    exporter = OTLPSpanExporter(endpoint=_address(cfg.endpoint), timeout=_SECONDS)
    provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=_SENT_EVERY))
    _tracing = _Tracing(provider, provider.get_tracer("raykg"))


def end() -> None:
    """Send what is left and trace no more."""
    global _tracing
    if _tracing is not None:
        tracing, _tracing = _tracing, None
        tracing.provider.shutdown()


def span(name: str, **attributes: str | float) -> AbstractContextManager[object]:
    """Return what a part of the current request runs within; nothing where no request is traced."""
    if _tracing is None or not _sampled():
        return _NOTHING
    return _tracing.tracer.start_as_current_span(name, attributes=attributes)


def carried() -> str | None:
    """Return the current span as W3C's traceparent, None where no request is traced."""
    if _tracing is None or not _sampled():
        return None
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    return carrier.get("traceparent")


def carrying(asked: Asked) -> Asked:
    """Return a request to another process with the current span in its field `trace`."""
    trace = carried()
    if trace is None:
        return asked
    more: dict[str, Any] = {"trace": trace}
    return dataclasses.replace(asked, **more)  # type: ignore[type-var]  # a dataclass of any kind


@contextmanager
def joined(trace: str | None, name: str, since: float, **attributes: str | float) -> Iterator[None]:
    """Make the block a part of another process's trace, with its wait and the phases of its answer.

    Args:
        trace: the traceparent that came with the request; None where it is not traced.
        name: of the part.
        since: when it was asked for, in seconds of `time.time`.
        attributes: of the part.
    """
    if _tracing is None or trace is None:
        yield
        return
    start = min(since, time.time())
    made = _tracing.tracer.start_as_current_span(name, _context(trace), attributes=attributes, start_time=_nanoseconds(start))
    with made, watched(span):
        lasted("wait", start)
        yield


def lasted(name: str, since: float, trace: str | None = None, **attributes: str | float) -> None:
    """Write down a part that ends now: of the trace that came with a request, or of the current one."""
    if _tracing is None or (trace is None and not _sampled()):
        return
    context = None if trace is None else _context(trace)
    start = _nanoseconds(min(since, time.time()))
    _tracing.tracer.start_span(name, context, attributes=attributes, start_time=start).end()


class Traced:
    """ASGI middleware that makes a span of each request, but for those by which machines look whether the service lives.

    The trace's id goes into the response's X-Trace-ID and, as `scope["state"]["trace"]`, into the request's line of the log.
    """

    def __init__(self, app: App) -> None:
        """Wrap an application."""
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or _tracing is None or scope["path"].removeprefix(scope.get("root_path", "")) in _UNTRACED:
            await self.app(scope, receive, send)
            return
        from opentelemetry.trace import SpanKind, Status, StatusCode

        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        made = _tracing.tracer.start_as_current_span(scope["method"], _parent(headers), kind=SpanKind.SERVER)
        with made as current:
            if not current.is_recording():
                await self.app(scope, receive, send)
                return
            trace = f"{current.get_span_context().trace_id:032x}"
            scope.setdefault("state", {})["trace"] = trace
            current.set_attributes(
                {"http.request.method": scope["method"], "url.path": scope["path"][:200], "raykg.request_id": headers.get(REQUEST_ID, "")}
            )

            async def watched_send(message: Message) -> None:
                if message["type"] == "http.response.start":
                    current.set_attribute("http.response.status_code", message["status"])
                    if message["status"] >= 500:
                        current.set_status(Status(StatusCode.ERROR))
                    message["headers"] = [*message.get("headers", []), (TRACE_HEADER, trace.encode())]
                await send(message)

            try:
                await self.app(scope, receive, watched_send)
            finally:
                route = getattr(scope.get("route"), "path", None)
                if route is not None:
                    current.update_name(f"{scope['method']} {route}")
                    current.set_attribute("http.route", route)


def span_processors() -> list[SpanProcessor]:
    """Return what sends Serve's own spans, for Serve's `exporter_import_path`; OTEL_EXPORTER_OTLP_ENDPOINT says where to."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    return [BatchSpanProcessor(OTLPSpanExporter(timeout=_SECONDS), schedule_delay_millis=_SENT_EVERY)]


def _sampled() -> bool:
    from opentelemetry.trace import get_current_span

    return get_current_span().get_span_context().trace_flags.sampled


def _parent(headers: dict[str, str]) -> Any:  # noqa: ANN401 - OpenTelemetry's Context
    """Return the context that a request belongs to: the current span's, such as one of Serve, or else the sender's."""
    from opentelemetry.trace import get_current_span
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return None if get_current_span().get_span_context().is_valid else TraceContextTextMapPropagator().extract(headers)


def _context(trace: str) -> Any:  # noqa: ANN401 - OpenTelemetry's Context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator().extract({"traceparent": trace})


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1e9)


def _address(endpoint: str) -> str:
    """Return where spans are sent: a collector's base address, as OpenTelemetry's variables have it, is completed."""
    return endpoint if urlsplit(endpoint).path not in ("", "/") else f"{endpoint.rstrip('/')}/v1/traces"

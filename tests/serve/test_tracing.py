import asyncio
import dataclasses
import subprocess
import sys
import time

import pytest

from raykg.answer.phases import phase
from raykg.config.errors import ConfigErrors
from raykg.config.load import from_dict
from raykg.serve import tracing
from raykg.serve.edge import Edge
from raykg.serve.observed import Metrics, Observed
from raykg.serve.refusal import Refused
from raykg.serve.serve_config import ServeConfig, TracingConfig
from raykg.serve.tracing import Traced, carried, carrying, joined, lasted, span
from tests.serve.asgi import call, scope
from tests.serve.collector import collecting

pytest.importorskip(
    "opentelemetry.exporter.otlp.proto.http", reason="OpenTelemetry's exporter is not installed: pip install 'raykg[tracing]'"
)
SENDER = "00-" + "ab" * 16 + "-" + "cd" * 8


@dataclasses.dataclass(frozen=True)
class Asked:
    question: str
    trace: str | None = None


@pytest.fixture
def collector():
    with collecting() as found:
        yield found
    tracing.end()


def app_of(route):
    return Edge(Traced(Observed(route, Metrics(), lambda: "v1")), 1000, 5.0)


def request(app, path="/v1/answers", **headers):
    return call(app, scope("GET", path, headers=list(headers.items())))


async def ok(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def test_the_parts_of_a_request_stand_in_one_trace(collector):
    tracing.begin(TracingConfig(endpoint=collector.url, service="films"), "gateway")

    async def route(scope, receive, send):
        with span("ask replica", model="m", attempt=0):
            asked = carrying(Asked("who?"))
        begun = time.time() - 0.5
        with joined(asked.trace, "answer", since=begun, strategy="s"), phase("execute"):
            pass
        lasted("complete", time.time() - 0.25, asked.trace)
        await ok(scope, receive, send)

    got = request(app_of(route), traceparent=f"{SENDER}-01", **{"x-request-id": "r1"})
    assert got.header("x-trace-id") == "ab" * 16
    found = collector.of("ab" * 16, ["GET", "ask replica", "answer", "wait", "execute", "complete"])
    parents = {name: next((other.name for other in found.values() if other.id == one.parent), one.parent) for name, one in found.items()}
    assert parents == {
        "GET": "cd" * 8, "ask replica": "GET", "answer": "ask replica", "wait": "answer", "execute": "answer", "complete": "ask replica",
    }  # fmt: skip
    assert {one.service for one in found.values()} == {"films"} and {one.part for one in found.values()} == {"gateway"}
    assert found["GET"].attributes["raykg.request_id"] == "r1" and found["GET"].attributes["http.response.status_code"] == 200
    assert found["answer"].attributes == {"strategy": "s"}
    assert found["wait"].seconds == pytest.approx(0.5, abs=0.2) and found["complete"].seconds == pytest.approx(0.25, abs=0.2)


def test_a_sender_decides_and_else_the_share(collector, caplog):
    tracing.begin(TracingConfig(endpoint=collector.url, sample=0.0), "gateway")

    async def route(scope, receive, send):
        assert (carried() is None) == (scope["path"] != "/traced") and (carrying(Asked("x")).trace is None) == (scope["path"] != "/traced")
        with joined(carried(), "answer", since=time.time()), phase("execute"):
            await ok(scope, receive, send)

    app = app_of(route)
    assert request(app).header("x-trace-id") is None
    assert request(app, traceparent=f"{SENDER}-00").header("x-trace-id") is None
    assert request(app, traceparent="nonsense").header("x-trace-id") is None
    assert request(app, path="/traced", traceparent=f"{SENDER}-01").header("x-trace-id") == "ab" * 16
    collector.of("ab" * 16, ["answer"])
    assert {one.trace for one in collector.spans} == {"ab" * 16}


def test_probes_are_not_traced_and_nothing_is_outside_of_a_request(collector):
    tracing.begin(TracingConfig(endpoint=collector.url), "gateway")
    for path in ("/healthz", "/readyz", "/metrics"):
        assert request(app_of(ok), path).header("x-trace-id") is None
    with span("alone"):
        assert carried() is None
    lasted("alone", time.time())
    trace = request(app_of(ok)).header("x-trace-id")
    collector.of(trace, ["GET"])
    assert [one.name for one in collector.spans] == ["GET"]


def test_refusals_and_faults_end_their_spans(collector):
    tracing.begin(TracingConfig(endpoint=collector.url), "gateway")

    async def refuses(scope, receive, send):
        with span("ask replica", model="m"):
            raise Refused(503, "too many", retry=1.0)

    got = request(app_of(refuses))
    assert got.status == 503
    found = collector.of(got.header("x-trace-id"), ["GET", "ask replica"])
    assert found["GET"].attributes["http.response.status_code"] == 503


def test_a_collector_that_is_gone_keeps_nobody_waiting(collector):
    tracing.begin(TracingConfig(endpoint="http://127.0.0.1:9"), "gateway")
    begin = time.monotonic()
    for _ in range(200):
        assert request(app_of(ok)).status == 200
    assert time.monotonic() - begin < 15.0  # a tenth of a second for each would be 20


def test_without_an_endpoint_nothing_is_traced_or_imported():
    code = (
        "import sys\n"
        "from raykg.serve import tracing\n"
        "from raykg.serve.serve_config import TracingConfig\n"
        "tracing.begin(TracingConfig(), 'gateway')\n"
        "with tracing.span('x', a=1), tracing.joined('00-' + 'ab' * 16 + '-' + 'cd' * 8 + '-01', 'y', since=0.0):\n"
        "    assert tracing.carried() is None\n"
        "tracing.lasted('z', 0.0)\n"
        "found = [name for name in sys.modules if name.startswith('opentelemetry')]\n"
        "assert not found, found[:3]\n"
        "import raykg.serve.gateway\n"  # FastAPI imports the interface by itself; what makes and sends spans is not
        "found = [name for name in sys.modules if name.startswith(('opentelemetry.sdk', 'opentelemetry.exporter'))]\n"
        "assert not found, found[:3]\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    app = app_of(ok)
    assert request(app, traceparent=f"{SENDER}-01").header("x-trace-id") is None
    asked = Asked("x")
    assert carrying(asked) is asked and asyncio.run(_nothing()) is None


async def _nothing():
    with span("x"):
        return carried()


def test_what_is_missing_is_said_with_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    tracing.check(TracingConfig())
    with pytest.raises(tracing.TracingError, match=r"tracing.endpoint \(http://c:4318\).*pip install 'raykg\[tracing\]'"):
        tracing.check(TracingConfig(endpoint="http://c:4318"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"endpoint": "collector:4318"}, "must be an address such as"),
        ({"endpoint": "http://c", "sample": 1.5}, "sample"),
        ({"ratio": 1}, "ratio"),
    ],
)
def test_mistakes_are_said(settings, message):
    with pytest.raises(ConfigErrors, match=message):
        from_dict(ServeConfig, {"models": {"m": "x"}, "tracing": settings})


@pytest.mark.parametrize(
    ("endpoint", "address"),
    [("http://c:4318", "http://c:4318/v1/traces"), ("http://c:4318/", "http://c:4318/v1/traces"), ("https://c/otlp/x", "https://c/otlp/x")],
)
def test_a_collectors_base_address_is_completed(endpoint, address):
    assert tracing._address(endpoint) == address


def test_serves_own_spans_can_be_sent_too(collector, monkeypatch):
    from opentelemetry.sdk.trace import TracerProvider

    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    provider = TracerProvider()  # as Serve makes it, of what `exporter_import_path` returns
    for one in tracing.span_processors():
        provider.add_span_processor(one)
    tracing.begin(TracingConfig(endpoint=collector.url), "gateway")
    with provider.get_tracer("serve").start_as_current_span("proxy_http_request") as serves:
        trace = f"{serves.get_span_context().trace_id:032x}"
        assert request(app_of(ok), traceparent=f"{SENDER}-01").header("x-trace-id") == trace
    provider.shutdown()
    found = collector.of(trace, ["proxy_http_request", "GET"])
    assert found["GET"].parent == found["proxy_http_request"].id

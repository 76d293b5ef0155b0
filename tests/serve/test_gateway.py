import asyncio

import httpx
import pytest

from raykg.config.load import from_dict
from raykg.serve.backend import Backend
from raykg.serve.followed import FixedGraph
from raykg.serve.gateway import make_app
from raykg.serve.observed import Metrics
from raykg.serve.replicas import Reply
from raykg.serve.serve_config import ServeConfig
from tests.graphs import film_graph
from tests.serve.test_backend import Handle


@pytest.fixture
def make(tmp_path):
    """Return a function that makes the application over replicas that give outcomes one after another."""
    graph = FixedGraph(film_graph(tmp_path / "store"))

    def make(*outcomes, **changes):
        cfg = from_dict(ServeConfig, {"models": {"m": "x"}, "storage": str(tmp_path / "serving"), **changes})

        async def ready():
            return {"ready": False, "deployments": {"m": {"starting": 1}}}

        return make_app(cfg, Backend(cfg, {"m": Handle(*outcomes)}, Metrics(), ready), graph)

    return make


def request(app, method, path, **more):
    async def run():
        transport = httpx.ASGITransport(app, client=("127.0.0.1", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.request(method, path, **more)

    return asyncio.run(run())


def test_the_document_names_every_route(make):
    got = request(make(), "GET", "/openapi.json").json()
    assert {"/v1/models", "/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/answers", "/v1/answers:batch"} <= set(
        got["paths"]
    )
    assert {"/v1/kg/query", "/v1/kg/proposals", "/v1/kg/triples", "/healthz", "/readyz", "/metrics"} <= set(got["paths"])
    assert "/" not in got["paths"] and "/v1/responses" not in got["paths"]


def test_not_ready_is_503(make):
    got = request(make(), "GET", "/readyz")
    assert (got.status_code, got.headers["retry-after"], got.json()["ready"]) == (503, "2", False)


def test_the_page_is_there_under_its_policy(make):
    got = request(make(), "GET", "/")
    assert got.status_code == 200 and "default-src 'self'" in got.headers["content-security-policy"]


@pytest.mark.parametrize(
    ("method", "path", "more", "status", "code"),
    [
        ("GET", "/nowhere", {}, 404, "not_found"),
        ("DELETE", "/v1/answers", {}, 405, "method_not_allowed"),
        ("DELETE", "/v1/kg/snapshots", {}, 405, "method_not_allowed"),
        ("PUT", "/v1/models/m", {}, 405, "method_not_allowed"),
        ("POST", "/v1/answers", {"json": {}}, 400, "missing_required_parameter"),
        ("POST", "/v1/answers", {"json": {"question": "x", "y": 1}}, 400, "unknown_parameter"),
        ("POST", "/v1/answers", {"json": [1]}, 400, "invalid_json"),
        ("POST", "/v1/answers", {}, 400, "invalid_json"),
        ("POST", "/v1/answers", {"content": b"{"}, 415, "unsupported_media_type"),
        ("GET", "/v1/responses", {}, 404, "unsupported_endpoint"),
        ("POST", "/v1/kg/triples", {"json": {"add": []}}, 409, "no_live_graph"),
        ("POST", "/v1/kg/snapshots", {"json": {}}, 403, "forbidden"),
    ],
)
def test_errors_have_one_form(make, method, path, more, status, code):
    got = request(make(), method, path, **more)
    assert (got.status_code, got.json()["error"]["code"]) == (status, code), got.text
    assert set(got.json()) == {"error"} and set(got.json()["error"]) == {"message", "type", "param", "code"}
    assert got.headers["x-kg-version"] and got.headers["x-content-type-options"] == "nosniff"
    if status == 405:
        assert got.headers["allow"] == {"/v1/answers": "POST", "/v1/kg/snapshots": "GET, POST", "/v1/models/m": "GET"}[path]


def test_no_page_of_another_site_may_read_unless_the_config_says_so(make):
    origin = {"Origin": "https://films.example"}
    assert "access-control-allow-origin" not in request(make(), "GET", "/healthz", headers=origin).headers
    app = make(http={"cors": ["https://films.example"]})
    got = request(app, "GET", "/nowhere", headers=origin)
    assert (
        got.headers["access-control-allow-origin"] == "https://films.example"
        and "X-KG-Version" in got.headers["access-control-expose-headers"]
    )
    assert "access-control-allow-origin" not in request(app, "GET", "/healthz", headers={"Origin": "https://evil.example"}).headers
    asked = origin | {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "Authorization,Content-Type"}
    assert request(app, "OPTIONS", "/v1/answers", headers=asked).status_code == 200


def test_an_answer_passes_through(make):
    record = {"strategy": "s", "status": "answered", "kg": {"version": "v9"}}
    reply = Reply(record=record, text="x", finish="stop", prompt_tokens=1, text_tokens=1)
    got = request(make(reply), "POST", "/v1/answers", json={"question": "q"})
    assert got.status_code == 200 and got.headers["x-kg-version"] == "v9" and got.json()["status"] == "answered"


def test_limits_of_the_config_hold(make):
    app = make(limits={"body": 200, "depth": 4, "question": 10, "questions": 2, "messages": 1})
    post = lambda body, path="/v1/answers": request(app, "POST", path, json=body).status_code  # noqa: E731
    assert post({"question": "x" * 300}) == 413
    assert post({"question": [[[[[]]]]]}) == 400
    assert post({"question": "x" * 11}) == 400
    assert post([{"question": "x"}] * 3, "/v1/answers:batch") == 400
    assert post([], "/v1/answers:batch") == 400
    assert post({"model": "m", "messages": [{"role": "user", "content": "x"}] * 2}, "/v1/chat/completions") == 400

import asyncio

import pytest

from raykg.serve.edge import Edge, error_event, proxy_middleware
from raykg.serve.refusal import Refused
from tests.serve.asgi import acall, call, echo, scope


def edge(app=echo, body=100, seconds=5.0, **more):
    return Edge(app, body, seconds, **more)


def text(status, words, kind=b"text/plain", headers=()):
    async def app(scope, receive, send):
        await receive()
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", kind), *headers]})
        for place, word in enumerate(words):
            await send({"type": "http.response.body", "body": word, "more_body": place < len(words) - 1})

    return app


def test_a_good_request_passes_with_its_body_in_one_piece():
    got = call(edge(), scope(), [b"ab", b"", b"cd"])
    assert (got.status, got.body, got.finished) == (200, b"abcd", 1)


@pytest.mark.parametrize("declared", ["101", "1" * 30, "-5", "x", ""])
def test_a_body_that_says_it_is_too_large_is_refused_before_it_is_read(declared):
    got = call(edge(), scope(headers=[("content-length", declared)]), [b"x"])
    assert (got.status, got.error["code"]) == (413, "body_too_large")
    assert got.header("x-request-id")


def test_a_body_that_turns_out_too_large_is_refused():
    assert call(edge(), scope(), [b"x" * 60, b"x" * 60]).status == 413
    assert call(edge(), scope(), [b"x" * 100]).status == 200
    assert call(edge(), scope(), [b"x"] * 101).status == 413


def test_a_slow_body_is_refused():
    got = call(edge(seconds=0.2), scope(), [b"x"] * 50, pause=0.02)
    assert (got.status, got.error["code"]) == (408, "timeout")


def test_a_client_that_leaves_while_sending_gets_nothing():
    asked = []

    async def app(scope, receive, send):
        asked.append(1)

    async def gone():
        return {"type": "http.disconnect"}

    asyncio.run(edge(app)(scope(), gone, None))
    assert not asked


@pytest.mark.parametrize(
    "headers",
    [[(f"x-{number}", "v") for number in range(101)], [("x", "v" * 33_000)], [("x" * 33_000, "v")]],
    ids=["many", "long", "named"],
)
def test_more_headers_than_an_honest_client_sends_are_refused(headers):
    got = call(edge(), scope(headers=headers))
    assert (got.status, got.error["code"]) == (431, "headers_too_large")


@pytest.mark.parametrize(("path", "prefix", "status"), [
    ("*", "", 400), ("", "", 400), ("evil.example:80", "", 400), ("/-/routes", "", 404), ("/films/-/routes", "/films", 404),
    ("/-/healthz", "", 200), ("/-/routes/x", "", 200), ("/*", "", 200),
])  # fmt: skip
def test_what_is_no_path_and_serves_own_are_refused(path, prefix, status):
    assert call(edge(), scope(path=path) | {"root_path": prefix}, [b"x"]).status == status


@pytest.mark.parametrize("name", ["host", "authorization", "origin", "content-length", "idempotency-key", "x-kg-version"])
def test_a_header_of_which_only_one_can_be_meant_is_taken_once(name):
    value = "1"
    assert call(edge(), scope(headers=[(name, value), ("accept", "a"), ("accept", "b")]), [b"x"]).status == 200
    got = call(edge(), scope(headers=[(name, value), (name, value)]), [b"x"])
    assert (got.status, got.error["code"]) == (400, "repeated_header")


@pytest.mark.parametrize("bad", [b"", b"a b", b"x" * 129, b"\xff\xfe", b"a\tb", "é".encode(), b'"><script>'])
def test_an_unsound_request_id_is_replaced(bad):
    seen = []

    async def app(scope, receive, send):
        seen.append([value for name, value in scope["headers"] if name == b"x-request-id"])
        raise Refused(400, "no")

    got = call(edge(app), scope(headers=[("x-request-id", bad)]))
    assert seen == [[got.header("x-request-id").encode()]]
    assert len(seen[0][0]) == 32


def test_a_sound_request_id_is_kept_and_two_are_none():
    async def app(scope, receive, send):
        raise Refused(400, "no")

    assert call(edge(app), scope(headers=[("x-request-id", "abc-1.2:3_4")])).header("x-request-id") == "abc-1.2:3_4"
    assert len(call(edge(app), scope(headers=[("x-request-id", "a"), ("x-request-id", "b")])).header("x-request-id")) == 32
    assert call(edge(app, behind_proxy=True), scope(headers=[("x-request-id", "a")])).header("x-request-id") is None


def test_headers_by_which_a_client_would_steer_serve_are_taken_away():
    seen = {}

    async def app(scope, receive, send):
        seen.update(scope["headers"])
        raise Refused(400, "no")

    steering = ["x-request-timeout-seconds", "x-request-disconnect-disabled", "serve_multiplexed_model_id", "X-Session-ID"]
    call(edge(app), scope(headers=[(name, "1") for name in [*steering, "accept"]]))
    assert set(seen) == {b"accept", b"x-request-id"}


def test_errors_in_plain_text_become_json_with_their_retry_after():
    got = call(edge(text(503, [b"Request dropped ", b"due to backpressure"], headers=[(b"retry-after", b"7")])), scope())
    assert (got.status, got.error["message"], got.header("retry-after")) == (503, "Request dropped due to backpressure", "7")
    assert call(edge(text(408, [b"Request 1 timed out"])), scope()).error["code"] == "timeout"
    assert call(edge(text(400, [b""])), scope()).error["message"] == "refused"
    assert call(edge(text(404, [b"Path '/' not found"])), scope()).error["code"] == "not_serving"
    assert call(edge(text(503, [b"gone"])), scope()).header("retry-after") == "1"


def test_other_responses_are_left_alone():
    assert call(edge(text(200, [b"# metrics"])), scope()).body == b"# metrics"
    assert call(edge(text(400, [b'{"own": 1}'], b"application/json")), scope()).body == b'{"own": 1}'


def test_a_fault_is_a_500_that_names_the_request_and_hides_the_cause():
    async def app(scope, receive, send):
        raise RuntimeError("secret detail")

    got = call(edge(app), scope(headers=[("x-request-id", "r1")]))
    assert got.status == 500 and "r1" in got.error["message"] and b"secret" not in got.body


def test_a_refusal_outside_of_routes_is_answered():
    async def app(scope, receive, send):
        raise Refused(429, "slower", retry=3)

    got = call(edge(app), scope())
    assert (got.status, got.header("retry-after"), got.error["code"]) == (429, "3", "rate_limit_exceeded")


def test_a_response_that_never_begins_is_a_lost_replica():
    async def app(scope, receive, send):
        return None

    got = call(edge(app), scope())
    assert (got.status, got.error["code"], got.header("retry-after")) == (503, "replica_lost", "1")


@pytest.mark.parametrize("fault", [RuntimeError("x"), Refused(504, "late"), None])
def test_an_event_stream_that_breaks_off_ends_with_an_error_event(fault):
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream; charset=utf-8")]})
        await send({"type": "http.response.body", "body": b"data: 1\n\n", "more_body": True})
        if fault is not None:
            raise fault

    got = call(edge(app), scope())
    first, last, end = got.body.split(b"\n\n")
    assert (got.status, first, end, got.finished) == (200, b"data: 1", b"", 1)
    assert last.startswith(b'data: {"error"')


def test_another_response_that_breaks_off_just_ends():
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": b"[1", "more_body": True})
        raise RuntimeError

    assert call(edge(app), scope()).body == b"[1"


def test_websockets_are_closed_and_lifespans_pass():
    sent, passed = [], []

    async def send(message):
        sent.append(message)

    async def app(scope, receive, send):
        passed.append(scope["type"])

    asyncio.run(edge(app)({"type": "websocket"}, None, send))
    asyncio.run(edge(app)({"type": "lifespan"}, None, send))
    assert sent[0]["type"] == "websocket.close" and passed == ["lifespan"]


def test_the_proxys_hook_gives_middleware_that_wraps_an_application():
    (middleware,) = proxy_middleware()
    app = middleware.cls(echo, *middleware.args, **middleware.kwargs)
    assert asyncio.run(acall(app, scope(), [b"abc"])).body == b"abc"


def test_an_error_event_is_one_line():
    event = error_event(Refused(500, "two\nlines"))
    assert event.startswith("data: {") and event.endswith("}\n\n") and event.count("\n") == 2


@pytest.mark.parametrize(
    ("path", "here", "there"),
    [("/engine/v1/models", 200, 404), ("/engine", 200, 404), ("/engine/", 200, 404), ("/engines", 200, 200), ("/v1/engine", 200, 200)],
)
def test_private_routes_are_there_for_this_machine_alone(monkeypatch, path, here, there):
    monkeypatch.setenv("RAYKG_PRIVATE_ROUTES", "/engine/ other")
    (middleware,) = proxy_middleware()
    app = middleware.cls(echo, *middleware.args, **middleware.kwargs)
    assert app.private == ("/engine", "/other")
    for client, status in (("127.0.0.1", here), ("::1", here), ("10.0.0.7", there), ("unknown", there)):
        assert call(app, scope(path=path, client=(client, 5000))).status == status
    assert call(app, scope(path=path, client=None)).status == there
    behind = scope(path=f"/films{path}", client=("10.0.0.7", 5000)) | {"root_path": "/films"}
    assert call(app, behind).status == there

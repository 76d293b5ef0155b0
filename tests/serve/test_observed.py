import logging

from raykg.serve.edge import Edge
from raykg.serve.observed import Metrics, Observed
from raykg.serve.refusal import Refused
from tests.serve.asgi import call, echo, scope


def layer(app, metrics=None, version="v1+3"):
    return Edge(Observed(app, metrics or Metrics(), lambda: version), 1000, 5.0)


def test_every_response_carries_the_version_and_safe_headers():
    got = call(layer(echo), scope(), [b"{}"])
    assert (got.header("x-kg-version"), got.header("x-content-type-options"), got.header("cache-control")) == (
        "v1+3",
        "nosniff",
        "no-store",
    )


def test_the_version_of_the_answer_goes_before_the_current_one_and_own_headers_stay():
    async def app(scope, receive, send):
        scope["state"]["kg_version"] = "v1+2"
        await send({"type": "http.response.start", "status": 200, "headers": [(b"Cache-Control", b"public")]})
        await send({"type": "http.response.body", "body": b""})

    got = call(layer(app), scope())
    assert (got.header("x-kg-version"), got.header("cache-control")) == ("v1+2", "public")


def test_requests_are_counted_by_route_and_never_by_what_a_client_makes_up():
    metrics = Metrics()

    async def missing(scope, receive, send):
        raise Refused(404, "no")

    for number in range(50):
        call(layer(missing, metrics), scope(path=f"/made/up/{number}"))
    call(layer(echo, metrics), scope(), [b"{}"])
    text = metrics.to_text().decode()
    assert 'raykg_requests_total{route="unmatched",status="404"} 50.0' in text and "made" not in text
    assert 'raykg_requests_total{route="other",status="200"} 1.0' in text and "raykg_requests_running 0.0" in text


def test_a_request_is_one_line_of_the_log(caplog):
    logger = logging.getLogger("ray.serve")
    before, logger.propagate = logger.propagate, True
    try:
        with caplog.at_level(logging.INFO, "ray.serve"):
            call(layer(echo), scope(headers=[("x-request-id", "r1"), ("authorization", "Bearer rk_secret")]), [b"{}"])
    finally:
        logger.propagate = before
    *_, record = [record for record in caplog.records if hasattr(record, "http_status")]
    assert (record.request, record.http_status, record.getMessage(), record.caller) == ("r1", 200, "POST other 200", None)
    assert "secret" not in str(vars(record))

import json

import pytest

from raykg.config.load import from_dict
from raykg.serve.callers import Callers
from raykg.serve.edge import Edge
from raykg.serve.keys import KeyFile
from raykg.serve.serve_config import ServeConfig
from tests.serve.asgi import call, scope


async def who(scope, receive, send):
    """Answer with the caller."""
    caller = scope.get("state", {}).get("caller")
    body = json.dumps(None if caller is None else [caller.id, sorted(caller.scopes)]).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": body})


def layer(tmp_path, keys=False, host="127.0.0.1", cors=(), **limits):
    cfg = from_dict(
        ServeConfig,
        {
            "models": {"m": "x"},
            "storage": str(tmp_path),
            "keys": str(tmp_path / "keys.json") if keys else None,
            "http": {"host": host, "cors": list(cors)},
            "limits": limits,
        },
    )
    return Callers(who, cfg)


def ask(app, path="/v1/models", client=("127.0.0.1", 1), **headers):
    given = {"host": "localhost:8000"} | {name.replace("_", "-"): value for name, value in headers.items()}
    return call(Edge(app, 1000, 5.0), scope("GET", path, headers=list(given.items()), client=client))


def test_without_keys_this_machine_may_do_all_but_administer(tmp_path):
    got = ask(layer(tmp_path))
    assert json.loads(got.body) == ["anonymous", ["ask", "propose", "read", "review"]]
    assert not (tmp_path / "audit.jsonl").exists()


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:80", "127.0.0.1:8000", "[::1]:8000", "[::1]"])
def test_without_keys_this_machines_names_are_good(tmp_path, host):
    assert ask(layer(tmp_path), host=host).status == 200


@pytest.mark.parametrize(
    "host", ["", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example:8000", "evil.example:8000", "[::2]:80"]
)
def test_without_keys_a_page_that_renamed_itself_is_refused(tmp_path, host):
    got = ask(layer(tmp_path), host=host)
    assert (got.status, got.error["code"]) == (403, "forbidden")


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "", "http://localhost", "http://localhost:8001", "localhost:8000"])
def test_without_keys_no_page_of_another_site_is_answered(tmp_path, origin):
    got = ask(layer(tmp_path), origin=origin)
    assert (got.status, got.error["code"]) == (403, "forbidden")


def test_without_keys_the_own_page_and_those_that_the_config_names_are_answered(tmp_path):
    app = layer(tmp_path, cors=["https://films.example"])
    for origin in ("http://localhost:8000", "https://LOCALHOST:8000", "https://films.example"):
        assert ask(app, origin=origin).status == 200
    assert ask(app, origin="https://films.example.evil").status == 403
    _, text = KeyFile(tmp_path / "keys.json").create("alice", ["ask"])
    assert ask(layer(tmp_path, keys=True), authorization=f"Bearer {text}", origin="https://evil.example").status == 200, (
        "a key is no cookie"
    )


@pytest.mark.parametrize("client", [("10.0.0.7", 1), ("192.168.1.1", 1), ("::ffff:10.0.0.1", 1), ("nonsense", 1)])
def test_without_keys_other_machines_are_refused(tmp_path, client):
    assert ask(layer(tmp_path), client=client).status == 403


def test_a_key_is_needed_where_there_are_keys(tmp_path):
    key, text = KeyFile(tmp_path / "keys.json").create("alice", ["ask"])
    app = layer(tmp_path, keys=True)
    assert json.loads(ask(app, authorization=f"Bearer {text}").body) == [key.id, ["ask"]]
    assert json.loads(ask(app, authorization=f"bearer  {text}", client=("10.0.0.7", 1), host="any").body) == [key.id, ["ask"]]
    for wrong in ("", "Bearer", "Bearer ", f"Basic {text}", f"Bearer {text}x", text, "Bearer rk_x", f"Bearer {text} {text}"):
        got = ask(app, authorization=wrong)
        assert (got.status, got.error["code"], got.header("www-authenticate")) == (401, "invalid_api_key", "Bearer"), wrong


def test_uses_are_in_the_audit_log_without_secrets(tmp_path):
    key, text = KeyFile(tmp_path / "keys.json").create("alice", ["ask"])
    app = layer(tmp_path, keys=True)
    ask(app, authorization=f"Bearer {text}", x_request_id="r1")
    ask(app, authorization="Bearer wrong")
    content = (tmp_path / "audit.jsonl").read_text()
    (line,) = map(json.loads, content.splitlines())
    assert (line["key"], line["path"], line["status"], line["request_id"]) == (key.id, "/v1/models", 200, "r1")
    assert text[-43:] not in content


def test_revoking_works_within_a_second_and_a_damaged_file_lets_nobody_in(tmp_path, monkeypatch):
    keys = KeyFile(tmp_path / "keys.json")
    key, text = keys.create("alice", ["ask"])
    app = layer(tmp_path, keys=True)
    monkeypatch.setattr("raykg.serve.callers._LOOK_AGAIN", 0.0)
    assert ask(app, authorization=f"Bearer {text}").status == 200
    keys.revoke(key.id)
    assert ask(app, authorization=f"Bearer {text}").status == 401
    (tmp_path / "keys.json").write_text("{")
    got = ask(app, authorization=f"Bearer {text}")
    assert (got.status, got.error["code"]) == (503, "keys_unreadable")


def test_the_limit_of_the_service_and_of_the_key(tmp_path):
    keys = KeyFile(tmp_path / "keys.json")
    _, plain = keys.create("a", ["ask"])
    _, own = keys.create("b", ["ask"], per_minute=2)
    app = layer(tmp_path, keys=True, per_minute=1)
    assert [ask(app, authorization=f"Bearer {plain}").status for _ in range(2)] == [200, 429]
    assert [ask(app, authorization=f"Bearer {own}").status for _ in range(3)] == [200, 200, 429]
    got = ask(app, authorization=f"Bearer {plain}")
    assert (got.error["code"], got.error["type"]) == ("rate_limit_exceeded", "rate_limit_error")
    assert 1 <= int(got.header("retry-after")) <= 60
    statuses = [json.loads(line)["status"] for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
    assert statuses == [200, 429, 200, 200, 429, 429]


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/", "/page/app.js", "/openapi.json", "/favicon.ico"])
def test_health_and_the_page_need_no_key(tmp_path, path):
    KeyFile(tmp_path / "keys.json").create("a", ["ask"])
    assert json.loads(ask(layer(tmp_path, keys=True), path).body) is None
    assert ask(layer(tmp_path, keys=True), f"{path}x".replace("/page/app.jsx", "/pages/app.js")).status == 401


def test_a_prefix_that_a_proxy_takes_away_changes_nothing(tmp_path):
    KeyFile(tmp_path / "keys.json").create("a", ["ask"])
    app = Edge(layer(tmp_path, keys=True), 1000, 5.0)
    for path, status in (
        ("/films/healthz", 200),
        ("/films/page/app.js", 200),
        ("/films/v1/models", 401),
        ("/healthz", 200),
        ("/filmshealthz", 401),
    ):
        assert call(app, scope("GET", path, headers=[("host", "localhost")]) | {"root_path": "/films"}).status == status, path

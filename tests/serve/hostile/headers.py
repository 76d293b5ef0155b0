"""Headers that flood, forge, contradict, or come from a page of another site."""

from __future__ import annotations

from tests.serve.hostile import ASK, JSON, Case, get, post

_ASKED = {
    "a host of somebody else": ({"host": "evil.example"}, 403),
    "a host that begins so": ({"host": "localhost.evil.example"}, 403),
    "a host that ends so": ({"host": "evil.localhost"}, 403),
    "a host with a user": ({"host": "localhost@evil.example"}, 403),
    "an address that is this machine, otherwise written": ({"host": "2130706433"}, 403),
    "any address": ({"host": "0.0.0.0:80"}, 403),
    "no host": ({"host": ""}, 403),
    "a page of another site": ({"origin": "https://evil.example"}, 403),
    "a page without an origin": ({"origin": "null"}, 403),
    "a page at another port": ({"origin": "http://localhost:1"}, 403),
    "a page of a site that begins so": ({"origin": "http://localhost.evil.example"}, 403),
    "a version that is none": ({"x-kg-version": "nonsense+x"}, 400),
    "a version in capitals": ({"x-kg-version": "203B1B65F00AFB86"}, 400),
    "a long version": ({"x-kg-version": "9" * 300}, 400),
    "an empty version": ({"x-kg-version": ""}, 400),
    "a version in other digits": ({"x-kg-version": b"0000000000000000+\xd9\xa1"}, 400),
    "a version beyond 64 bits": ({"x-kg-version": "0" * 16 + "+" + "9" * 25}, 400),
    "two versions": ({"x-kg-version": "0" * 16 + ", " + "1" * 16}, 400),
    "a long key of idempotency": ({"idempotency-key": "k" * 201}, 400),
    "an empty key of idempotency": ({"idempotency-key": ""}, 400),
    "a key of idempotency that is a path": ({"idempotency-key": "../../../etc/passwd"}, 200),
    "a key of idempotency in bytes": ({"idempotency-key": b"\xff\xfe\x80"}, 200),
    "a key of idempotency that breaks lines in JSON": ({"idempotency-key": 'a"}\\n{"body": "'}, 200),
    "forty kilobytes": ({"x-big": "v" * 40_000}, 431),
    "a long name": ({"x" * 40_000: "v"}, 431),
    "two hundred": ({f"x-{number}": "v" for number in range(200)}, 431),
    "many cookies": ({"cookie": "; ".join(f"c{n}={n}" for n in range(5000))}, 431),
    "a request id in bytes": ({"x-request-id": b"\xff\xfe"}, 200),
    "a request id that is a line of a log": ({"x-request-id": 'a", "level": "ERROR'}, 200),
    "a long request id": ({"x-request-id": "r" * 10_000}, 200),
    "Serve's own time limit": ({"x-request-timeout-seconds": "0.000001"}, 200),
    "Serve's own time limit in bytes": ({"x-request-timeout-seconds": b"\xff", "serve_multiplexed_model_id": b"\xff"}, 200),
    "a session and a model of Serve's": ({"x-session-id": "x" * 5000, "serve-multiplexed-model-id": "../x"}, 200),
    "a key where there are none": ({"authorization": "Bearer " + "x" * 20_000}, 200),
    "a forwarded path": ({"x-original-url": "/v1/kg/snapshots", "x-rewrite-url": "/v1/kg/snapshots"}, 200),
    "a forwarded host": ({"x-forwarded-host": "evil.example", "forwarded": "for=1.2.3.4;host=evil.example"}, 200),
    "a forwarded prefix": ({"x-forwarded-prefix": "/evil", "x-script-name": "/evil"}, 200),
    "what the client takes": ({"accept": "text/html", "accept-encoding": "x" * 5000, "accept-language": "../../x"}, 200),
    "a range": ({"range": "bytes=0-,0-,0-,0-,0-"}, 200),
    "a condition": ({"if-none-match": "*", "if-match": '"x"'}, 200),
    "a trace": ({"traceparent": "00-" + "f" * 32 + "-" + "f" * 16 + "-01", "tracestate": "x=" + "y" * 5000, "baggage": "a=b," * 500}, 200),
    "a shell": ({"user-agent": "() { :; }; /bin/id", "referer": "${jndi:ldap://127.0.0.1:1/x}"}, 200),
}
_TWICE = ("origin", "authorization", "idempotency-key", "x-kg-version")

CASES = [
    *(post(f"header: {name}", "/v1/answers", ASK, status, headers=headers) for name, (headers, status) in _ASKED.items()),
    *(post(f"header twice: {name}", "/v1/answers", ASK, 400, headers=((name, "localhost"), (name, "localhost"))) for name in _TWICE),
    Case(
        "two content types", "/v1/answers", (415,), content=b'{"question": "x"}',
        headers=(("content-type", "application/json"), ("content-type", "text/plain")),
    ),
    Case("another site accepts a proposal", "/v1/kg/proposals/p1/accept", (403,), headers={"origin": "https://evil.example"}),
    Case("another site's form rejects one", "/v1/kg/proposals/p1/reject", (403,), content=b"a=b", headers={"origin": "null"} | JSON),
    Case("another site proposes", "/v1/kg/proposals", (403,), content=b"{}", headers={"origin": "http://127.0.0.1.evil.example"} | JSON),
    get("another site asks what it may", "/healthz", 200, headers={"origin": "https://evil.example"}),
    Case(
        "another site asks before it posts", "/v1/answers", (405,), method="OPTIONS",
        headers={"origin": "https://evil.example", "access-control-request-method": "POST"},
    ),
    Case(
        "another site asks for the private network", "/v1/kg/triples", (405,), method="OPTIONS",
        headers={"origin": "https://evil.example", "access-control-request-private-network": "true"},
    ),
    get("the page, framed by another site", "/", 200, headers={"sec-fetch-dest": "iframe", "sec-fetch-site": "cross-site"}),
    get("a websocket", "/v1/answers", 400, 403, 405, headers={"connection": "keep-alive", "upgrade": "websocket"}),
    get("versions by a header that is no version", "/v1/kg/entities?q=Alien", 400, headers={"x-kg-version": "*"}),
]  # fmt: skip

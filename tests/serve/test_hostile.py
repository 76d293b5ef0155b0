"""Hostile requests: each has its status, changes no fact of the graph, and a good request is answered within a second afterwards.

What is sent stands in the tables of `tests/serve/hostile`.
"""

from __future__ import annotations

import hashlib
import json
import re
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import httpx
import pytest

from tests.serve.hostile import ASK, DONE, JSON, bodies, facts, headers, keys, named_apart, paths, questions, sparql, values, wire

CASES = named_apart(case for table in (questions, bodies, values, paths, headers, sparql, facts) for case in table.CASES)
GOOD = {"question": "who directed Alien?"}
PATIENCE = 30.0  # seconds, for what must come: many times what it takes where nothing else runs
ALL_FACTS = {"sparql": "CONSTRUCT { ?s ?p ?o } WHERE { ?s ?p ?o }"}


class Watched:
    """A service under attack: what it answers to a good request, and its graph's version and facts as they were last seen."""

    def __init__(self, client, version_at="/v1/answers"):
        self.client, self.version_at = client, version_at
        self.version, self.facts = self.answered(), self.hashed()

    def answered(self, after=None):
        """Ask what is known, of a state not older than `after`; return the graph's version.

        Others may have the cores for a moment: then it is asked again.
        """
        until = time.monotonic() + PATIENCE
        while True:
            started = time.monotonic()
            got = self.client.post("/v1/answers", json=GOOD, headers={"x-kg-version": after} if after else {})
            seconds = time.monotonic() - started
            assert got.status_code == 200 and got.json()["text"] == "Ridley Scott", got.text
            if seconds < 1.0:
                return (got if self.version_at == "/v1/answers" else self.client.get(self.version_at)).headers["x-kg-version"]
            assert started < until, f"a good request took {seconds:.1f} seconds, the last of many"

    def hashed(self):
        """Return a hash of everything that the graph says."""
        found = self.client.post("/v1/kg/query", json=ALL_FACTS).json()
        assert not found["truncated"] and len(found["triples"]) > 50
        return hashlib.sha256("\n".join(sorted(found["triples"])).encode()).hexdigest()

    def unharmed(self, logged=None):
        """Check that it answers, and that no fact has changed; a version names a state of the graph, so the same one is the same graph.

        What is only logged, a proposal, makes a version of the same facts.
        """
        version = self.answered(logged)
        if logged and version != self.version:
            assert self.hashed() == self.facts
            self.version = version
        assert version == self.version


@pytest.fixture(scope="module")
def client(service):
    with httpx.Client(base_url=service.url, timeout=30) as client:
        yield client


@pytest.fixture(scope="module")
def watched(client):
    return Watched(client)


@pytest.fixture(scope="module")
def keyed_client(keyed):
    with httpx.Client(base_url=keyed.url, headers={"authorization": f"Bearer {keyed.key}"}, timeout=30) as client:
        yield client


@pytest.fixture(scope="module")
def keyless(keyed):
    with httpx.Client(base_url=keyed.url, timeout=30) as client:
        yield client


@pytest.fixture(scope="module")
def keyed_watched(keyed_client):
    return Watched(keyed_client, "/healthz")  # its own graph, not that of the replicas


def sent(client, case):
    """Send a case and check that it is refused as everything is refused."""
    body = {"json": case.body} if case.body is not None else {} if case.content is None else {"content": case.content}
    given = list(case.headers.items()) if hasattr(case.headers, "items") else list(case.headers)
    got = client.request(case.method, case.path, headers=given, **body)
    assert got.status_code in case.status, f"{got.status_code}: {got.text[:300]}"
    assert "x-injected" not in got.headers
    if got.status_code >= 400:
        assert got.headers["content-type"] == "application/json" and re.fullmatch(r"[A-Za-z0-9._:-]{1,128}", got.headers["x-request-id"])
        if case.method != "HEAD":
            assert set(got.json()["error"]) == {"message", "type", "param", "code"} and len(got.text) < 2000
    if got.status_code == 405:
        assert got.headers["allow"]
    return got


def test_there_are_enough_of_them():
    assert len(CASES) + len(wire.CASES) + len(keys.CASES) + len(sparql.HEAVY) > 300
    named_apart(sparql.HEAVY)
    assert len({case.name for case in keys.CASES}) == len(keys.CASES)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_request(client, watched, case):
    got = sent(client, case)
    if case.unproved and got.status_code == 200:
        record = got.json().get("raykg", got.json())
        assert record["status"] != "answered" and record["proof"] == "unproven"
    watched.unharmed(got.headers["x-kg-version"] if case.logged and got.status_code == 200 else None)


def exchanged(service, data, wait=PATIENCE, more=0.2):
    """Send bytes as they are; return what comes back until the service closes or falls silent.

    Args:
        service: Whom to ask.
        data: What to send.
        wait: Seconds for the first bytes of a response.
        more: Seconds for those after them: short where no second response may come.
    """
    host = urlsplit(service.url)
    with socket.create_connection((host.hostname, host.port), timeout=wait) as connection:
        got = b""
        try:
            connection.sendall(data)
            while part := connection.recv(65536):
                got += part
                connection.settimeout(more)
        except (TimeoutError, ConnectionError):
            pass
        return got


@pytest.mark.parametrize("name", wire.CASES)
def test_bytes(service, watched, name):
    data, expected = wire.CASES[name]
    got = exchanged(service, data, 1.0 if "" in expected else PATIENCE)
    status = got.split(b"\r\n")[0].split(b" ")[1:2]
    assert (status[0].decode() if status else "") in expected, got[:300]
    assert len(re.findall(rb"^HTTP/1\.[01] ", got, re.MULTILINE)) <= 1 and b"\nx-injected" not in got.lower()
    watched.unharmed()


@pytest.fixture(scope="module")
def known(keyed):
    """Parts of the keyed gateway's keys, by the names that the cases use."""
    _, identifier, secret = keyed.key.split("_", 2)
    key = next(key for key in keyed.keys.list() if key.id == identifier)
    revoked, rotated = keyed.key_of("review", "admin"), keyed.key_of("review")
    keyed.keys.revoke(revoked.split("_")[1])
    keyed.keys.rotate(rotated.split("_")[1], grace_hours=0.0)
    good = {
        "good": keyed.key,
        "id": identifier,
        "secret": secret,
        "hash": key.hash[:43],
        "shouted": keyed.key.upper(),
        "short": keyed.key[:-1],
    }
    found = good | {"revoked": revoked, "rotated": rotated, "expired": keyed.key_of("review", days=-1.0)}
    scopes = ("ask", "read", "propose", "review", "admin")
    found |= {f"only {scope}": keyed.key_of(scope) for scope in scopes}
    for needed in {needed for *_, needed in keys.ROUTES.values()}:
        found["all but " + " ".join(needed)] = keyed.key_of(*(scope for scope in scopes if scope not in needed))
    keyed.until_known(keyed.key_of("review"))  # made last
    return found


@pytest.mark.parametrize("case", keys.CASES, ids=str)
def test_a_key(keyless, known, keyed_watched, case):
    def filled(text):
        return re.sub(r"\{([a-z ]+)\}", lambda match: known[match[1]], text)

    method, path, body, _ = keys.ROUTES[case.route]
    given = [
        *([] if case.key is None else [("authorization", filled(case.key).strip())]),
        *((name, filled(text)) for name, text in case.more),
    ]
    got = keyless.request(method, path, headers=given, **({} if body is None else {"json": body}))
    assert got.status_code == case.status, got.text
    assert got.json()["error"]["code"] == {400: "repeated_header", 401: "invalid_api_key", 403: "forbidden"}[case.status]
    assert ("www-authenticate" in got.headers) == (case.status == 401) and known["good"][-43:] not in got.text
    keyed_watched.unharmed()


@pytest.mark.parametrize("case", sparql.HEAVY, ids=str)
def test_a_heavy_query(keyed_client, keyed_watched, case):
    for _ in range(5):  # others may have the cores for a moment, and a query is stopped that ends in time otherwise
        started = time.monotonic()
        got = keyed_client.post(case.path, json=case.body)
        if got.status_code in case.status:
            break
    assert got.status_code in case.status, got.text[:300]
    assert time.monotonic() - started < PATIENCE / 2 and len(got.content) < 10_000_000  # it may run for 1.5 seconds
    keyed_watched.unharmed()


def test_queries_do_not_pile_up(keyed_client, keyed_watched):
    endless, seconds = sparql.HEAVY[-2].body, []
    while min(seconds, default=1.0) >= 1.0:  # others may have the cores for a moment
        assert len(seconds) < 5, seconds
        with ThreadPoolExecutor(12) as crowd:
            asked = [crowd.submit(keyed_client.post, "/v1/kg/query", json=endless) for _ in range(12)]
            started = time.monotonic()
            assert keyed_client.get("/v1/kg/entities?q=Alien").status_code == 200
            seconds.append(time.monotonic() - started)
            keyed_watched.answered()
            assert {one.result().status_code for one in asked} == {503, 504}
    keyed_watched.unharmed()


@pytest.mark.parametrize("path", ["/v1/models/%ed%a0%80", "/v1/models/%ff", "/a%00b", "/%0d%0aX-Injected:1", "/%22%7d%0a%7b", "/%e2%80%ae"])
def test_a_path_in_the_audit_log(keyed_client, keyed_watched, path):
    assert keyed_client.get(path).status_code == 404
    keyed_watched.unharmed()


@pytest.mark.parametrize("name", facts.LABELS)
def test_a_label_in_the_graph_is_data_everywhere(keyed_client, keyed_watched, name):
    label, key = facts.LABELS[name], f"hostile {name}"
    fact = {"head": key, "relation": "starred actors", "tail": "Sigourney Weaver"}
    made = keyed_client.post("/v1/kg/triples", json={"add": [fact], "names": {key: {"label": label, "description": label}}})
    if made.status_code == 400:
        assert re.search(r"[\x00-\x08\x0b-\x1f\x7f]", label), made.text
        keyed_watched.unharmed()
        return
    then = {"x-kg-version": made.headers["x-kg-version"]}
    (weaver,) = keyed_client.get("/v1/kg/entities?q=Sigourney%20Weaver&limit=1").json()["entities"]
    around = keyed_client.get("/v1/kg/subgraph", params={"node": weaver["node"], "limit": 1000}, headers=then)
    assert around.headers["content-type"] == "application/json" and around.headers["x-content-type-options"] == "nosniff"
    assert [node["label"] for node in around.json()["nodes"] if node["key"] == key] == [label]
    named = keyed_client.get("/v1/kg/entities", params={"q": label[:500]}, headers=then).json()["entities"]
    if re.search(r"[a-z]{3}", label):
        assert (label, label) in [(one["label"], one["description"]) for one in named if one["key"] == key]
    asked = {"sparql": 'SELECT ?name { ?film <urn:raykg:starred_actors> ?who ; rdfs:label ?name . ?who rdfs:label "Sigourney Weaver" }'}
    assert label in [row["name"]["value"] for row in keyed_client.post("/v1/kg/query", json=asked, headers=then).json()["rows"]]
    gone = keyed_client.post("/v1/kg/triples", json={"retract": [fact]})
    assert gone.status_code == 200, gone.text
    keyed_watched.version = gone.headers["x-kg-version"]
    keyed_watched.unharmed()


def test_a_slow_body_is_not_waited_for(keyed, keyed_watched):
    started = time.monotonic()
    got = exchanged(keyed, HALF)
    assert b" 408 " in got.split(b"\r\n")[0] and 0.4 < time.monotonic() - started < PATIENCE / 2  # and not for the 20 of an answer
    keyed_watched.unharmed()


def test_a_version_that_is_to_come_is_waited_for_by_nobody_else(service, watched):
    body = json.dumps(GOOD | {"kg_version": watched.version.partition("+")[0] + "+999999"}).encode()
    waiting = connected(service, 30)
    for connection in waiting:
        connection.sendall(HEAD % len(body) + body)
    watched.unharmed()
    for connection in waiting:
        connection.close()
    watched.unharmed()


def connected(service, number):
    host = urlsplit(service.url)
    return [socket.create_connection((host.hostname, host.port)) for _ in range(number)]


HEAD = b"POST /v1/answers HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
HALF = HEAD % 50 + b"{"


@pytest.mark.parametrize(
    "begun", [b"", b"GE", b"GET /healthz HTTP/1.1\r\nHost: local", HALF], ids=["nothing", "a line", "headers", "a body"]
)
def test_slow_clients_hold_nothing_but_their_connections(service, watched, begun):
    slow = connected(service, 50)
    for connection in slow:
        connection.sendall(begun)
    watched.unharmed()
    for connection in slow:
        connection.close()
    watched.unharmed()


def test_clients_that_trickle_and_leave(service, watched):
    slow = connected(service, 20)
    for letter in range(0, len(HALF), 20):
        for connection in slow:
            connection.sendall(HALF[letter : letter + 20])
    for connection in slow:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # a reset, not an end
        connection.close()
    watched.unharmed()


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
def test_clients_that_leave_in_the_middle_of_a_stream(client, watched, path):
    body = {"model": "films", "stream": True}
    body |= {"messages": [{"role": "user", "content": "who starred in Alien?"}]} if "chat" in path else DONE | {"max_tokens": 64}
    for _ in range(4):
        with client.stream("POST", path, json=body) as response:
            assert next(response.iter_lines()).startswith("data: {")
    watched.unharmed()


def test_clients_that_leave_before_they_are_answered(service, watched):
    body = json.dumps({"question": "wait 0.2 who directed Alien?"}).encode()
    for connection in connected(service, 3):
        connection.sendall(HEAD % len(body) + body)
        connection.close()
    watched.unharmed()


def test_clients_that_never_read(service, watched):
    deaf = connected(service, 20)
    for connection in deaf:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        connection.sendall(
            b"GET /page/vendor/ HTTP/1.1\r\nHost: localhost\r\n\r\nGET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 5
        )
    watched.unharmed()
    for connection in deaf:
        connection.close()


def test_requests_that_are_sent_before_the_first_is_answered(service, watched):
    many = (
        b"GET /v1/nothing HTTP/1.1\r\nHost: localhost\r\n\r\n" * 30
        + b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )
    got = exchanged(service, many, more=PATIENCE)  # the last one lets the service close
    assert re.findall(rb"HTTP/1.1 (\d+)", got) == [b"404"] * 30 + [b"200"]
    watched.unharmed()


def test_a_body_in_very_many_chunks(client, watched):
    def chunks():
        yield b'{"question": "'
        for _ in range(20_000):
            yield b"x"
        yield b'"}'

    assert client.post("/v1/answers", content=chunks(), headers=JSON).status_code == 400  # the question is too long
    watched.unharmed()


def test_a_crowd_is_answered_or_refused_at_once(client, watched):
    with ThreadPoolExecutor(40) as crowd:
        statuses = list(crowd.map(lambda number: client.post("/v1/answers", json=ASK | {"topics": [f"n{number}"]}).status_code, range(80)))
    assert set(statuses) <= {200, 429, 503} and statuses.count(200) > 10
    watched.unharmed()


def test_an_idempotency_key_is_of_one_body_one_route_and_one_caller(keyed, keyed_client, keyed_watched):
    once = {"idempotency-key": "hostile"}
    first = keyed_client.post("/v1/answers", json=GOOD, headers=once)
    assert first.status_code == 200
    for other in (ASK, GOOD | {"strategy": "read"}, GOOD | {"topics": ["Alien"]}):
        got = keyed_client.post("/v1/answers", json=other, headers=once)
        assert (got.status_code, got.json()["error"]["code"]) == (409, "idempotency_key_reused")
    assert keyed_client.post("/v1/answers:batch", json=[ASK], headers=once).status_code == 200
    key = keyed.key_of("ask")
    keyed.until_known(key)
    stranger = once | {"authorization": f"Bearer {key}"}
    got = keyed_client.post("/v1/answers", json=ASK, headers=stranger)
    assert got.status_code == 200 and got.json()["question"] == ASK["question"], "nobody gets another caller's answer"
    refused = {"idempotency-key": "refused"}
    assert keyed_client.post("/v1/answers", json=ASK | {"strategy": "no"}, headers=refused).status_code == 400
    assert keyed_client.post("/v1/answers", json=ASK | {"strategy": "no"}, headers=refused).status_code == 400, "an error is no result"
    keyed_watched.unharmed()


def test_an_idempotency_key_that_many_send_at_once_is_done_once(keyed_client, keyed_watched):
    body, once = {"question": "wait 0.2 who directed Alien?"}, {"idempotency-key": "at once"}
    with ThreadPoolExecutor(8) as crowd:
        found = list(crowd.map(lambda _: keyed_client.post("/v1/answers", json=body, headers=once).json(), range(8)))
    assert len({json.dumps(one["timings"]) for one in found}) == 1
    keyed_watched.unharmed()

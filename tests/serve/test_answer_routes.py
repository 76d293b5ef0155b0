import json
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import psutil
import pytest


@pytest.fixture(scope="module")
def client(service):
    with httpx.Client(base_url=service.url, timeout=60) as client:
        yield client


def ask(client, question="who directed Alien?", headers=None, **more):
    return client.post("/v1/answers", json={"question": question, **more}, headers=headers or {})


def test_an_answer_is_the_record_that_can_be_checked(client, service):
    from raykg.answer.record_check import problems
    from raykg.kg.graph import KnowledgeGraph

    got = ask(client, headers={"X-Request-ID": "r-1"})
    record = got.json()
    assert got.status_code == 200 and record["answers"] == [
        {"text": "Ridley Scott", "node": record["answers"][0]["node"], "key": "ridley_scott"}
    ]
    assert (record["request_id"], record["id"], got.headers["x-request-id"]) == ("r-1", "answer-r-1", "r-1")
    assert got.headers["x-kg-version"] == record["kg"]["version"]
    assert 0 <= record["timings"]["waited"] <= record["timings"]["total"] < 30
    fixed = ask(client, strategy="plan_execute").json()
    assert fixed["strategy"] == "plan_execute"
    graph = KnowledgeGraph.open(service.folder / "store")
    if record["kg"]["sequence"] == 0:
        assert problems({name: value for name, value in record.items() if name not in ("id", "request_id")}, graph) == []


def test_topics_and_history_are_heard(client):
    assert (
        ask(client, "who starred in it?", history=[{"role": "user", "content": "who directed Alien?"}]).json()["question"]
        == "who starred in Alien?"
    )
    assert ask(client, topics=["Heat"]).json()["answers"][0]["text"] in ("Michael Mann", "Dick Richards")


def test_a_batch_answers_all_and_puts_an_error_in_its_place(client):
    body = [
        {"question": "who directed Alien?"},
        {"question": "who directed Aliens?"},
        {"question": "fail"},
        {"question": "x", "strategy": "no"},
    ]
    found = client.post("/v1/answers:batch", json=body).json()["answers"]
    assert [one["text"] for one in found[:2]] == ["Ridley Scott", "James Cameron"]
    assert [one["error"]["code"] for one in found[2:]] == ["internal_error", "unknown_strategy"]


def test_the_same_key_is_answered_once(client):
    headers = {"Idempotency-Key": "key-1"}
    first, second = ask(client, headers=headers).json(), ask(client, headers=headers).json()
    assert first["request_id"] != second["request_id"]
    assert {**first, "id": "", "request_id": ""} == {**second, "id": "", "request_id": ""}  # the timings too: it was not asked again
    other = ask(client, "who directed Aliens?", headers=headers)
    assert (other.status_code, other.json()["error"]["code"]) == (409, "idempotency_key_reused")


def test_a_batch_goes_on_after_an_error_of_one(client):
    body = [{"question": "who directed Alien?"}, {"question": "fail"}]
    first = client.post("/v1/answers:batch", json=body, headers={"Idempotency-Key": "key-2"}).json()["answers"]
    second = client.post("/v1/answers:batch", json=body, headers={"Idempotency-Key": "key-2"}).json()["answers"]
    assert first[0] == second[0] and first[1]["error"]["code"] == second[1]["error"]["code"] == "internal_error"


def test_read_your_writes(client):
    before = ask(client, "who directed The Terminator?").json()
    assert [one["text"] for one in before["answers"]] == ["James Cameron"]
    edit = {"add": [{"head": "The Terminator", "relation": "directed by", "tail": "Ridley Scott"}], "why": "a test"}
    done = client.post("/v1/kg/triples", json=edit)
    assert done.status_code == 200, done.text
    token = done.headers["x-kg-version"]
    base, _, sequence = token.partition("+")
    assert token == done.json()["kg"]["version"] and int(sequence) >= 1
    for _ in range(5):
        after = ask(client, "who directed The Terminator?", headers={"X-KG-Version": token})
        assert sorted(one["text"] for one in after.json()["answers"]) == ["James Cameron", "Ridley Scott"]
        assert after.json()["kg"]["sequence"] >= int(sequence)
    late = ask(client, headers={"X-KG-Version": f"{base}+{int(sequence) + 999}"})
    assert (late.status_code, late.json()["error"]["code"]) == (503, "version_not_reached")


def test_health_readiness_and_metrics(client):
    assert client.get("/healthz").json() == {"status": "ok"}
    ready = client.get("/readyz")
    assert ready.status_code == 200
    assert ready.json()["deployments"] == {"model-films": {"running": 1}, "gateway": {"running": 1}}
    ask(client)
    text = client.get("/metrics").text
    assert 'raykg_answers_total{model="films",status="answered",strategy="scripted"}' in text
    assert 'raykg_requests_total{route="/v1/answers",status="200"}' in text and "process_resident_memory_bytes" in text


def test_overload_is_refused_at_once_and_passes(client, service):
    with httpx.Client(base_url=service.url, timeout=30) as crowd, ThreadPoolExecutor(60) as pool:
        got = list(pool.map(lambda _: ask(crowd, "wait 0.2 who directed Alien?"), range(60)))
    refused = [response for response in got if response.status_code == 503]
    answered = [response for response in got if response.status_code == 200]
    assert len(refused) + len(answered) == 60 and len(answered) >= 16 and len(refused) >= 10
    assert all(response.json()["error"]["code"] == "overloaded" and int(response.headers["retry-after"]) >= 1 for response in refused)
    assert all(response.json()["text"] == "Ridley Scott" for response in answered)
    assert ask(client).status_code == 200


def test_a_client_that_leaves_frees_its_place(client, service):
    for _ in range(3):
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{service.url}/v1/answers", json={"question": "wait 2 who directed Alien?"}, timeout=0.2)
    assert ask(client, "who directed Alien?").json()["text"] == "Ridley Scott"


def test_every_log_line_of_a_request_has_its_id(client, service):
    ask(client, headers={"X-Request-ID": "look-for-me"})
    until = time.monotonic() + 30
    while not (lines := [line for line in lines_of(service) if (line.get("request_id"), line["message"]) == LOOKED_FOR]):
        assert time.monotonic() < until, lines_of(service)[-3:]
        time.sleep(0.1)
    assert lines[0]["caller"] == "anonymous"


LOOKED_FOR = ("look-for-me", "POST /v1/answers 200")


def lines_of(service):
    """Return what the gateways have logged; a line may be half written."""
    logs = (service.folder / "serving" / "logs").glob("replica_*gateway*.log")
    return [json.loads(line) for file in logs for line in file.read_text().splitlines() if line.endswith("}")]


def test_a_request_outlives_the_replica_that_had_it(client):
    """kill -9 in the middle of an answer: the gateway asks again; if no replica is back in time, the client does."""
    replicas = [process for process in psutil.process_iter(["cmdline"]) if _is_replica(process)]
    own = [process for process in replicas if psutil.Process().pid in {parent.pid for parent in process.parents()}]
    assert len(own) == 1, replicas
    headers = {"Idempotency-Key": "through-a-kill"}
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(ask, client, "wait 2 who directed Alien?", headers=headers)
        time.sleep(1.0)
        own[0].kill()
        got = asked.result()
    until = time.monotonic() + 90
    while got.status_code in (503, 504) and time.monotonic() < until:
        assert int(got.headers["retry-after"]) >= 1
        got = ask(client, "wait 2 who directed Alien?", headers=headers)
    assert got.status_code == 200 and got.json()["text"] == "Ridley Scott"
    assert 'raykg_retried_total{model="films"}' in client.get("/metrics").text


def _is_replica(process):
    return "ServeReplica:raykg:model-films" in " ".join(process.info["cmdline"] or ())

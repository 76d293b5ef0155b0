"""The Serve config of clusters/kuberay/service.yaml, deployed as `serve deploy` does: one limit for two gateways, numbers, traces, pins.

Only folders, sizes and the model are the tests' own.
"""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from raykg.serve.graph_owner import end_owner
from raykg.serve.keys import SCOPES, KeyFile
from tests.answer.runs import write_run
from tests.clusters import serve_config
from tests.serve.collector import Collector, collecting
from tests.serve.services import SCRIPTED

pytestmark = pytest.mark.story  # callers, shared limits and traces have tests of their own, each within one process

SENDER = "00-" + "5e" * 16 + "-" + "cd" * 8 + "-01"


@dataclass
class Deployed:
    url: str
    keys: KeyFile
    collector: Collector
    logs: object

    def client(self, *scopes, **limits):
        _, key = self.keys.create("tester", scopes or SCOPES, **limits)
        self.until_known(self.keys.create("made last", ["read"])[1])
        return httpx.Client(base_url=self.url, headers={"Authorization": f"Bearer {key}"}, timeout=60)

    def until_known(self, key):
        """Return when both gateways have looked at the file, as they do twice a second: one that had not would be asked by chance."""
        known, until = 0, time.monotonic() + 30
        while known < 12:
            assert time.monotonic() < until, "the gateways do not look at their keys"
            got = httpx.get(f"{self.url}/v1/models", headers={"Authorization": f"Bearer {key}"}, timeout=30)
            known = 0 if got.status_code == 401 else known + 1


@pytest.fixture(scope="module")
def deployed(service, tmp_path_factory):
    """The manifest's application beside the tests' service, below /manifest: a Serve has one port."""
    from ray import serve
    from ray.serve.context import _get_global_client
    from ray.serve.schema import ServeDeploySchema

    folder = tmp_path_factory.mktemp("manifest")
    write_run(folder)
    keys = KeyFile(folder / "keys.json")
    keys.create("first", ["ask"])
    plain = serve_config()
    (application,) = plain["applications"]
    application |= {"name": "manifest", "route_prefix": "/manifest"}
    settings = application["args"]["settings"]
    assert settings["replicas"]["gateways"] == 2
    with collecting() as collector:
        settings |= {
            "models": {"films": str(folder / "run")},
            "strategy": SCRIPTED,
            "strategies": [{"name": SCRIPTED}],
            "storage": str(folder / "serving"),
            "keys": str(keys.path),
            "graph": {"storage": str(folder / "edits")},
            "tracing": {"endpoint": collector.url, "service": "manifest"},
        }
        settings["replicas"] |= {"count": 1, "batch": 4, "cpus": 0.5}
        try:
            _get_global_client().deploy_apps(ServeDeploySchema.model_validate(plain))
            until_running("manifest")
            yield Deployed(f"{service.url}/manifest", keys, collector, folder / "serving" / "logs")
        finally:
            serve.delete("manifest")
            end_owner(str(folder / "edits"))


def until_running(application, seconds=120):
    from ray import serve

    until = time.monotonic() + seconds
    while (found := serve.status().applications[application]).status != "RUNNING":
        said = {name: (one.status, one.message[-2000:]) for name, one in found.deployments.items()}
        assert found.status == "DEPLOYING" and time.monotonic() < until, f"{found.status}: {found.message[-2000:]} {said}"
        time.sleep(0.2)


@pytest.fixture(scope="module")
def client(deployed):
    with deployed.client() as found:
        yield found


def ask(client, question="who directed Alien?", headers=None, **more):
    return client.post("/v1/answers", json={"question": question, **more}, headers=headers)


def numbers(client):
    """Return [(name, labels, value)] of /metrics."""
    text = client.get("/metrics").text
    return [(one.name, one.labels, one.value) for family in text_string_to_metric_families(text) for one in family.samples]


def test_it_answers_those_who_have_a_key(deployed, client):
    assert ask(client).json()["text"] == "Ridley Scott"
    assert httpx.post(f"{deployed.url}/v1/answers", json={"question": "who?"}).status_code == 401
    assert httpx.get(f"{deployed.url}/healthz").json() == {"status": "ok"}, "needs no key, below a prefix too"


def test_two_gateways_hold_one_rate(deployed):
    with deployed.client("read", per_minute=60) as client, ThreadPoolExecutor(6) as pool:
        begin = time.monotonic()
        found = list(pool.map(lambda _: client.get("/v1/kg/entities", params={"q": "Alien"}), range(110)))
        seconds = time.monotonic() - begin
    let_in = sum(one.status_code == 200 for one in found)
    assert {one.status_code for one in found} == {200, 429}
    assert 60 <= let_in <= 61 + seconds, f"{let_in} were let in within {seconds:.1f} s"
    assert all(int(one.headers["retry-after"]) >= 1 for one in found if one.status_code == 429)


def test_two_gateways_hold_one_number_of_places(deployed):
    with deployed.client("ask", concurrent=2) as client, ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda _: ask(client, "wait 1 who directed Alien?").status_code, range(6)))
        assert sorted(found) == [200, 200, 429, 429, 429, 429]
        for _ in range(50):  # the places are given back
            if ask(client).status_code == 200:
                break
        else:
            pytest.fail("no place was given back")


def test_metrics_show_all_gateways_and_replicas(client):
    for _ in range(30):
        assert client.get("/v1/kg/entities", params={"q": "Heat"}).status_code == 200
    found = numbers(client)
    asked = {
        labels["gateway"]: value
        for name, labels, value in found
        if name == "raykg_requests_total" and (labels["route"], labels["status"]) == ("/v1/kg/entities", "200")
    }
    assert len(asked) == 2 and sum(asked.values()) >= 30 and min(asked.values()) >= 1
    again = [value for name, labels, value in numbers(client) if name == "raykg_requests_total" and labels["route"] == "/v1/kg/entities"]
    assert sum(again) >= sum(asked.values()), "whichever gateway is asked"
    assert ask(client).status_code == 200
    (answered,) = [value for name, labels, value in numbers(client) if name == "raykg_replica_questions_total"]
    assert answered >= 1
    (resident,) = [value for name, _, value in found if name == "raykg_replica_resident_bytes"]
    assert 1e8 < resident < 1e10
    assert {labels["deployment"]: value for name, labels, value in found if name == "raykg_scrape_silent"} == {"gateway": 0, "films": 0}


def test_a_request_is_one_trace_through_all_processes(deployed, client):
    got = ask(client, headers={"traceparent": SENDER, "X-Request-ID": "traced-1"})
    trace = SENDER.split("-")[1]
    assert got.headers["x-trace-id"] == trace
    steps = ["POST /v1/answers", "ask replica", "answer", "wait", "generate", "link", "execute", "prove"]
    found = deployed.collector.of(trace, steps)
    parents = {name: next((other.name for other in found.values() if other.id == found[name].parent), found[name].parent) for name in steps}
    assert parents == dict.fromkeys(steps[3:], "answer") | {
        "answer": "ask replica", "ask replica": "POST /v1/answers", "POST /v1/answers": "cd" * 8,
    }  # fmt: skip
    assert {found[name].part for name in steps[:2]} == {"gateway"} and {found[name].part for name in steps[2:]} == {"model films"}
    assert found["POST /v1/answers"].attributes["raykg.request_id"] == "traced-1"
    lines = [json.loads(line) for file in deployed.logs.rglob("*.log") for line in file.read_text().splitlines() if trace in line]
    assert any(line.get("request") == "traced-1" and line.get("trace") == trace for line in lines)


def test_the_owner_of_the_graph_is_a_part_of_the_trace(deployed, client):
    got = client.post("/v1/kg/triples", json={"add": [{"head": "Alien", "relation": "has genre", "tail": "traced"}]})
    found = deployed.collector.of(got.headers["x-trace-id"], ["POST /v1/kg/triples", "graph owner"])
    assert found["graph owner"].parent == found["POST /v1/kg/triples"].id and found["graph owner"].attributes == {"method": "edit"}


def test_an_older_state_is_answered_exactly_or_refused(client):
    before = ask(client).headers["x-kg-version"]
    fact = {"head": "Alien", "relation": "directed by", "tail": "Somebody Else"}
    after = client.post("/v1/kg/triples", json={"add": [fact]}).headers["x-kg-version"]

    def names(**pins):
        got = ask(client, **pins)
        return got.json()["kg"]["version"], {one["text"] for one in got.json()["answers"]}

    assert names(kg_version=after) == (after, {"Ridley Scott", "Somebody Else"})
    assert names(kg_version_exact=before) == (before, {"Ridley Scott"})
    assert names(headers={"X-KG-Version-Exact": before}) == (before, {"Ridley Scott"})
    assert names(kg_version_exact=after) == (after, {"Ridley Scott", "Somebody Else"})
    chat = {"model": "films", "messages": [{"role": "user", "content": "who directed Alien?"}], "kg_version_exact": before}
    assert client.post("/v1/chat/completions", json=chat).json()["choices"][0]["message"]["content"] == "Ridley Scott"
    refused = ask(client, kg_version_exact=f"{'0' * 16}+1")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "kg_version_mismatch")
    client.post("/v1/kg/triples", json={"retract": [fact]})

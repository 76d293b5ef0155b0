"""What a request brings to a replica, a state of the graph and a trace, and the numbers it leaves. The model is a table."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from raykg.config.choice import chosen
from raykg.config.load import from_dict
from raykg.serve import replicas, tracing
from raykg.serve.hosted import Hosted
from raykg.serve.replicas import Answerer, Ask
from raykg.serve.serve_config import STRATEGIES, ServeConfig, TracingConfig
from tests.graphs import film_graph
from tests.serve.collector import collecting
from tests.serve.live_graphs import LocalGraph
from tests.serve.services import SCRIPTED

TRACE = "5e" * 16
PHASES = ["wait", "generate", "link", "execute", "prove"]


class Generator:
    steps, prompt_reads = 3, (5, 2)

    @contextmanager
    def turn(self, work):
        yield


def tokenizer(text, add_special_tokens=True):
    return {"input_ids": text.split()}


class Library:
    engine = Generator()

    def __init__(self, hosted):
        self.models = {hosted.name: hosted}

    def find(self, name):
        return self.models["films"]

    async def take(self, hosted):
        pass

    def give_back(self, hosted):
        pass


@pytest.fixture
def graph(tmp_path):
    return LocalGraph(tmp_path / "live", film_graph(tmp_path / "films"))


@pytest.fixture
def replica(tmp_path, graph):
    hosted = Hosted("films", tmp_path, "identity", tokenizer, Generator(), graph, {SCRIPTED: chosen(STRATEGIES, SCRIPTED)})
    made = Answerer.__new__(Answerer)
    made.cfg = from_dict(ServeConfig, {"models": {"films": "x"}})
    made.library, made.questions, made._pool, made._near = Library(hosted), 0, ThreadPoolExecutor(2), None
    return made


def ask(replica, **more):
    return asyncio.run(replica.answer(Ask(question="who directed Alien?", strategy=SCRIPTED, **more)))


def test_an_older_state_is_answered_beside_the_newest(replica, graph):
    before = graph.version
    asyncio.run(graph.call("edit", {"who": "ann", "add": [{"head": "Alien", "relation": "directed by", "tail": "Somebody Else"}]}))
    for _ in range(2):  # each with a strategy of its own, which is kept
        assert ask(replica).text == "Ridley Scott; Somebody Else"
        old = ask(replica, kg_exact=before)
        assert (old.text, old.record["kg"]["version"]) == ("Ridley Scott", before)
    assert ask(replica, kg_exact=graph.version).record["kg"]["version"] == graph.version != before
    assert len(replica.library.find("films")._made) == 2


def test_a_request_that_is_traced_leaves_the_phases_of_its_answer(replica):
    with collecting() as collector:
        tracing.begin(TracingConfig(endpoint=collector.url), "model films")
        try:
            ask(replica)
            ask(replica, trace=f"00-{TRACE}-{'cd' * 8}-01")
            found = collector.of(TRACE, ["answer", *PHASES])
        finally:
            tracing.end()
    assert found["answer"].parent == "cd" * 8 and found["answer"].attributes == {"model": "films", "strategy": SCRIPTED}
    assert {found[name].parent for name in PHASES} == {found["answer"].id}
    assert {span.trace for span in collector.spans} == {TRACE}


def test_a_replica_says_what_it_did(replica, graph, monkeypatch):
    monkeypatch.setattr(replicas, "replica_numbers", lambda **counts: counts)  # which adds what a process is
    ask(replica)
    asyncio.run(graph.call("edit", {"who": "ann", "add": [{"head": "Alien", "relation": "has genre", "tail": "x"}]}))
    asyncio.run(graph.reach(None))
    assert asyncio.run(replica.numbers()) == {
        "questions": 1, "steps": 3, "prompt_tokens_computed": 5, "prompt_tokens_known": 2, "sequence": 1,
    }  # fmt: skip

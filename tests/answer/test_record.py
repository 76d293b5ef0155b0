"""The record holds what the answer holds, is plain JSON, and never claims what nothing supports."""

import json

import pytest

from raykg.answer.question import Answer, Missing, Proposed, Question
from raykg.answer.record import FORMAT, MOST_FACTS, UNPROVEN, kg_of, record_of, words
from raykg.answer.strategies.plan_execute import Config, PlanExecute
from raykg.kg.linking import Linker
from tests.graphs import film_graph


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    return film_graph(tmp_path_factory.mktemp("films"))


@pytest.fixture(scope="module")
def planner(graph):
    return PlanExecute(Config(), graph, Linker(graph), None)


def test_every_field_of_the_contract_is_there(graph, planner):
    model = {"name": "quickstart", "identity": "base x trained y"}
    record = record_of(Question("who directed Alien?"), planner.run("Alien > directed by"), graph, model, {"total": 0.5})
    assert json.loads(json.dumps(record)) == record
    assert list(record) == [
        "format", "question", "status", "text", "answers", "count", "strategy", "plan", "plan_in_words", "proof", "facts", "missing",
        "unverified", "proposals", "confidence", "bad_citations", "error", "kg", "model", "timings",
    ]  # fmt: skip
    assert (record["format"], record["question"], record["status"], record["text"]) == (
        FORMAT, "who directed Alien?", "answered", "Ridley Scott",
    )  # fmt: skip
    node = graph.node("ridley_scott")
    assert record["answers"] == [{"text": "Ridley Scott", "node": node, "key": "ridley_scott"}]
    triple = graph.find_triple(graph.node("f1"), graph.relation("directed by"), node)
    assert record["facts"] == [
        {"triple": triple, "head": {"node": graph.node("f1"), "label": "Alien"}, "relation": "directed by",
         "tail": {"node": node, "label": "Ridley Scott"}}
    ]  # fmt: skip
    assert (record["plan"], record["plan_in_words"]) == ("Alien > directed by", "start at Alien; follow 'directed by'")
    assert record["proof"]["version"] == graph.version
    assert (record["model"], record["timings"]) == (model, {"total": 0.5})
    assert record["kg"] == {"store": graph.root.parent.parent.name, "version": graph.version, "base": graph.version, "sequence": 0}


def test_a_count_of_zero_is_an_answer(graph, planner):
    record = record_of("how many?", planner.run("count(Ridley Scott < starred actors)"), graph)
    assert (record["status"], record["count"], record["text"]) == ("answered", 0, "0")
    assert record["answers"] == [{"text": "0", "node": None, "key": None}]
    assert record["model"] is None
    assert list(record["timings"]) == ["total"]


def test_what_nothing_supports_is_not_an_answer(graph):
    record = record_of("q", Answer(strategy="closed_book", status="answered", answers=("Bob",)), graph)
    assert (record["status"], record["answers"], record["unverified"], record["proof"]) == ("empty", [], ["Bob"], UNPROVEN)
    assert record["text"] == "I do not know. Unverified: Bob."


def test_cited_answers_get_the_nodes_of_their_facts(graph):
    triple = graph.find_triple(graph.node("f1"), graph.relation("directed by"), graph.node("ridley_scott"))
    read = Answer(strategy="read", status="answered", answers=("ridley scott",), citations=(triple,), bad_citations=2)
    record = record_of("q", read, graph)
    assert record["answers"] == [{"text": "ridley scott", "node": graph.node("ridley_scott"), "key": "ridley_scott"}]
    assert (record["proof"], record["bad_citations"], len(record["facts"])) == (UNPROVEN, 2, 1)


def test_missing_facts_and_proposals_are_told(graph):
    fact = Proposed("Alien", "directed by", "Ridley Scott", 1, 2, "passage", "text", "p1")
    answer = Answer(strategy="cogmg", status="empty", missing=(Missing("Alien", "directed by", "?", 1),), unverified=("Ridley Scott",),
                    proposals=(fact,))  # fmt: skip
    record = record_of("q", answer, graph)
    assert record["missing"] == [{"head": "Alien", "relation": "directed by", "tail": "?"}]
    assert record["proposals"] == [fact.to_dict()]
    assert record["text"] == "I do not know. Unverified: Ridley Scott. The graph lacks: Alien - directed by - ?."


def test_facts_are_limited_and_texts_too(graph):
    many = tuple(range(graph.num_triples)) * 3
    record = record_of("q", Answer(strategy="x", status="empty", citations=many), graph)
    assert len(record["facts"]) == MOST_FACTS
    assert words("answered", [f"n{i}" for i in range(22)], [], []).endswith("n19; and 2 more")


@pytest.mark.parametrize("status", ["empty", "unparsable", "unlinked", "over_budget", "too_long"])
def test_no_answer_is_i_do_not_know(graph, status):
    record = record_of("q", Answer(strategy="x", status=status, plan="a > > b", error="why"), graph)
    assert (record["text"], record["error"]) == ("I do not know", "why")
    assert (record["plan_in_words"] is None) == (status == "unparsable")


def test_answers_that_a_policy_lets_through_stay_marked(graph):
    guess = Answer(strategy="auto", status="answered", answers=("Bob",), unverified=("Bob",))
    assert record_of("q", guess, graph)["text"] == "I do not know. Unverified: Bob."
    assert words("answered", ["Ann"], ["Bob"], []) == "Ann. Unverified: Bob."


def test_a_live_graph_tells_base_and_sequence(graph):
    class Live:
        version, root = "203b1b65f00afb86+12", graph.root

    assert kg_of(Live()) == {
        "store": graph.root.parent.parent.name, "version": "203b1b65f00afb86+12", "base": "203b1b65f00afb86", "sequence": 12,
    }  # fmt: skip

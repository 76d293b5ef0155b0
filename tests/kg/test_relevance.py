import numpy as np
import pytest

from raykg.kg.build import from_triples
from raykg.kg.relevance import rank_triples
from raykg.kg.retrieval.khop import Config, KHop
from tests.graphs import film_graph


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    return film_graph(tmp_path_factory.mktemp("films"))


def facts(graph, question, key, hops=2):
    node = [graph.node(key)] if key else []
    ids = KHop(Config(hops=hops)).retrieve(graph, node or [graph.node("f1")]).triple_ids
    order = rank_triples(graph, ids, question, node)
    assert sorted(order.tolist()) == list(range(len(ids)))
    assert order.tolist() == rank_triples(graph, ids, question, node).tolist()
    return [(graph.label(h), graph.relation_names[r], graph.label(t)) for h, r, t in map(graph.triple, ids[order].tolist())]


@pytest.mark.parametrize(
    ("question", "key", "relation"),
    [
        ("who directed Alien?", "f1", "directed by"),
        ("name the director of Alien", "f1", "directed by"),
        ("which actors are in Alien", "f1", "starred actors"),
        ("when was Alien released", "f1", "release year"),
        ("how long is Alien", "f1", "runtime"),
        ("what type of film is Alien", "f1", "has genre"),
        ("which languages are spoken in Alien?", "f1", "in language"),
    ],
)
def test_the_relation_that_a_question_asks_for_comes_first(graph, question, key, relation):
    assert facts(graph, question, key)[0][:2] == ("Alien", relation)


def test_two_steps_stay_together_first_step_first(graph):
    found = facts(graph, "which genres have the films directed by James Cameron", "james_cameron")
    films = [fact for fact in found[:6] if fact[1] == "directed by"]
    assert [found[0][0], found[1][0], found[2][0]] == [films[0][0]] * 3
    assert {fact[1] for fact in found[:6]} == {"directed by", "has genre"}
    assert len(films) == 2


def test_a_triple_between_two_entities_of_the_question_comes_first(graph):
    ids = KHop().retrieve(graph, [graph.node("f1"), graph.node("sigourney_weaver")]).triple_ids
    order = rank_triples(graph, ids, "is Sigourney Weaver in Alien?")  # the entities are found by their names
    assert graph.triple(int(ids[order[0]]))[::2] == (graph.node("f1"), graph.node("sigourney_weaver"))


def test_no_triples_and_no_words_are_fine(graph):
    assert len(rank_triples(graph, np.zeros(0, dtype=np.int64), "who?")) == 0
    ids = np.arange(5)
    assert rank_triples(graph, ids, "").tolist() == [0, 1, 2, 3, 4]
    assert sorted(rank_triples(graph, ids[::-1], "???", [graph.node("f4")]).tolist()) == [0, 1, 2, 3, 4]


def test_the_answer_is_among_the_first_facts_of_a_busy_entity(tmp_path):
    rows = [("film", "starred_actors", f"actor {i}") for i in range(60)] + [
        ("film", "has_genre", "Drama"),
        ("film", "release_year", "1999"),
    ]
    graph = from_triples(tmp_path, rows)
    ids = np.arange(graph.num_triples)
    for question, tail in (("what genre is film", "Drama"), ("when was film released", "1999")):
        order = rank_triples(graph, ids, question, [graph.node("film")])
        assert graph.label(graph.triple(int(order[0]))[2]) == tail

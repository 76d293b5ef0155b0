from types import SimpleNamespace

import pytest

from raykg.answer.question import Answer
from raykg.answer.support import UNSUPPORTED, cited_nodes, settled
from tests.graphs import film_graph


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    return film_graph(tmp_path_factory.mktemp("films"))


def triple(graph, head, relation, tail):
    return graph.find_triple(graph.node(head), graph.relation(relation), graph.node(tail))


def said(*answers, **more):
    return Answer(strategy="read", status="answered", answers=answers, **more)


def test_cited_names_are_labels_and_aliases(graph):
    cited = said("x", citations=(triple(graph, "f8", "starred actors", "arnold"),))
    found = cited_nodes(cited, graph)
    assert found["arnie"] == found["arnold schwarzenegger"] == graph.node("arnold")
    assert found["terminator"] == graph.node("f8")


def test_what_a_cited_triple_holds_stays_and_the_rest_is_unverified(graph):
    citations = (triple(graph, "f1", "directed by", "ridley_scott"), triple(graph, "f3", "directed by", "ridley_scott"))
    answer = settled(said("ridley scott", "Bob", "2", citations=citations, unverified=("u",)), graph)
    assert (answer.status, answer.answers, answer.unverified, answer.citations) == (
        "answered",
        ("ridley scott", "2"),
        ("u", "Bob"),
        citations,
    )
    nothing = settled(said("Bob", citations=citations), graph)
    assert (nothing.status, nothing.answers, nothing.citations, nothing.unverified, nothing.error) == (
        "empty", (), (), ("Bob",), UNSUPPORTED,
    )  # fmt: skip


def test_ids_stay_beside_their_answers(graph):
    cited = (triple(graph, "f1", "directed by", "ridley_scott"),)
    answer = settled(said("Bob", "Ridley Scott", ids=(3, graph.node("ridley_scott")), citations=cited), graph)
    assert (answer.answers, answer.ids) == (("Ridley Scott",), (graph.node("ridley_scott"),))


def test_proved_marked_and_missing_answers_are_left_alone(graph):
    proved = said("anything", proof=SimpleNamespace())
    marked = said("guess", unverified=("guess",))
    nothing = Answer(strategy="read", status="empty")
    assert [settled(one, graph) for one in (proved, marked, nothing)] == [proved, marked, nothing]
    assert settled(said("0"), graph).status == "empty", "a number of no citations is no support"

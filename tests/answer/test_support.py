from types import SimpleNamespace

import pytest

from raykg.answer.question import Answer
from raykg.answer.strategies.plan_execute import Config, PlanExecute
from raykg.answer.support import UNSUPPORTED, cited_nodes, is_proved, settled
from raykg.kg.linking import Linker
from raykg.kg.logical_form import bind, parse, prove
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
    proved = said("anything", proof=SimpleNamespace(triples=(1,), count=None))
    marked = said("guess", unverified=("guess",))
    nothing = Answer(strategy="read", status="empty")
    counted = said("0", count=0, proof=SimpleNamespace(triples=(), count=0))
    assert [settled(one, graph) for one in (proved, counted, marked, nothing)] == [proved, counted, marked, nothing]
    assert settled(said("0"), graph).status == "empty", "a number of no citations is no support"


def test_a_plan_that_only_repeats_a_name_proves_nothing(graph):
    planner = PlanExecute(Config(), graph, Linker(graph), None)
    assert not is_proved(planner.run("Alien"))
    form = parse("Alien | Aliens", graph)
    bound = bind(form, {"Alien": graph.node("f1"), "Aliens": graph.node("f2")})
    echo = said("Alien", "Aliens", proof=prove(bound, graph))
    assert echo.proof.triples == () and not is_proved(echo)
    answer = settled(echo, graph)
    assert (answer.status, answer.proof, answer.unverified) == ("empty", None, ("Alien", "Aliens"))
    assert is_proved(planner.run("Alien > directed by")) and is_proved(planner.run("count(Alien > influenced by)"))
    assert not is_proved(planner.run("Alien > influenced by"))

import pytest

from raykg.answer.ranges import Ranges
from raykg.kg.build import from_triples
from tests.graphs import film_graph


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    return film_graph(tmp_path_factory.mktemp("films"))


def test_nodes_fit_by_what_stands_there_and_by_type(graph):
    ranges, node, relation = Ranges(graph), graph.node, graph.relation
    directed = relation("directed by")
    assert ranges.fits(node("ridley_scott"), directed, at_head=False)
    assert ranges.fits(node("john_hurt"), directed, at_head=False), "a person, like directors"
    assert not ranges.fits(node("f1"), directed, at_head=False)
    assert ranges.fits(node("f1"), directed, at_head=True)
    assert not ranges.fits(node("ridley_scott"), directed, at_head=True)
    assert not ranges.fits(node("horror"), directed, at_head=False), "of no type, and nowhere a director"


def test_literals_fit_where_literals_stand(graph):
    ranges, node, relation = Ranges(graph), graph.node, graph.relation
    assert ranges.fits(node("117", "integer"), relation("release year"), at_head=False), "a number, as years are"
    assert not ranges.fits(node("117", "integer"), relation("directed by"), at_head=False)
    assert not ranges.fits(node("f1"), relation("release year"), at_head=False)


def test_a_relation_without_triples_fits_nothing(tmp_path):
    graph = from_triples(tmp_path, [("a", "r", "b")], relation_labels={"s": "s"})
    assert not Ranges(graph).fits(graph.node("a"), graph.relation("s"), at_head=True)

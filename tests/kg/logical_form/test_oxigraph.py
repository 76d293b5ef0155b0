import numpy as np
import pytest

from raykg.kg.build import from_triples
from raykg.kg.logical_form import Count, Entity, Hop, UnboundEntity, execute, oxigraph, parse, path
from tests.graphs import film_graph

# The agreement of Oxigraph with the executor and with plain sets is in test_execute.py.


def test_a_store_holds_the_graph_and_the_literals_numbers(tmp_path):
    graph = film_graph(tmp_path / "films")
    store = oxigraph.load(graph)
    assert len(store) == graph.num_triples + graph.is_literal.sum() + (~np.isnan(graph.values)).sum()


def test_a_store_lives_on_disk_where_asked(tmp_path):
    graph = from_triples(tmp_path / "graph", [("a", "r", "b"), ("a", "r", "c")])
    form = path(Entity("a", graph.node("a")), Hop("r"))
    store = oxigraph.load(graph, tmp_path / "oxigraph")
    assert oxigraph.answers(store, form, graph).answers.tolist() == execute(form, graph).answers.tolist()
    assert oxigraph.answers(store, Count(form), graph).count == 2
    assert any((tmp_path / "oxigraph").iterdir())
    with pytest.raises(UnboundEntity):
        oxigraph.answers(store, parse("a > r"), graph)

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raykg.kg.adjacency import Adjacency, bisect_ranges, expand_ranges
from raykg.kg.build import from_triples


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 3), st.integers(0, 6)), max_size=40), st.lists(st.integers(0, 6), max_size=8))
def test_hop_degree_and_edges_equal_brute_force(triples, nodes):
    rows = sorted(set(triples))
    heads, relations, tails = (np.array(column, dtype=np.int32) for column in (zip(*rows, strict=False) if rows else ((), (), ())))
    offsets = np.searchsorted(heads, np.arange(8))
    adjacency = Adjacency(offsets, relations, tails)
    for relation in range(5):
        expected = [(place, t, rows.index((h, r, t))) for place, node in enumerate(nodes) for h, r, t in rows if (h, r) == (node, relation)]
        hop = adjacency.hop(nodes, relation)
        assert list(zip(hop.source_index.tolist(), hop.neighbour.tolist(), hop.triple.tolist(), strict=False)) == expected
        assert adjacency.degree(nodes, relation).tolist() == [sum((h, r) == (node, relation) for h, r, _ in rows) for node in nodes]
    edges = adjacency.edges(nodes)
    assert adjacency.triples_of(nodes).tolist() == edges.triple.tolist()
    expected = [(place, r, t) for place, node in enumerate(nodes) for h, r, t in rows if h == node]
    assert list(zip(edges.source_index.tolist(), edges.relation.tolist(), edges.neighbour.tolist(), strict=False)) == expected
    counts = adjacency.relations_of(nodes)
    distinct = sorted({(place, r) for place, r, _ in expected})
    assert list(zip(counts.source_index.tolist(), counts.relation.tolist(), strict=False)) == distinct
    assert counts.edges.sum() == len(expected) == adjacency.degree(nodes).sum()


def test_forward_and_backward_hold_the_same_triples(tmp_path):
    rng = np.random.default_rng(3)
    given_triples = {(f"n{h}", f"r{r}", f"n{t}") for h, r, t in rng.integers(0, 12, (200, 3))}
    graph = from_triples(tmp_path, sorted(given_triples))
    back = graph.backward
    found = {(int(h), int(r), t, int(i)) for t in range(graph.num_entities) for _, r, h, i in zip(*back.edges([t]), strict=True)}
    assert found == {(*graph.triple(i), i) for i in range(graph.num_triples)}
    assert graph.num_triples == len(given_triples)


def test_expand_and_bisect():
    source, places = expand_ranges(np.array([3, 0, 7]), np.array([5, 0, 8]))
    assert (source.tolist(), places.tolist()) == ([0, 0, 2], [3, 4, 7])
    values = np.array([1, 3, 3, 9, 2, 4])
    assert bisect_ranges(values, np.array([0, 4]), np.array([4, 6]), 3).tolist() == [1, 5]


def test_no_nodes_gives_no_edges(tmp_path):
    graph = from_triples(tmp_path, [("a", "r", "b")])
    assert len(graph.forward.hop([], 0).neighbour) == len(graph.forward.edges([]).relation) == 0
    with pytest.raises(IndexError):
        graph.forward.hop([99], 0)

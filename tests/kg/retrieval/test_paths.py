import time

import numpy as np
import pytest

from raykg.kg.build import from_triples
from raykg.kg.retrieval import RetrievalBudget, RetrievalError
from raykg.kg.retrieval.paths import Config, Paths
from tests.kg.retrieval.random_graphs import random_graph, triples_of


def by_hand(graph, source, target, length):
    """Return every simple path of at most `length` edges, as triple ids in walking order, by depth-first search."""
    edges = triples_of(graph)
    found = []

    def walk(node, seen, path):
        if node == target:
            found.append(tuple(path))
            return
        if len(path) == length:
            return
        for i, (head, _, tail) in enumerate(edges):
            for near, far in {(head, tail), (tail, head)}:
                if near == node and far not in seen:
                    walk(far, seen | {far}, [*path, i])

    walk(source, {source}, [])
    return sorted(found, key=lambda path: (len(path), path))


@pytest.mark.parametrize("seed", range(15))
@pytest.mark.parametrize("length", [1, 2, 3, 4, 5])
def test_paths_are_those_of_a_depth_first_search(tmp_path, seed, length):
    graph = random_graph(tmp_path, seed)
    expected = by_hand(graph, 0, 1, length)
    assert Paths(Config(length=length)).paths(graph, 0, 1) == expected
    shortest = [path for path in expected if len(path) == len(expected[0])] if expected else []
    assert Paths(Config(length=length, shortest=True)).paths(graph, 0, 1) == shortest


@pytest.mark.parametrize("seed", range(6))
def test_a_subgraph_joins_the_paths_of_all_pairs(tmp_path, seed):
    graph = random_graph(tmp_path, seed)
    shortest: dict[int, int] = {}
    for pair in ((0, 1), (0, 2), (1, 2)):
        for path in by_hand(graph, *pair, 3):
            for triple in path:
                shortest[triple] = min(shortest.get(triple, 9), len(path))
    found = Paths(Config(length=3)).retrieve(graph, [0, 1, 2, 0])
    assert found.triple_ids.tolist() == sorted(shortest, key=lambda i: (shortest[i], i))
    np.testing.assert_allclose(found.scores, [1 / shortest[i] for i in found.triple_ids.tolist()])


def test_one_node_or_the_same_twice_has_no_paths(tmp_path):
    graph = random_graph(tmp_path, 1)
    assert len(Paths().retrieve(graph, [0]).triple_ids) == 0
    assert Paths().paths(graph, 2, 2) == []
    with pytest.raises(RetrievalError, match="node 500"):
        Paths().paths(graph, 0, 500)


def test_budgets_hold_in_a_graph_with_a_billion_paths(tmp_path):
    layers = [[f"l{level}_{i}" for i in range(60)] for level in range(5)]
    rows = [(a, "r", b) for upper, lower in zip(layers, layers[1:], strict=False) for a in upper for b in lower]
    rows += [("start", "r", name) for name in layers[0]] + [(name, "r", "end") for name in layers[-1]]
    graph = from_triples(tmp_path, rows)
    begin = time.monotonic()
    found = Paths(Config(length=6)).retrieve(graph, [graph.node("start"), graph.node("end")], RetrievalBudget(visited=100_000))
    assert time.monotonic() - begin < 5
    assert found.cut == "visited"
    assert found.visited <= 100_000
    again = Paths(Config(length=6)).retrieve(graph, [graph.node("start"), graph.node("end")], RetrievalBudget(visited=100_000))
    assert found.triple_ids.tolist() == again.triple_ids.tolist()
    late = Paths(Config(length=6)).retrieve(graph, [graph.node("start"), graph.node("end")], RetrievalBudget(seconds=1e-9))
    assert late.cut == "seconds"

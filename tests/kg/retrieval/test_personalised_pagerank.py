import numpy as np
import pytest

from raykg.kg.build import from_triples
from raykg.kg.retrieval import RetrievalBudget, RetrievalError
from raykg.kg.retrieval.personalised_pagerank import Config, PersonalisedPageRank
from tests.kg.retrieval.random_graphs import random_graph, triples_of


def dense(graph, nodes, restart):
    """Return each triple's traffic by solving p = (1 - r) P^T p + r s exactly, in float64, on the whole graph."""
    size = graph.num_entities
    weight = np.zeros((size, size))
    for head, _, tail in triples_of(graph):
        weight[head, tail] += 1
        weight[tail, head] += 1
    degree = weight.sum(axis=1)
    step = np.divide(weight, degree[:, None], out=np.zeros_like(weight), where=degree[:, None] > 0)
    start = np.zeros(size)
    start[nodes] = 1 / len(nodes)
    rank = np.linalg.solve(np.eye(size) - (1 - restart) * step.T, restart * start)
    return np.array([rank[head] / degree[head] + rank[tail] / degree[tail] for head, _, tail in triples_of(graph)])


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("restart", [0.15, 0.6])
def test_scores_equal_a_dense_solution(tmp_path, seed, restart):
    graph = random_graph(tmp_path, seed, nodes=8, triples=20)
    nodes = [0, 3]
    found = PersonalisedPageRank(Config(hops=20, restart=restart, iterations=2000)).retrieve(graph, nodes)
    expected = dense(graph, nodes, restart)
    reachable = np.flatnonzero(expected > 1e-12)
    assert sorted(found.triple_ids.tolist()) == reachable.tolist()
    np.testing.assert_allclose(found.scores, expected[found.triple_ids], atol=1e-7)
    assert (np.diff(found.scores) <= 0).all()


def test_what_lies_between_two_entities_comes_before_what_hangs_on_one(tmp_path):
    graph = from_triples(tmp_path, [("a", "r", "m"), ("m", "r", "b")] + [("a", "r", f"x{i}") for i in range(5)])
    found = PersonalisedPageRank().retrieve(graph, [graph.node("a"), graph.node("b")])
    first = {graph.triple(i)[::2] for i in found.triple_ids[:2].tolist()}
    assert first == {(graph.node("a"), graph.node("m")), (graph.node("m"), graph.node("b"))}


def test_equal_triples_stand_by_id_and_budgets_cut(tmp_path):
    graph = from_triples(tmp_path, [("hub", "r", f"x{i}") for i in range(30)])
    found = PersonalisedPageRank().retrieve(graph, [graph.node("hub")], RetrievalBudget(returned=10))
    assert found.triple_ids.tolist() == list(range(10))
    assert found.cut == "returned"
    assert PersonalisedPageRank().retrieve(graph, [graph.node("hub")], RetrievalBudget(visited=10)).cut == "visited"
    late = PersonalisedPageRank(Config(tolerance=1e-300)).retrieve(graph, [graph.node("hub")], RetrievalBudget(seconds=1e-9))
    assert late.cut == "seconds"
    assert len(PersonalisedPageRank().retrieve(graph, []).triple_ids) == 0


def test_errors_name_the_setting(tmp_path):
    with pytest.raises(ValueError, match=r"restart \(0\) must be above 0"):
        Config(restart=0)
    with pytest.raises(RetrievalError, match="node -1"):
        PersonalisedPageRank().retrieve(random_graph(tmp_path, 0), [-1])

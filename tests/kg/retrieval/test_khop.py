import numpy as np
import pytest

from raykg.kg.build import from_triples
from raykg.kg.retrieval import RetrievalBudget, RetrievalError
from raykg.kg.retrieval.khop import Config, KHop
from tests.kg.retrieval.random_graphs import random_graph, triples_of


def by_hand(graph, nodes, hops):
    """Return triple -> hop at which it is met."""
    reached, found = set(nodes), {}
    for hop in range(hops):
        new = set()
        for i, (head, _, tail) in enumerate(triples_of(graph)):
            if head in reached or tail in reached:
                found.setdefault(i, hop)
                new |= {head, tail}
        reached |= new
    return found


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("hops", [1, 2, 3])
def test_it_finds_what_brute_force_finds_nearest_first(tmp_path, seed, hops):
    graph = random_graph(tmp_path, seed)
    nodes = [0, graph.num_entities - 1]
    expected = by_hand(graph, nodes, hops)
    found = KHop(Config(hops=hops)).retrieve(graph, nodes)
    assert found.triple_ids.tolist() == sorted(expected, key=lambda i: (expected[i], i))
    assert found.scores.tolist() == [1 / (1 + expected[i]) for i in found.triple_ids.tolist()]
    assert found.cut is None
    assert found.triple_ids.dtype == np.int64


@pytest.fixture
def star(tmp_path):
    """Return a hub with 50 films, each with a director."""
    return from_triples(
        tmp_path, [(f"film{i:02}", "genre", "drama") for i in range(50)] + [(f"film{i:02}", "director", f"d{i}") for i in range(50)]
    )


def test_hubs_are_reached_but_not_walked_through_unless_the_question_names_them(star):
    film, hub = star.node("film07"), star.node("drama")
    narrow = KHop(Config(hops=3, hub_degree=10)).retrieve(star, [film])
    assert len(narrow.triple_ids) == 2
    assert len(KHop(Config(hops=3)).retrieve(star, [film]).triple_ids) == 100
    assert len(KHop(Config(hops=3, hub_degree=50)).retrieve(star, [film]).triple_ids) == 100, "no hub has more edges than that"
    assert len(KHop(Config(hops=3, hub_degree=49)).retrieve(star, [film]).triple_ids) == 2
    assert len(KHop(Config(hops=1, hub_degree=10)).retrieve(star, [hub]).triple_ids) == 50


def test_budgets_cut_at_the_same_place_and_say_so(star):
    hub = star.node("drama")
    cut = KHop().retrieve(star, [hub], RetrievalBudget(visited=20))
    again = KHop().retrieve(star, [hub], RetrievalBudget(visited=20))
    assert cut.cut == "visited"
    assert cut.visited == 20
    assert cut.triple_ids.tolist() == again.triple_ids.tolist()
    few = KHop().retrieve(star, [hub], RetrievalBudget(returned=7))
    assert (len(few.triple_ids), few.cut) == (7, "returned")
    late = KHop(Config(hops=3)).retrieve(star, [hub], RetrievalBudget(seconds=1e-9))
    assert late.cut == "seconds"
    assert len(late.triple_ids) == 50, "the first hop is always there"


def test_no_nodes_give_nothing_and_strange_ones_are_refused(star):
    assert len(KHop().retrieve(star, []).triple_ids) == 0
    assert len(KHop().retrieve(star, [3, 3]).triple_ids) == len(KHop().retrieve(star, [3]).triple_ids)
    with pytest.raises(RetrievalError, match=r"node 999: the graph has nodes 0 to"):
        KHop().retrieve(star, [999])


@pytest.mark.parametrize("limit", [{"visited": 0}, {"returned": -1}, {"seconds": 0.0}])
def test_a_budget_that_allows_nothing_is_refused(limit):
    with pytest.raises(RetrievalError, match=rf"budget.{next(iter(limit))} .* must be above 0"):
        RetrievalBudget(**limit)

import numpy as np
import pytest

from raykg.kg.build import from_triples
from raykg.kg.logical_form import bind, is_monotone, parse, write
from raykg.kg.logical_form.evaluate import Budget, GraphEdges, ListedEdges, Meter, prefix, trace, witnesses


@pytest.mark.parametrize(
    ("text", "monotone"),
    [
        ("a", True),
        ("~a > r & (b | c) < s [y > 3]", True),
        ("a > r [max y]", False),
        ("(a > r [max y]) & b", False),
        ("~(a | b) > r", False),
        ("~(a > r [min y]) > r", False),
        ("a - b", False),
        ("(a - b) > r", False),
        ("count(a)", False),
    ],
)
def test_which_plans_are_monotone(text, monotone):
    assert is_monotone(parse(text)) == monotone


def test_prefixes_are_forms_of_their_own():
    form = parse("~(a > r) [max y] > s [y > 1]")
    expected = ["a > r", "a > r [max y]", "~(a > r) [max y] > s", "~(a > r) [max y] > s [y > 1]"]
    assert [write(prefix(form, steps)) for steps in range(4)] == expected


def test_witnesses_lead_back_over_listed_edges_alone(tmp_path):
    graph = from_triples(tmp_path, [("a", "r", "b"), ("a", "r", "c"), ("b", "r", "d"), ("c", "r", "d"), ("c", "r", "e")])
    form = bind(parse("a > r > r"), {"a": graph.node("a")})
    traced = trace(form, graph, GraphEdges(graph), Meter(Budget()))
    d, e = graph.node("d"), graph.node("e")
    one = witnesses(traced, np.array([d]))
    assert [tuple(map(graph.label, (graph.heads[row], graph.tails[row]))) for row in one] == [("a", "b"), ("b", "d")]
    assert trace(form, graph, ListedEdges(graph, one), Meter(Budget())).nodes.tolist() == [d]
    both = witnesses(traced, np.sort(np.array([d, e])))
    assert len(both) == 4
    assert trace(form, graph, ListedEdges(graph, both[1:]), Meter(Budget(triples=4))).nodes.tolist() == [e]
    assert witnesses(traced, np.zeros(0, np.int64)).tolist() == []

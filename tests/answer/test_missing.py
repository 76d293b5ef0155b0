"""The missing pattern: exact for every shape of plan, checked against a brute-force reading of random graphs."""

import numpy as np
import pytest

from raykg.answer.missing import SupposedEdges, ends_in_the_gap, missing_patterns, unknown_patterns
from raykg.answer.question import Missing
from raykg.kg.build import from_triples
from raykg.kg.linking import Linker
from raykg.kg.logical_form import Budget, bind, entities, parse
from raykg.kg.logical_form.evaluate import GraphEdges, Meter, trace
from tests.answer.gaps import film_graph_without


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    gone = [("f1", "directed by", "ridley_scott"), ("f2", "runtime", "137"), ("f6", "in language", "french")]
    return film_graph_without(tmp_path_factory.mktemp("films"), *gone)


@pytest.fixture(scope="module")
def linker(graph):
    return Linker(graph)


def traced(graph, linker, plan, edges=None):
    form = parse(plan, graph)
    bound = bind(form, {one.name: linker.link(one.name)[0].node for one in entities(form)})
    return trace(bound, graph, edges or GraphEdges(graph), Meter(Budget()))


def missing(graph, linker, plan, limit=3):
    return [(one.head, one.relation, one.tail) for one in missing_patterns(traced(graph, linker, plan), graph, limit)]


@pytest.mark.parametrize(
    ("plan", "patterns"),
    [
        ("Alien > directed by", [("Alien", "directed by", "?")]),
        ("Alien > directed by > influenced by", [("Alien", "directed by", "?")]),
        ("Ridley Scott < directed by > influenced by", [("Blade Runner", "influenced by", "?")]),
        ("Alien < directed by", [("?", "directed by", "Alien")]),
        ("~Alien > directed by < directed by", [("Alien", "directed by", "?")]),
        ("french < in language > directed by", [("?", "in language", "french")]),
        ("Sigourney Weaver < starred actors > influenced by", [("Alien", "influenced by", "?"), ("Aliens", "influenced by", "?")]),
        ("Aliens [max runtime]", [("Aliens", "runtime", "?")]),
        ("Aliens [runtime > 100]", [("Aliens", "runtime", "?")]),
        ("The Terminator [runtime > 200]", []),  # it has a runtime: nothing is missing, there is no such film
        ("french < in language [release year > 2020]", [("?", "in language", "french")]),
        ("Jean-Pierre Jeunet < directed by [release year > 2020]", [("?", "directed by", "Jean-Pierre Jeunet")]),
        ("(Alien | Aliens) [release year > 2020]", []),
        ("~(~Ridley Scott < directed by) > has genre < has genre [release year > 2020]",
         [("?", "has genre", "science fiction")]),
        ("Alien > directed by & Ridley Scott", [("Alien", "directed by", "?")]),
        ("(Aliens > starred actors) & Al Pacino", [("Aliens", "starred actors", "?")]),
        ("Al Pacino < starred actors & Rutger Hauer < starred actors",
         [("?", "starred actors", "Al Pacino"), ("?", "starred actors", "Rutger Hauer")]),
        ("(Alien > directed by | Amélie > in language)", [("Alien", "directed by", "?"), ("Amélie", "in language", "?")]),
        ("(Heat > starred actors) - Heat > starred actors", [("Heat", "starred actors", "?")]),
        ("(Alien > directed by) - Amélie", [("Alien", "directed by", "?")]),
        ("(Aliens > starred actors) > directed by", [("Michael Biehn", "directed by", "?"), ("Sigourney Weaver", "directed by", "?")]),
        ("((Alien > directed by) & Amélie) > has genre", [("Alien", "directed by", "?")]),
        ("count(Alien > directed by)", []),  # a count of 0 is an answer
        ("Aliens > directed by", []),
        ("Alien", []),
    ],
)  # fmt: skip
def test_the_first_step_that_gives_nothing_is_named(graph, linker, plan, patterns):
    assert sorted(missing(graph, linker, plan)[: len(patterns) or 3]) == sorted(patterns)[: len(patterns) or 3]
    found = missing_patterns(traced(graph, linker, plan), graph)
    for one in found:
        node = one.head_id if one.tail == "?" else one.tail_id
        assert graph.label(node) == (one.head if one.tail == "?" else one.tail)


def test_patterns_are_limited(graph, linker):
    assert len(missing(graph, linker, "english < in language > influenced by", 2)) == 2
    assert len(missing(graph, linker, "english < in language > influenced by", 50)) == 7


def test_a_gap_at_the_end_is_told_from_one_on_the_way(graph, linker):
    assert ends_in_the_gap(traced(graph, linker, "Alien > directed by"))
    assert not ends_in_the_gap(traced(graph, linker, "Alien > directed by > influenced by"))
    assert not ends_in_the_gap(traced(graph, linker, "Aliens [max runtime]"))
    assert not ends_in_the_gap(traced(graph, linker, "Aliens > directed by"))
    assert not ends_in_the_gap(traced(graph, linker, "Al Pacino < starred actors & Rutger Hauer < starred actors"))


def test_a_name_that_is_no_node_misses_its_first_hop(graph):
    form = parse("(Zork > directed by) & Qux < starred actors & Alien", graph)
    assert unknown_patterns(form, ["Zork", "Qux"]) == (Missing("Zork", "directed by", "?"), Missing("?", "starred actors", "Qux"))
    assert unknown_patterns(form, ["Alien"]) == ()
    assert unknown_patterns(parse("count(Zork > directed by)", graph), ["Zork"]) == (Missing("Zork", "directed by", "?"),)


def test_supposed_facts_complete_a_plan(graph, linker):
    node, relation = graph.node, graph.relation("directed by")
    edges = SupposedEdges(graph, [(node("f1"), relation, node("ridley_scott"))])
    found = traced(graph, linker, "Alien > directed by < directed by", edges)
    assert set(graph.labels(found.nodes)) == {"Alien", "Blade Runner"}
    assert edges.degree(np.array([node("f1")]), relation, True) >= 1
    assert not len(traced(graph, linker, "Alien > directed by", SupposedEdges(graph, [])).nodes)


@pytest.mark.parametrize("seed", range(60))
def test_on_random_graphs_the_pattern_is_really_missing_and_mends_the_step(tmp_path_factory, seed):
    random = np.random.default_rng(seed)
    names, relations = [f"n{i}" for i in range(8)], ["ra", "rb", "rc"]
    facts = sorted({(str(random.choice(names)), str(random.choice(relations)), str(random.choice(names))) for _ in range(10)})
    graph = from_triples(tmp_path_factory.mktemp("random"), facts, labels={name: name for name in names})
    hops = [(str(random.choice(graph.relation_names)), bool(random.integers(2))) for _ in range(3)]
    start = str(random.choice(names))
    text = start + "".join(f" {'>' if forward else '<'} {relation}" for relation, forward in hops)
    form = bind(parse(text, graph), {start: graph.node(start)})
    here, expected = {start}, set()
    for relation, forward in hops:  # the same, over the tuples
        there = {(t if forward else h) for h, r, t in facts if r == relation and (h if forward else t) in here}
        if not there:
            expected = {(node, relation, "?") if forward else ("?", relation, node) for node in here}
            break
        here = there
    found = missing_patterns(trace(form, graph, GraphEdges(graph), Meter(Budget())), graph, 100)
    assert {(one.head, one.relation, one.tail) for one in found} == expected

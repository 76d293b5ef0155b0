"""What holds of every generated row whatever the graph: true answers, true chains, topics in order; checked by loops over sets."""

import os
import random
import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raykg.data.errors import DataError
from raykg.data.generate import Generator
from raykg.data.masking import held_out, mask, wordings
from raykg.data.shapes import KINDS
from raykg.data.sources.generated import Config
from raykg.kg.build import from_triples
from raykg.kg.logical_form import Count, Hop, Path, bind, entities, parse, write
from tests.data.random_graphs import random_graph
from tests.data.set_evaluator import SetEvaluator

PATHS = Config(split="all", kinds={"path": 1.0})
EVERY_KIND = replace(PATHS, kinds=dict.fromkeys(KINDS, 1.0), topics_bracketed=True)
SEED = 5

# Names and values that mean something to plans, patterns, wordings or masks.
NAMES = [
    'say "when"', "Heat - 2", "A & B", "(500) Days", "count(x)", "~tilde", "{x}", "(which|what)", "?1", "?2 or ?1", "It", "director",
    "1984", "a > b < c", "max", "Amélie's", "back\\slash", "x, y; z", "the the", "<films>",
]  # fmt: skip
SIZES = ["-3", "0", "2.5", "7", "1984", "1000000"]
DATES = ["1999-12-31", "2000-01-01", "2024-02-29"]
LABELS = {"r0": "directed by", "r1": "is (part|piece) of", "r2": "a > b", "size": "shoe size", "born": "date of birth"}


def awkward_graph(folder, seed):
    draw = random.Random(seed)
    nodes = range(len(NAMES))
    rows = {(f"n{draw.choice(nodes)}", f"r{draw.randrange(3)}", f"n{draw.choice(nodes)}") for _ in range(70)}
    rows |= {(f"n{node}", "size", draw.choice(SIZES)) for node in nodes if draw.random() < 0.7}
    rows |= {(f"n{node}", "born", draw.choice(DATES)) for node in nodes if draw.random() < 0.7}
    labels = {f"n{node}": NAMES[node] for node in nodes}
    literals = {"size": "decimal", "born": "date"}
    return from_triples(folder, sorted(rows), literals=literals, labels=labels, relation_labels=LABELS)


@pytest.fixture(scope="module")
def graphs(films, tmp_path_factory):
    folder = tmp_path_factory.mktemp("properties")
    awkward = {f"awkward {seed}": awkward_graph(folder / f"a{seed}", seed) for seed in range(3)}
    return {"films": films, "dense": random_graph(folder / "r", 3), "sparse": random_graph(folder / "s", 4, nodes=30), **awkward}


@pytest.fixture(scope="module")
def rows(graphs):
    return {name: Generator(graph, EVERY_KIND, SEED).rows(np.arange(160)).to_pylist() for name, graph in graphs.items()}


GRAPHS = pytest.mark.parametrize(
    "name", ["films", "dense", "sparse", "awkward 0", *(pytest.param(f"awkward {n}", marks=pytest.mark.story) for n in (1, 2))]
)


def bound(row, graph):
    return bind(parse(row["plan"], graph), dict(zip(row["topics"], row["topic_ids"], strict=True)))


@GRAPHS
def test_the_plan_gives_the_answers_and_nothing_else(name, graphs, rows):
    graph, evaluator = graphs[name], SetEvaluator(graphs[name])
    assert len(rows[name]) > 100
    for row in rows[name]:
        form = bound(row, graph)
        assert write(form) == row["plan"], "canonical"
        nodes = evaluator.evaluate(form).nodes
        if isinstance(form, Count):
            assert (row["answers"], row["answer_ids"]) == ([str(len(nodes))], [])
        else:
            assert row["answer_ids"] == sorted(nodes)
            assert row["answers"] == graph.labels(np.array(row["answer_ids"]))
        assert nodes


@GRAPHS
def test_a_chain_stands_for_the_set_of_triples_walked_over(name, graphs, rows):
    """Two questions have one chain if and only if answering them walks over the same triples."""
    evaluator = SetEvaluator(graphs[name])
    by_chain, by_triples = {}, {}
    for row in rows[name]:
        triples = frozenset(evaluator.evaluate(bound(row, graphs[name])).triples)
        by_chain.setdefault(row["chain"], set()).add(triples)
        by_triples.setdefault(triples, set()).add(row["chain"])
    assert all(len(found) == 1 for found in by_chain.values())
    assert all(len(found) == 1 for found in by_triples.values())
    assert 0 not in by_chain
    assert len(by_chain) < len(rows[name]), "some chains are asked about twice, or this shows nothing"


@GRAPHS
def test_topics_are_the_bracketed_names_of_the_question_in_its_order(name, graphs, rows):
    """With every name in brackets, each question holds its topics in their order, and they are the entities of the plan."""
    turned = 0
    for row in rows[name]:
        places = [row["question"].index(f"[{topic}]") for topic in row["topics"]]
        assert places == sorted(places), row["question"]
        assert row["question"].count("[") == len(row["topics"]) + sum(topic.count("[") for topic in row["topics"])
        named = [entity.name for entity in entities(parse(row["plan"]))]
        assert sorted(named) == sorted(row["topics"])
        turned += named != row["topics"]
    assert turned, "in some question the second entity of the plan comes first"


@GRAPHS
def test_topics_without_brackets_are_the_same(name, graphs, rows):
    bare = Generator(graphs[name], replace(EVERY_KIND, topics_bracketed=False), SEED).rows(np.arange(160)).to_pylist()
    assert len(bare) == len(rows[name])
    for one, other in zip(bare, rows[name], strict=True):
        question = other["question"]
        for topic in other["topics"]:
            question = question.replace(f"[{topic}]", topic, 1)
        assert question == one["question"]
        assert {key: one[key] for key in one if key not in ("question", "id")} == {
            key: other[key] for key in other if key not in ("question", "id")
        }


@GRAPHS
def test_no_walk_comes_back_to_its_topic_unless_its_plan_says_so(name, graphs):
    """All nodes may share a step or two here, so a walk of several hops that could return carries `~`, which its answers show."""
    chosen = replace(EVERY_KIND, kinds={"path": 1.0, "count": 0.3}, hops=(0.0, 1.0, 1.0))
    graph, evaluator = graphs[name], SetEvaluator(graphs[name])
    away = 0
    for row in Generator(graph, chosen, SEED).rows(np.arange(160)).to_pylist():
        form = bound(row, graph)
        walk = form.of if isinstance(form, Count) else form
        assert isinstance(walk, Path)
        away += walk.away
        for hops in range(2, len(walk.steps) + 1):
            assert row["topic_ids"][0] not in evaluator.evaluate(replace(walk, steps=walk.steps[:hops])).nodes, row["plan"]
    assert away > 20
    plain = Generator(graph, replace(chosen, exclude_topic=False), SEED).rows(np.arange(160)).to_pylist()
    assert any(row["topic_ids"][0] in row["answer_ids"] for row in plain), "without the setting walks do come back"


@pytest.mark.parametrize(("shared", "signs"), [(1, {False}), (20, {True})])
def test_names_shared_by_chance_do_not_make_a_walk_one_that_returns(tmp_path, shared, signs):
    """One person of 100 has the name of a river, by mistake; where it is a fifth of them, it is none."""
    people = [(f"p{number}", "lives in", f"c{number % 50}") for number in range(100)]
    rivers = [(f"c{number % 50}", "has river", f"{'p' if number < shared else 'v'}{number}") for number in range(100)]
    plans = (
        Generator(from_triples(tmp_path, people + rivers), replace(PATHS, hops=(0.0, 1.0, 0.0))).rows(np.arange(300))["plan"].to_pylist()
    )
    assert {plan.startswith("~") for plan in plans if " > lives in > has river" in plan} == signs


@GRAPHS
def test_the_wording_is_the_masked_question_whatever_the_names(name, rows):
    """A filter's number is masked too, though it is no topic."""
    numberless = [row for row in rows[name] if row["kind"] != "filter"]
    masked = mask(pa.array([row["question"] for row in numberless]), pa.array([row["topics"] for row in numberless]))
    assert wordings(masked).to_pylist() == [row["wording"] for row in numberless]
    for row in rows[name]:
        assert row["wording"].split().count("_") >= len(row["topics"]) + (row["kind"] == "filter")
        assert not re.search(r"\b\d", row["wording"]), "no number but in a relation's name"


def test_the_wordings_of_a_plan_do_not_depend_on_its_entities(films):
    """All actors are asked about in the same four ways."""
    chosen = replace(PATHS, hops=(1.0, 0.0, 0.0), wordings="movies", wordings_per_plan=4)
    found = {}
    for row in Generator(films, chosen).rows(np.arange(4500)).to_pylist():
        if row["template"] == "?1 < starred actors":
            found.setdefault(row["topics"][0], set()).add((row["wording"], row["question"].replace(row["topics"][0], "X")))
    starred = films.relation("starred_actors")
    assert set(found) == set(films.labels(np.unique(films.tails[films.relation_ids == starred])))
    union = set().union(*found.values())
    assert len(union) == 4
    assert all(words == union for words in found.values())


@pytest.mark.parametrize("authored", ["movies", None])
def test_a_quarter_of_the_wordings_is_held_out(films, authored):
    chosen = replace(PATHS, wordings=authored, hold_out_wordings=0.25)
    seen = {row["wording"]: row["wording_seen"] for row in Generator(films, chosen).rows(np.arange(1500)).to_pylist()}
    share = sum(not kept for kept in seen.values()) / len(seen)
    assert len(seen) > 400
    assert abs(share - 0.25) < 4 * (0.25 * 0.75 / len(seen)) ** 0.5, "four standard deviations"
    train = set(Generator(films, replace(chosen, split="train", test_share=0.0)).rows(np.arange(1500))["wording"].to_pylist())
    assert not train & {wording for wording, kept in seen.items() if not kept}
    assert not held_out(pa.array(sorted(train)), 0.25).any()


@GRAPHS
def test_no_question_meets_more_edges_or_answers_than_it_may(name, graphs):
    chosen = replace(EVERY_KIND, max_edges=4, max_answers=3)
    evaluator = SetEvaluator(graphs[name])
    found = Generator(graphs[name], chosen, SEED).rows(np.arange(100)).to_pylist()
    assert len(found) > 50
    for row in found:
        assert evaluator.evaluate(bound(row, graphs[name])).most_edges <= 4, row["plan"]
        assert len(row["answers"]) <= 3


@GRAPHS
def test_training_walks_over_no_chain_of_the_test(name, graphs):
    """Said of the triples themselves: no training question walks over exactly the triples that a test question walks over."""
    evaluator = SetEvaluator(graphs[name])
    walked = {}
    for split in ("train", "test"):
        chosen = replace(EVERY_KIND, split=split, test_share=0.4)
        found = Generator(graphs[name], chosen, seed=len(split)).rows(np.arange(120)).to_pylist()
        walked[split] = {frozenset(evaluator.evaluate(bound(row, graphs[name])).triples) for row in found}
    assert len(walked["train"]) > 20
    assert len(walked["test"]) > 20
    assert not walked["train"] & walked["test"]


@given(st.lists(st.integers(0, 2**40), min_size=1, max_size=12), st.integers(0, 2**63), st.data())
@settings(max_examples=12, deadline=None)
def test_a_row_is_a_function_of_seed_and_number(films, numbers, seed, data):
    """In any order, in any company, twice or once, by a fresh generator or by one that has drawn others before."""
    used = Generator(films, EVERY_KIND, seed)
    alone = {number: used.rows(np.array([number])).to_pylist() for number in numbers}
    order = data.draw(st.permutations(numbers + numbers[:1]))
    together = Generator(films, EVERY_KIND, seed).rows(np.array(order)).to_pylist()
    assert together == [row for number in order for row in alone[number]]


def test_a_larger_set_contains_a_smaller_one_and_other_seeds_ask_otherwise(films):
    generator = Generator(films, EVERY_KIND, SEED)
    small, large = (generator.rows(np.arange(count)) for count in (40, 90))
    assert large.slice(0, small.num_rows) == small
    other = Generator(films, EVERY_KIND, SEED + 1).rows(np.arange(90))
    same = sum(one == two for one, two in zip(large["plan"].to_pylist(), other["plan"].to_pylist(), strict=False))
    assert same < 20


def test_another_process_draws_the_same_rows(films):
    """Python's hashes of texts differ from process to process; rows do not."""
    code = (
        "import sys; import numpy as np; from raykg.kg.graph import KnowledgeGraph; from raykg.data.generate import *\n"
        "from raykg.data.sources.generated import Config\n"
        "chosen = Config(split='all', kinds=dict.fromkeys(KINDS, 1.0), topics_bracketed=True)\n"
        "print(*Generator(KnowledgeGraph.open(sys.argv[1]), chosen, 5).rows(np.arange(60))['id'].to_pylist())\n"
    )
    environment = os.environ | {"PYTHONHASHSEED": "1234"}
    ran = subprocess.run([sys.executable, "-c", code, str(films.root)], env=environment, capture_output=True, text=True, check=True)
    assert ran.stdout.split() == Generator(films, EVERY_KIND, SEED).rows(np.arange(60))["id"].to_pylist()


def test_hops_say_the_longest_path_and_kinds_the_plan(rows):
    for row in rows["films"]:
        form = parse(row["plan"])
        if isinstance(form, Path) and all(isinstance(step, Hop) for step in form.steps):
            assert (row["kind"], row["hops"]) == (f"{len(form.steps)}-hop", len(form.steps))
        else:
            assert row["kind"] in KINDS[1:]


def test_a_relation_that_looks_like_a_slot_is_refused(tmp_path):
    """Else a topic would be written into the relation's name."""
    graph = from_triples(tmp_path, [("a", "r", "b")], relation_labels={"r": "made in ?1"})
    with pytest.raises(DataError, match="relation 'made in \\?1': .* rename the relation"):
        Generator(graph, PATHS)

"""With a needed fact gone nothing wrong is proved: 100 questions, an oracle planner, and a real model of random weights."""

from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from raykg.answer.generation import Generator
from raykg.answer.strategies import auto, cogmg, plan_execute, walk
from raykg.data.prompts import PLAN_MARKER, PLAN_OPENER
from raykg.data.questions import question_table
from raykg.eval.suites.deleted_facts import ask_without_facts, delete_facts, deleted_facts_markdown, needed_fact
from raykg.eval.suites.kgqa import EvaluationError
from raykg.kg.build import from_triples
from raykg.kg.linking import Linker
from raykg.kg.logical_form import bind, entities, execute, parse
from raykg.models.reference import load_model, load_tokenizer, resolve

COUNT = 100


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tmp_path_factory.mktemp("world")


@pytest.fixture(scope="module")
def graph(store):
    """A world of 120 films, one director and one year each, several actors."""
    random = np.random.default_rng(5)
    triples = []
    for film in range(120):
        triples += [(f"film{film}", "directed_by", f"director{film % 60}"), (f"film{film}", "release_year", str(1950 + film % 70))]
        triples += [(f"film{film}", "starred_actors", f"actor{actor}") for actor in random.choice(90, 3, replace=False)]
        triples.append((f"director{film % 60}", "born_in", f"city{film % 60 % 17}"))
    types = {key: "".join(c for c in key if c.isalpha()) for triple in triples for key in triple[::2] if not key.isdigit()}
    labels = {key: f"{kind.title()} {key.removeprefix(kind)}" for key, kind in types.items()}
    return from_triples(store, triples, literals={"release_year": "integer"}, labels=labels, types=types)


def rows_of(graph, plans):
    rows = {name: [] for name in ("question", "topics", "topic_ids", "plan", "answers", "answer_ids", "kind")}
    linker = Linker(graph)
    for number, text in enumerate(plans):
        names = list(dict.fromkeys(one.name for one in entities(parse(text, graph))))
        nodes = [linker.link(name)[0].node for name in names]
        result = execute(bind(parse(text, graph), dict(zip(names, nodes, strict=True))), graph)
        answers = [str(result.count)] if result.count is not None else graph.labels(result.answers)
        values = (f"question {number} about {' and '.join(names)}?", names, nodes, text, answers, result.answers.tolist(), "x")
        for column, value in zip(rows.values(), values, strict=True):
            column.append(value)
    return question_table(rows, kg_version=graph.version)


@pytest.fixture(scope="module")
def rows(graph):
    plans = [f"Film {film} > directed by" for film in range(60)]
    plans += [f"Film {film} > directed by > born in" for film in range(60, 100)]
    plans += [f"Film {film} > release year" for film in range(100, 120)]
    plans += [f"count(Director {number} < directed by)" for number in range(10)]
    plans += [f"Director {number} < directed by [max release year]" for number in range(10)]
    plans += [f"Actor {number} < starred actors" for number in range(20)]
    return rows_of(graph, plans)


@pytest.fixture(scope="module")
def deleted(graph, rows, store):
    return delete_facts(graph, rows, store, COUNT, seed=3)


class Oracle:
    """Writes the gold plan of each question, and its answer where it is asked for a fact."""

    tokenizer = None

    def __init__(self, rows, facts=()):
        self.plans = dict(zip(rows["question"].to_pylist(), rows["plan"].to_pylist(), strict=True))
        self.facts = {f"Q: {head} {relation} ?": tail for head, relation, tail in facts}
        self.facts |= {f"Q: ? {relation} {tail}": head for head, relation, tail in facts}

    def generate(self, prompts, *rest, **more):
        return [self.text(prompt) for prompt in prompts]

    def text(self, prompt):
        question, mark, _ = prompt.rpartition(PLAN_MARKER)
        if mark:
            return f" {self.plans[question.removeprefix(PLAN_OPENER)]}"
        return " " + self.facts.get(prompt.splitlines()[-2], "")


def test_needed_facts_are_those_without_which_nothing_is_left(graph):
    node, relation = graph.node, graph.relation
    [row] = rows_of(graph, ["Film 3 > directed by > born in"]).to_pylist()
    assert needed_fact(graph, row) == graph.find_triple(node("director3"), relation("born in"), node("city3")), "nearest to the answer"
    several, count, best = rows_of(
        graph, ["Film 3 > starred actors", "count(Film 3 > directed by)", "Film 3 [max release year]"]
    ).to_pylist()
    assert needed_fact(graph, several) is needed_fact(graph, count) is needed_fact(graph, best) is None
    for plan in ("", "Film 3 > > x", "Film 3 > nothing"):
        assert needed_fact(graph, row | {"plan": plan}) is None
    assert needed_fact(graph, row | {"topic_ids": [node("city3")]}) is None, "a plan that gives nothing needs nothing"


def test_the_facts_are_gone_and_nodes_stay(graph, rows, deleted):
    assert deleted.rows.num_rows == len(deleted.triples) == COUNT
    assert deleted.graph.num_triples == graph.num_triples - len(set(deleted.triples))
    assert deleted.graph.keys(range(graph.num_entities)) == graph.keys(range(graph.num_entities))
    for triple in deleted.triples:
        assert deleted.graph.find_triple(*graph.triple(triple)) == -1
    assert not any("count" in plan or "max" in plan for plan in deleted.rows["plan"].to_pylist())
    with pytest.raises(EvaluationError, match=r"count \(500\): only \d+ of \d+ questions hang on one fact: give more questions"):
        delete_facts(graph, rows, graph.root.parent.parent, 500)


@pytest.mark.parametrize("topics", ["given", "linked"])
def test_an_oracle_planner_proves_nothing_wrong_and_cogmg_names_each_fact(deleted, topics):
    results = {}
    for module, cls in ((plan_execute, plan_execute.PlanExecute), (cogmg, cogmg.Cogmg)):
        oracle = Oracle(deleted.rows)
        make = lambda graph, cls=cls, module=module, oracle=oracle: cls(module.Config(), graph, Linker(graph), oracle)  # noqa: E731
        results[cls.name] = ask_without_facts(make, deleted, topics)
    for result in results.values():
        assert (result.questions, result.abstained, result.proved, result.proved_wrong) == (COUNT, COUNT, 0, 0)
    assert results["plan_execute"].named == 0
    assert results["cogmg"].named == COUNT
    assert results["cogmg"].unverified_right == 0, "the oracle remembers no fact here"
    text = deleted_facts_markdown(results)
    assert f"| cogmg | {COUNT} | {COUNT} | 0 | 0 | 0 | {COUNT} | 0 |" in text
    assert deleted_facts_markdown({}) == ""


def test_what_a_model_remembers_is_proposed_and_never_proved(deleted):
    oracle = Oracle(deleted.rows, deleted.facts)
    result = ask_without_facts(lambda graph: cogmg.Cogmg(cogmg.Config(), graph, Linker(graph), oracle), deleted)
    assert (result.proved, result.abstained, result.unverified_right) == (0, COUNT, COUNT)


def test_a_plan_that_asks_something_else_is_told_apart(deleted):
    oracle = Oracle(deleted.rows)
    question = deleted.rows["question"][0].as_py()
    oracle.plans[question] = "count(Director 59 < directed by)"
    make = lambda graph: plan_execute.PlanExecute(plan_execute.Config(), graph, Linker(graph), oracle)  # noqa: E731
    result = ask_without_facts(make, deleted, "linked")
    assert (result.proved, result.proved_wrong, result.misplanned, result.abstained) == (1, 1, 1, COUNT - 1)


def test_before_the_deletion_the_same_questions_are_answered(graph, deleted):
    whole = SimpleNamespace(graph=graph, rows=deleted.rows, facts=deleted.facts)
    oracle = Oracle(deleted.rows)
    result = ask_without_facts(lambda over: cogmg.Cogmg(cogmg.Config(), over, Linker(over), oracle), whole)
    assert (result.proved, result.proved_wrong, result.abstained) == (COUNT, 0, 0)


def test_a_real_model_of_random_weights_proves_nothing_wrong(graph, deleted, tmp_path):
    folder = resolve("tiny:llama", cache=tmp_path)
    generator = Generator(load_model(folder, "float32"), load_tokenizer(folder))
    for make in (
        lambda over: plan_execute.PlanExecute(plan_execute.Config(max_tokens=24), over, Linker(over), generator),
        lambda over: cogmg.Cogmg(cogmg.Config(plan=plan_execute.Config(max_tokens=24), max_tokens=4), over, Linker(over), generator),
    ):
        few = SimpleNamespace(graph=deleted.graph, rows=deleted.rows.slice(0, 8), facts=deleted.facts[:8])
        result = ask_without_facts(make, few)
        assert result.questions == 8
        assert result.proved_wrong == result.misplanned <= result.proved, "a wrong plan proves what it asks, the deletion nothing"


def test_the_policy_abstains_too(deleted):
    oracle = Oracle(deleted.rows)

    def make(graph):
        linker = Linker(graph)
        inner = [plan_execute.PlanExecute(plan_execute.Config(), graph, linker, oracle), cogmg.Cogmg(cogmg.Config(), graph, linker, oracle)]
        return auto.Auto(auto.Config(), graph, linker, oracle, inner)

    result = ask_without_facts(make, deleted)
    assert (result.abstained, result.proved_wrong, result.named) == (COUNT, 0, COUNT)
    assert walk.Walk.name == "walk" and pa.types.is_string(deleted.rows["plan"].type)

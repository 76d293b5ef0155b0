import time
from itertools import count

import numpy as np
import pytest

from raykg.data.ground import Facts, complete_evidence, fact_texts, facts_for_question, gold_evidence, ground, ground_together
from raykg.data.prompts import fact_line, parse_read_answer
from raykg.data.tokenise import token_ids
from raykg.kg.graph import KnowledgeGraph
from raykg.models import tiny
from tests.data.question_rows import FILM_QUESTIONS, film_questions
from tests.graphs import film_graph


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> KnowledgeGraph:
    return film_graph(tmp_path_factory.mktemp("graph"))


@pytest.fixture(scope="module")
def tokenizer():
    return tiny.tokenizer()


@pytest.fixture(scope="module")
def rows(graph: KnowledgeGraph, tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    return film_questions(tmp_path_factory.mktemp("questions"), graph).to_table().to_pylist()


def lines(facts: Facts, tokenizer) -> int:
    return sum(len(ids) for ids in token_ids(tokenizer, [fact_line(n, text) for n, text in enumerate(facts.texts, start=1)]))


def test_facts_are_said_shortly(graph: KnowledgeGraph) -> None:
    triple = graph.find_triple(graph.node("f1"), graph.relation("directed by"), graph.node("ridley_scott"))
    assert fact_texts(graph, np.array([triple])) == ["Alien directed by Ridley Scott"]


@pytest.mark.parametrize("budget", [1, 40, 64, 150, 400])
def test_retrieved_facts_fit_the_budget_best_first(graph: KnowledgeGraph, tokenizer, budget: int) -> None:
    facts = facts_for_question(graph, "who directed Alien?", [graph.node("f1")], tokenizer, budget)
    assert lines(facts, tokenizer) <= budget
    assert list(facts.texts) == fact_texts(graph, facts.triple_ids)
    if budget >= 40:
        assert facts.texts[0] == "Alien directed by Ridley Scott"
    else:
        assert facts.texts == ()


def test_without_a_known_entity_there_are_no_facts(graph: KnowledgeGraph, tokenizer) -> None:
    assert facts_for_question(graph, "who?", [], tokenizer).texts == ()
    assert facts_for_question(graph, "who?", [-1], tokenizer).texts == ()


@pytest.mark.parametrize("number", range(len(FILM_QUESTIONS)))
@pytest.mark.parametrize("seed", [0, 1])
def test_a_target_says_what_its_lines_support(graph: KnowledgeGraph, tokenizer, rows: list[dict], number: int, seed: int) -> None:
    row = rows[number]
    made = ground(graph, row, tokenizer, 500, seed)
    assert made is not None
    assert lines(made.facts, tokenizer) <= 500
    said = parse_read_answer(made.target, len(made.facts.texts))
    assert set(said.answers) == set(row["answers"])
    assert not said.bad_citations
    cited = {int(made.facts.triple_ids[line - 1]) for line in said.citations}
    gold = {int(t) for one in gold_evidence(graph, row) for t in one.triple_ids}
    assert cited == gold
    assert len(made.facts.texts) > len(cited), "no distractor beside the evidence"
    again = ground(graph, row, tokenizer, 500, seed)
    assert (again.facts.texts, again.target) == (made.facts.texts, made.target)


def test_the_seed_shuffles(graph: KnowledgeGraph, tokenizer, rows: list[dict]) -> None:
    texts = {ground(graph, rows[0], tokenizer, 300, seed).facts.texts for seed in range(6)}
    assert len(texts) > 1
    assert len({frozenset(one) for one in texts}) == 1


def test_answers_beyond_the_budget_are_cut(graph: KnowledgeGraph, tokenizer, rows: list[dict]) -> None:
    """Three films of 36 to 50 bytes a line: with room for about two of them, two are answered."""
    row = rows[1]
    made = ground(graph, row, tokenizer, 110, seed=0)
    assert made is not None
    said = parse_read_answer(made.target, len(made.facts.texts))
    assert 1 <= len(said.answers) < 3
    assert len(said.citations) == len(said.answers)
    for line, answer in zip(said.citations, said.answers, strict=True):
        assert made.facts.texts[line - 1] == f"{answer} starred actors Sigourney Weaver", "answers do not follow the lines"
    assert ground(graph, row, tokenizer, 20, seed=0) is None


def test_what_holds_only_as_a_whole_is_whole_or_nothing(graph: KnowledgeGraph, tokenizer, rows: list[dict]) -> None:
    count = rows[2]
    assert count["answers"] == ["3"]
    needed = sum(len(one.triple_ids) for one in gold_evidence(graph, count))
    assert needed == 3
    assert ground(graph, count, tokenizer, 80, seed=0) is None, "a count of what is not all there"


def test_a_superlative_shows_every_candidate(graph: KnowledgeGraph, rows: list[dict]) -> None:
    """Three films and their three runtimes; a comparison shows both runtimes."""
    for number, runtimes in ((3, 3), (6, 2)):
        triples = gold_evidence(graph, rows[number])[0].triple_ids
        assert (graph.relation_ids[triples] == graph.relation("runtime")).sum() == runtimes


def test_an_exclusion_shows_both_sides(graph: KnowledgeGraph, rows: list[dict]) -> None:
    texts = fact_texts(graph, gold_evidence(graph, rows[4])[0].triple_ids)
    assert "Alien directed by Ridley Scott" in texts
    assert "Alien Resurrection has genre horror" in texts


def test_a_superlative_after_a_hop(graph: KnowledgeGraph) -> None:
    from raykg.kg.logical_form import bind, parse
    from raykg.kg.logical_form.evaluate import Budget, GraphEdges, Meter, trace

    form = bind(parse("Alien > has genre < has genre [min runtime] > directed by", graph), {"Alien": graph.node("f1")})
    traced = trace(form, graph, GraphEdges(graph), Meter(Budget()))
    texts = fact_texts(graph, complete_evidence(graph, traced))
    films = {text.removesuffix(" has genre science fiction") for text in texts if text.endswith("science fiction")}
    assert all(any(text.startswith(f"{film} runtime") for text in texts) for film in films)


@pytest.mark.parametrize("budget", [20, 110, 200, 350, 1500])
def test_questions_share_their_facts_as_far_as_these_fit(graph: KnowledgeGraph, tokenizer, rows: list[dict], budget: int) -> None:
    made = ground_together(graph, rows, tokenizer, budget, range(len(rows)))
    alone = [ground(graph, row, tokenizer, budget, 0) for row in rows]
    assert [one is None for one in made] == [one is None for one in alone], "company takes nobody's facts away"
    found = [(row, one) for row, one in zip(rows, made, strict=True) if one is not None]
    for row, one in found:
        assert lines(one.facts, tokenizer) <= budget
        said = parse_read_answer(one.target, len(one.facts.texts))
        there = set(one.facts.triple_ids.tolist())
        supported = [each for each in gold_evidence(graph, row) if set(each.triple_ids.tolist()) <= there]
        assert set(said.answers) == {answer for each in supported for answer in each.answers}
        assert {int(one.facts.triple_ids[line - 1]) for line in said.citations} == {int(t) for e in supported for t in e.triple_ids}
    contexts = [one.facts.texts for _, one in found]
    assert all(len(np.unique(one.facts.triple_ids)) == len(one.facts.triple_ids) for _, one in found)
    if budget == 1500:
        assert len(set(contexts)) == 1
    if budget == 350:
        assert 1 < len(set(contexts)) < len(contexts)
    assert [one and one.target for one in ground_together(graph, rows, tokenizer, budget, range(len(rows)))] == [
        one and one.target for one in made
    ]


@pytest.mark.parametrize(
    "change",
    [{"plan": "Alien > no such relation"}, {"plan": "(("}, {"plan": ""}, {"topics": ["Another"]}, {"topic_ids": [-1]}, {"answer_ids": []}],
)
def test_a_plan_that_does_not_hold_gives_no_evidence(graph: KnowledgeGraph, tokenizer, rows: list[dict], change: dict) -> None:
    assert ground(graph, rows[0] | change, tokenizer, 300, seed=0) is None


def test_a_slow_machine_gives_the_same_prompt_and_target(graph: KnowledgeGraph, tokenizer, rows: list[dict], monkeypatch) -> None:
    quick = [ground(graph, row, tokenizer, 300, 0) for row in rows]
    hours = count(step=3600.0)
    monkeypatch.setattr(time, "monotonic", lambda: next(hours))
    for row, expected in zip(rows, quick, strict=True):
        made = ground(graph, row, tokenizer, 300, 0)
        assert made is not None and expected is not None
        assert (made.target, made.facts.texts) == (expected.target, expected.facts.texts)

import itertools

import numpy as np
import pytest

from raykg.data.steps import StepTable
from raykg.data.walks import chains, walk
from tests.data.random_graphs import random_graph, walked


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("away", [False, True])
def test_walks_arrive_where_loops_over_sets_do(tmp_path, seed, away):
    graph = random_graph(tmp_path, seed)
    table = StepTable(graph)
    draw = np.random.default_rng(seed)
    steps = draw.integers(0, table.num_steps, (60, 3))
    steps[draw.random(60) < 0.4, 2] = -1
    sources = draw.integers(0, graph.num_entities, 60)
    found = walk(table, sources, steps, np.full(60, away), limit=10**6)
    for question in range(60):
        expected = walked(graph, int(sources[question]), [int(step) for step in steps[question] if step >= 0], away)
        assert found.node[found.owner == question].tolist() == sorted(expected)


def test_a_hub_gives_up_its_own_question_only(films, film_steps):
    english, alien = films.node("english"), films.node("f1")
    steps = np.array([[film_steps.number("in language", False)], [film_steps.number("in language", True)]])
    found = walk(film_steps, np.array([english, alien]), steps, np.zeros(2, dtype=bool), limit=3)
    assert found.given_up.tolist() == [True, False]
    assert found.counts().tolist() == [0, 1]


def test_a_question_without_a_source_has_no_answers(film_steps):
    assert walk(film_steps, np.array([-1]), np.array([[-1]]), np.array([False]), limit=9).counts().tolist() == [0]


def test_equal_sets_of_triples_have_equal_chains_whichever_way_they_are_walked(films, film_steps):
    """A film with one director who made one film: asking for the director and asking for the film use the same triple."""
    heat, mann = films.node("f4"), films.node("michael_mann")
    there, back = film_steps.number("directed by", True), film_steps.number("directed by", False)
    plain = np.zeros(3, dtype=bool)
    found = walk(film_steps, np.array([heat, mann, films.node("f1")]), np.array([[there], [back], [there]]), plain, limit=99)
    one, two, other = chains(3, found)
    assert one == two != other
    assert 0 not in (one, two, other)


def test_chains_do_not_depend_on_other_questions(film_steps, films):
    steps = np.array([[film_steps.number("starred actors", True), film_steps.number("starred actors", False)]] * 8)
    sources = np.array([films.node(f"f{number}") for number in range(1, 9)])
    every = chains(8, walk(film_steps, sources, steps, np.ones(8, dtype=bool), limit=999))
    alone = [
        chains(1, walk(film_steps, sources[[one]], steps[[one]], np.ones(1, dtype=bool), limit=999))[0] for one in itertools.chain(range(8))
    ]
    assert every.tolist() == alone

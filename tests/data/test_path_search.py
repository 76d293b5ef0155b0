import itertools

import numpy as np
import pytest

from raykg.data.path_search import PathSearch
from raykg.data.steps import StepTable
from tests.data.random_graphs import random_graph, walked


def every_fit(graph, table, topic, answers, max_hops):
    """Try all paths, with loops over sets."""
    found = set()
    for hops in range(1, max_hops + 1):
        for steps in itertools.product(range(table.num_steps), repeat=hops):
            for away in (False, True):
                if walked(graph, topic, list(steps), away) == answers:
                    found.add((steps, away))
    return found


@pytest.mark.parametrize(("seed", "max_hops"), [(0, 2), (1, 2), (2, 2), (3, 3)])
def test_the_search_finds_exactly_the_paths_that_fit(tmp_path, seed, max_hops):
    graph = random_graph(tmp_path, seed, nodes=9, relations=2, triples=14)
    table, draw = StepTable(graph), np.random.default_rng(seed)
    questions = []
    while len(questions) < 12:
        topic = int(draw.integers(graph.num_entities))
        steps = draw.integers(0, table.num_steps, int(draw.integers(1, max_hops + 1))).tolist()
        if answers := walked(graph, topic, steps, bool(draw.integers(2))):
            questions.append((topic, answers))
    search = PathSearch(table, max_hops)
    offsets = np.cumsum([0] + [len(answers) for _, answers in questions])
    nodes = np.concatenate([sorted(answers) for _, answers in questions]).astype(np.int64)
    row, code = search.fits(np.array([topic for topic, _ in questions]), offsets, nodes)
    for number, (topic, answers) in enumerate(questions):
        mine = code[row == number]
        steps = [tuple(int(step) for step in one if step >= 0) for one in search.steps(mine)]
        assert set(zip(steps, search.away(mine).tolist(), strict=True)) == every_fit(graph, table, topic, answers, max_hops)


def test_codes_and_steps_are_inverse(film_steps):
    search = PathSearch(film_steps, 3)
    steps = np.array([[0, 3, 2], [5, -1, -1], [1, 0, -1]])
    away = np.array([True, False, True])
    codes = search.code(steps, away)
    assert search.steps(codes).tolist() == steps.tolist()
    assert search.away(codes).tolist() == away.tolist()
    assert codes[1] < codes[2] < codes[0], "a shorter path is a smaller number"


def test_unknown_topics_and_answers_fit_nothing(films, film_steps):
    director = films.node("ridley_scott")
    offsets, answers = np.array([0, 1, 3, 3]), np.array([director, director, -1])
    row, _ = PathSearch(film_steps, 2).fits(np.array([-1, films.node("f1"), films.node("f1")]), offsets, answers)
    assert not len(row)


def test_answers_given_twice_count_once(films, film_steps):
    director = films.node("ridley_scott")
    search = PathSearch(film_steps, 1)
    row, code = search.fits(np.array([films.node("f1")]), np.array([0, 2]), np.array([director, director]))
    assert {film_steps.hop(int(step)).relation for step in search.steps(code)[:, 0]} == {"directed by"}
    assert set(row.tolist()) == {0}

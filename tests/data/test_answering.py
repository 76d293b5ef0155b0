from dataclasses import replace

import numpy as np
import pytest

from raykg.data.answering import answer
from raykg.data.drawing import Draws
from raykg.data.sampling import Sampler
from raykg.data.shapes import COUNT, FILTER, KIND, KINDS
from raykg.data.steps import StepTable
from raykg.kg.logical_form import Count, Exclusion, Hop, Intersection, Path, bind, execute, parse, path, template, write
from raykg.kg.logical_form.text import number_text
from tests.data.random_graphs import random_graph
from tests.data.set_evaluator import SetEvaluator


def plan_of(sampler, graph, sample, row):
    """Fill a sample's shape by text, as a reader of the plan would."""
    text = template(sampler.shapes.form(sample.shape[row]))
    if sample.shape[row, KIND] == FILTER:
        return text.replace("?2", number_text(float(graph.values[sample.value[row]])))
    return text


@pytest.mark.parametrize("seed", range(6))
def test_answers_are_those_of_the_executor(tmp_path, seed):
    """All kinds, over random graphs with self loops and hubs; degenerate samples included."""
    graph = random_graph(tmp_path, seed)
    table = StepTable(graph)
    sampler = Sampler(table, np.ones(len(KINDS)), np.ones(3), exclude_topic=bool(seed % 2))
    draws = Draws(seed, np.arange(250))
    sample = sampler.sample(draws, draws)
    found = answer(table, sample, limit=10**6)
    checked = 0
    for row in np.flatnonzero(found.apt):
        form = parse(plan_of(sampler, graph, sample, row), graph)
        result = execute(bind(form, {"?1": int(sample.topic[row]), "?2": int(sample.other[row])}), graph)
        nodes = found.node[found.offsets[row] : found.offsets[row + 1]]
        if sample.shape[row, KIND] == COUNT:
            assert result.count == len(nodes), write(form)
        else:
            assert result.answers.tolist() == nodes.tolist(), write(form)
        checked += 1
    assert checked > 60
    assert set(sample.shape[found.apt, KIND].tolist()) == set(range(len(KINDS)))


def test_what_a_part_of_the_plan_answers_alone_is_not_apt(films, film_steps):
    """Intersections, exclusions, filters and superlatives must leave something out, and keep something."""
    sampler = Sampler(film_steps, np.array([0, 1, 1, 0, 1, 1, 1.0]), np.ones(3), exclude_topic=True)
    draws = Draws(1, np.arange(400))
    sample = sampler.sample(draws, draws)
    found = answer(film_steps, sample, limit=10**6)
    for row in np.flatnonzero(found.apt):
        form = parse(plan_of(sampler, films, sample, row), films)
        mapping = {"?1": int(sample.topic[row]), "?2": int(sample.other[row])}
        whole = set(execute(bind(form, mapping), films).answers.tolist())
        if isinstance(form, Path):
            steps = [step for step in form.steps if isinstance(step, Hop)]
            part = path(form.source, *steps, away=form.away and bool(steps))
        else:
            part = form.left if isinstance(form, Exclusion) else form.of[0]
        larger = set(execute(bind(part, mapping), films).answers.tolist())
        assert whole < larger, write(form)


def test_going_there_and_back_and_there_again_is_not_apt_unless_it_finds_more(films, film_steps):
    sampler = Sampler(film_steps, np.array([1.0, 0, 0, 0, 0, 0, 0]), np.ones(3), exclude_topic=True)
    draws = Draws(0, np.arange(1))
    sample = sampler.sample(draws, draws)
    there = film_steps.number("directed by", True)
    sample.shape[0, 1:5] = [1, there, there ^ 1, there]
    sample.topic[0] = films.node("f1")  # Ridley Scott alone, who made another film
    sample.good[0] = True
    assert not answer(film_steps, sample, limit=99).apt[0]
    there = film_steps.number("starred actors", True)
    sample.shape[0, 2:5] = [there, there ^ 1, there]  # the actors of Alien's actors' other films
    assert answer(film_steps, sample, limit=99).apt[0]


@pytest.mark.parametrize(("seed", "limit"), [(0, 10**6), (1, 6), (2, 3)])
def test_apt_is_what_answers_within_the_limit_and_needs_all_its_parts(tmp_path, seed, limit):
    """Said again with sets, in both directions: nothing apt is refused, nothing else is accepted."""
    graph = random_graph(tmp_path, seed, nodes=20)
    table, evaluator = StepTable(graph), SetEvaluator(graph)
    sampler = Sampler(table, np.ones(len(KINDS)), np.ones(3), exclude_topic=True)
    draws = Draws(seed, np.arange(300))
    sample = sampler.sample(draws, draws)
    found = answer(table, sample, limit)
    for row in np.flatnonzero(sample.good):
        mapping = {"?1": int(sample.topic[row]), "?2": int(sample.other[row])}
        form = bind(parse(plan_of(sampler, graph, sample, row), graph), mapping)
        whole = evaluator.evaluate(form)
        apt = bool(whole.nodes) and whole.most_edges <= limit
        if isinstance(form, (Exclusion, Intersection)):
            apt &= whole.nodes < evaluator.evaluate(form.left if isinstance(form, Exclusion) else form.of[0]).nodes
        elif isinstance(form, Path) and not isinstance(form.steps[-1], Hop):
            before = evaluator.evaluate(replace(form, steps=form.steps[:-1]) if form.steps[1:] else form.source).nodes
            apt &= whole.nodes < before
        walk = form.of if isinstance(form, Count) else form
        hops = [step for step in getattr(walk, "steps", ()) if isinstance(step, Hop)]
        if len(hops) == 3 and hops[0] == hops[2] and hops[1] == replace(hops[0], forward=not hops[0].forward):
            apt &= not whole.nodes <= evaluator.evaluate(path(walk.source, hops[0])).nodes
        assert found.apt[row] == apt, write(form)
    assert not found.apt[~sample.good].any()
    assert 20 < found.apt.sum() < sample.good.sum() - 20

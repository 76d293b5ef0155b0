import numpy as np

from raykg.data.drawing import Draws
from raykg.data.sampling import Sampler
from raykg.data.shapes import COMPARISON, EXCLUSION, FILTER, INTERSECTION, KIND, KINDS, LITERAL, STEPS, SUPERLATIVE
from raykg.data.steps import StepTable
from raykg.kg.build import from_triples


def sampled(table, count=2000, kinds=None, hops=(1.0, 1.0, 1.0), seed=0):
    sampler = Sampler(table, np.ones(len(KINDS)) if kinds is None else np.array(kinds, dtype=float), np.array(hops), exclude_topic=True)
    draws = Draws(seed, np.arange(count))
    return sampler.sample(draws, draws)


def test_a_sample_depends_on_its_number_alone(film_steps):
    sampler = Sampler(film_steps, np.ones(len(KINDS)), np.ones(3), exclude_topic=True)
    whole = sampler.sample(Draws(3, np.arange(300)), Draws(3, np.arange(300)))
    part = sampler.sample(Draws(3, np.arange(100, 130)), Draws(3, np.arange(100, 130)))
    for name in ("shape", "topic", "other", "value", "good"):
        assert (getattr(whole, name)[100:130] == getattr(part, name)).all(), name


def test_all_steps_begin_walks_though_some_are_rare(film_steps):
    first = sampled(film_steps, kinds=[1, 0, 0, 0, 0, 0, 0]).shape[:, STEPS.start]
    share = np.bincount(first, minlength=film_steps.num_steps) / len(first)
    assert share.min() > 0.02, "the one self loop has a relation of its own"


def test_walks_go_on_from_values_only_where_they_are_asked_to(film_steps):
    literal = film_steps.graph.is_literal
    for joins in (True, False):
        sampler = Sampler(film_steps, np.eye(len(KINDS))[0], np.array([0, 1.0, 1.0]), exclude_topic=True, value_joins=joins)
        sample = sampler.sample(Draws(5, np.arange(2000)), Draws(5, np.arange(2000)))
        through = np.zeros(2000, dtype=bool)
        for row in np.flatnonzero(sample.good):
            steps = sample.shape[row, STEPS][sample.shape[row, STEPS] >= 0]
            for step in steps[:-1]:  # what a step on the way gives; the last one's values are answers
                relation = np.flatnonzero(film_steps.graph.relation_ids == step >> 1)
                ends = film_steps.graph.heads if step & 1 else film_steps.graph.tails
                through[row] |= literal[ends[relation]].all()
        assert through.any() == joins
        assert sample.good.mean() > 0.5


def test_no_walk_goes_on_from_what_the_settings_call_values(film_steps):
    year = film_steps.graph.relation(film_steps.graph.relation_names[0])
    weights = np.eye(len(KINDS))[0], np.array([0, 1.0, 1.0])
    for values, expected in (((), True), ((year,), False)):
        sampler = Sampler(film_steps, *weights, exclude_topic=True, value_joins=False, value_relations=values)
        sample = sampler.sample(Draws(5, np.arange(2000)), Draws(5, np.arange(2000)))
        steps = sample.shape[sample.good, STEPS]
        assert (steps[:, :-1][steps[:, 1:] >= 0] == 2 * year).any() == expected
        assert (steps == 2 * year + 1).any(), "they may still be where a walk begins"


def test_a_hub_is_no_likelier_than_others(tmp_path):
    """One genre with 300 films and 20 with one: topics are drawn evenly from the 21."""
    triples = [(f"f{number}", "genre", "drama") for number in range(300)] + [(f"g{number}", "genre", f"x{number}") for number in range(20)]
    graph = from_triples(tmp_path, triples)
    sample = sampled(StepTable(graph), 4000, [1, 0, 0, 0, 0, 0, 0], hops=(1.0, 0.0, 0.0))
    backward = sample.topic[sample.shape[:, STEPS.start] == 1]
    assert np.mean(backward == graph.node("drama")) < 0.1


def test_the_weights_are_kept(film_steps):
    sample = sampled(film_steps, 6000, [3, 1, 0, 0, 0, 0, 0], hops=(1.0, 0.0, 1.0))
    kinds = np.bincount(sample.shape[:, KIND], minlength=len(KINDS))
    assert abs(kinds[0] / 6000 - 0.75) < 0.03
    assert kinds[2:].sum() == 0
    lengths = (sample.shape[sample.shape[:, KIND] == 0][:, STEPS] >= 0).sum(axis=1)
    assert set(lengths.tolist()) == {1, 3}


def test_without_numbers_no_kind_asks_for_them(tmp_path):
    sample = sampled(StepTable(from_triples(tmp_path, [("a", "r", "b"), ("b", "r", "c")])))
    assert not np.isin(sample.shape[:, KIND], (FILTER, SUPERLATIVE, COMPARISON)).any()
    assert (sampled(StepTable(from_triples(tmp_path / "2", [("a", "r", "b")])), kinds=[0, 0, 0, 0, 1, 1, 1]).shape[:, KIND] == 0).all()


def test_pairs_have_an_answer_in_common_and_numbers_a_relation(film_steps):
    sample = sampled(film_steps)
    kind = sample.shape[:, KIND]
    pairs = np.isin(kind, (INTERSECTION, EXCLUSION)) & sample.good
    assert (sample.topic[pairs] != sample.other[pairs]).all()
    numbers = np.isin(kind, (FILTER, SUPERLATIVE, COMPARISON)) & sample.good
    assert (sample.shape[numbers, LITERAL] >= 0).all()
    assert (sample.value[(kind == FILTER) & sample.good] >= 0).all()
    assert (sample.value[kind != FILTER] < 0).all()

"""Measures know which way is better."""

import math

from hypothesis import given
from hypothesis import strategies as st

from raykg.tune.measures import MEASURES, pareto_front, score


def test_more_score_is_better():
    assert score({"accuracy": 0.5}, "accuracy") == 0.5 and score({"latency": 0.5}, "latency") == -0.5
    assert score(None, "accuracy") == score({"loss": math.nan}, "loss") == -math.inf
    assert {measure.better for measure in MEASURES.values()} == {"high", "low"} and all(measure.says for measure in MEASURES.values())


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=12))
def test_the_front_against_its_definition(points):
    front = pareto_front(points)
    for number, point in enumerate(points):
        beaten = any(other != point and all(a >= b for a, b in zip(other, point, strict=True)) for other in points)
        assert (number in front) is not beaten

"""A grid has every combination once."""

import itertools

import pytest

from raykg.config.choice import chosen
from raykg.tune.errors import TuneError
from raykg.tune.space import Listed, Ranged


def make(space):
    found = chosen("raykg.tune.searches", "grid")
    return found.method()(found.config, space, 0, ("accuracy",))


def test_every_combination_once_and_the_last_key_fastest():
    search = make({"a": Listed((1, 2)), "b": Ranged(0.001, 0.1, log=True, count=3), "c": Listed(("x", "y"))})
    found = [tuple(search.propose(trial, [], []).values()) for trial in range(search.count())]
    assert found == list(itertools.product((1, 2), (0.001, 0.01, 0.1), ("x", "y")))


def test_a_range_without_points_is_refused():
    with pytest.raises(TuneError, match="give `count`"):
        make({"a": Ranged(0.1, 0.2)}).count()
    assert make({"a": Ranged(1, 4)}).count() == 4, "whole numbers are points of their own"

"""Random draws come from (seed, key, trial) alone, and every eight are spread."""

import numpy as np
import pytest

from raykg.config.choice import chosen
from raykg.tune.space import Listed, Ranged
from tests.tune.world import SPACE


def draws(space, count, seed=0, **settings):
    found = chosen("raykg.tune.searches", "random", **settings)
    search = found.method()(found.config, space, seed, ("accuracy",))
    return [search.propose(trial, [], []) for trial in range(count)]


def test_another_key_or_more_trials_change_nothing():
    less = draws(SPACE, 8)
    more = draws({"lora.rank": Listed((1, 2, 3)), **SPACE}, 16)
    assert [{key: one[key] for key in SPACE} for one in more[:8]] == less
    assert draws(SPACE, 8, seed=1) != less and draws(SPACE, 8) == less


@pytest.mark.parametrize("block", [0, 1, 5])
def test_each_eight_trials_are_a_latin_hypercube(block):
    space = {"a": Ranged(0.0, 1.0), "b": Ranged(0.0, 1.0)}
    found = np.array([[one["a"], one["b"]] for one in draws(space, 8 * (block + 1))[-8:]])
    assert (np.sort(np.floor(found * 8), axis=0) == np.arange(8)[:, None]).all()


def test_keys_are_independent_of_each_other():
    space = {"a": Ranged(0.0, 1.0), "b": Ranged(0.0, 1.0)}
    found = np.array([[one["a"], one["b"]] for one in draws(space, 800)])
    assert abs(np.corrcoef(found.T)[0, 1]) < 0.1
    plain = np.array([one["a"] for one in draws(space, 400, strata=1)])
    assert abs(plain.mean() - 0.5) < 0.05 and abs(plain.std() - 12**-0.5) < 0.03

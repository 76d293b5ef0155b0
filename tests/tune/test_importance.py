"""Which settings mattered."""

import numpy as np

from raykg.tune.importance import importance
from raykg.tune.space import Listed, Ranged

SPACE = {"rate": Ranged(1e-4, 1e-1, log=True), "noise": Ranged(0.0, 1.0), "kind": Listed((["a"], ["b"]))}


def settings(count, seed=0):
    random = np.random.default_rng(seed)
    return [{key: dimension.at(random.random()) for key, dimension in SPACE.items()} for _ in range(count)]


def test_what_decides_is_named_first():
    given = settings(60)
    found = importance(SPACE, given, [-abs(np.log10(one["rate"]) + 2.0) for one in given])
    assert next(iter(found)) == "rate" and found["rate"] > 0.7 and abs(sum(found.values()) - 1) < 1e-6


def test_too_few_or_equal_trials_tell_nothing():
    assert importance(SPACE, settings(3), [1.0, 2.0, 3.0]) == {} == importance(SPACE, settings(8), [1.0] * 8)
    assert importance(SPACE, [settings(1)[0]] * 5, [1.0, 2.0, 3.0, 4.0, 5.0]) == {}

"""ASHA's decisions are the rule of the paper: on with whoever is at least at the quantile of those who were there before."""

import numpy as np
import pytest

from raykg.config.choice import chosen
from raykg.tune.legs import Leg, Result
from raykg.tune.schedules import Scope
from tests.tune.world import SPACE


def make(trials=20, reduction=3, first=0.1):
    found = chosen("raykg.tune.schedules", "asha", reduction=reduction, first=first)
    return found.method()(found.config, Scope(trials, "accuracy", 0, SPACE))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("reduction", [2, 3, 4])
def test_against_the_rule(seed, reduction):
    random, asha = np.random.default_rng(seed), make(30, reduction, reduction**-2.0)
    shares = [reduction**-2.0, 1 / reduction, 1.0]
    there: list[list[float]] = [[], [], []]
    waiting, results = [(trial, 0) for trial in range(30)], []
    while waiting:
        trial, rung = waiting.pop(int(random.integers(len(waiting))))
        score = float(random.random())
        results.append(Result(trial, rung, shares[rung], {"accuracy": score}, 1.0))
        moves = asha.after(results, {})
        if rung == 2:
            assert moves == []
            continue
        goes = not there[rung] or bool(score >= np.percentile(there[rung], (1 - 1 / reduction) * 100))
        there[rung].append(score)
        (move,) = moves
        assert isinstance(move, Leg) is goes
        if goes:
            assert (move.number, move.share) == (rung + 1, pytest.approx(shares[rung + 1]))
            waiting.append((trial, rung + 1))


def test_a_failed_trial_is_not_compared():
    asha = make()
    assert asha.after([Result(0, 0, 0.11, None, 1.0, error="x")], {}) == []
    assert make().ladder() == ["trials are compared as they come to 0.111, 0.333, 1 of the training"]

"""Halving sends the best of a rung on, and no order of results changes whom."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from raykg.config.choice import chosen
from raykg.tune.legs import Leg, Result, Stop
from raykg.tune.schedules import Scope
from tests.tune.world import SPACE


def make(trials, reduction=3, first=0.1, last=1.0):
    found = chosen("raykg.tune.schedules", "halving", reduction=reduction, first=first, last=last)
    return found.method()(found.config, Scope(trials, "accuracy", 0, SPACE))


def test_the_ladder_of_nine():
    assert make(9, 3, 0.1).ladder() == [
        "9 trials up to 0.111 of the training",
        "3 trials up to 0.333 of the training",
        "1 trials up to 1 of the training",
    ]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=2, max_size=12), st.integers(2, 4), st.integers(0, 10_000))
def test_the_best_go_on_whatever_the_order(scores, reduction, order):
    halving = make(len(scores), reduction, first=1 / reduction)
    results = [Result(trial, 0, 1 / reduction, {"accuracy": float(score)}, 1.0) for trial, score in enumerate(scores)]
    random.Random(order).shuffle(results)
    for come in range(1, len(results)):
        assert halving.after(results[:come], {}) == [], "a rung waits for all of its trials"
    moves = halving.after(results, {})
    size = -(-len(scores) // reduction)
    expected = sorted(sorted(range(len(scores)), key=lambda trial: (-scores[trial], trial))[:size])
    assert [move.trial for move in moves if isinstance(move, Leg)] == expected
    assert sorted([move.trial for move in moves if isinstance(move, Stop)] + expected) == list(range(len(scores)))

"""The winner came furthest, keeps the constraints and is best; the order of results names nobody else."""

import random

from raykg.tune.legs import Result
from raykg.tune.tune_config import ConstraintConfig
from raykg.tune.winner import stand


def result(trial, share, accuracy, size=10.0, number=0):
    return Result(trial, number, share, {"accuracy": accuracy, "adapter_size": size}, 1.0)


RESULTS = [result(0, 0.5, 0.9), result(1, 1.0, 0.7), result(2, 1.0, 0.8, 50.0), result(3, 1.0, 0.8, 40.0), result(4, 1.0, 0.6, 5.0)]


def test_furthest_then_best_then_first():
    for seed in range(5):
        shuffled = random.Random(seed).sample(RESULTS, len(RESULTS))
        standing = stand(shuffled, ("accuracy",), ())
        assert standing.winner == RESULTS[2] and standing.front == [2, 3], "equal ones stay together, the first of them wins"
    both = stand(RESULTS, ("accuracy", "adapter_size"), ())
    assert both.front == [3, 1, 4] and both.winner.trial == 2


def test_constraints_and_failures():
    standing = stand(RESULTS, ("accuracy",), (ConstraintConfig(measure="adapter_size", at_most=20.0),))
    assert standing.winner.trial == 1 and standing.refused == {
        2: "adapter_size is 50, at most 20 was asked",
        3: "adapter_size is 40, at most 20 was asked",
    }
    nobody = stand(RESULTS, ("accuracy",), (ConstraintConfig(measure="accuracy", at_least=0.95),))
    assert nobody.winner is None and nobody.front == [] and len(nobody.refused) == 5
    failed = stand([Result(0, 0, 1.0, None, 1.0, error="x"), result(1, 0.5, 0.1)], ("accuracy",), ())
    assert failed.winner.trial == 1
    assert stand([], ("accuracy",), ()).winner is None


def test_of_several_legs_the_last_counts():
    standing = stand([result(0, 1.0, 0.2, number=1), result(0, 0.5, 0.9)], ("accuracy",), ())
    assert standing.winner.values["accuracy"] == 0.2

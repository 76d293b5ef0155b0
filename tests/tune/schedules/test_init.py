"""What a schedule is made for."""

from raykg.tune.legs import Result
from raykg.tune.schedules import Scope


def test_a_score_is_better_the_higher_it_is():
    result = Result(0, 0, 1.0, {"loss": 2.0, "accuracy": 0.5}, 1.0)
    assert Scope(1, "accuracy", 0, {}).score(result) == 0.5 and Scope(1, "loss", 0, {}).score(result) == -2.0
    assert Scope(1, "loss", 0, {}).score(Result(0, 0, 1.0, None, 1.0, error="x")) == float("-inf")

"""The learning rate warms up, falls to its floor, and depends on the step alone."""

from __future__ import annotations

import pytest

from raykg.train.schedule import learning_rate
from raykg.train.settings import TrainConfig


def rates(schedule: str, **settings: float) -> list[float]:
    config = TrainConfig(steps=100, learning_rate=1.0, schedule=schedule, warmup=0.1, final_rate=0.1, **settings)  # type: ignore[arg-type]
    return [learning_rate(config, step, 100) for step in range(100)]


def test_warm_up_rises_evenly_and_never_starts_at_zero() -> None:
    rise = rates("cosine")[:11]
    assert rise == pytest.approx([(step + 1) / 11 for step in range(11)])


def test_cosine_and_linear_end_at_the_floor() -> None:
    for schedule in ("cosine", "linear"):
        falling = rates(schedule)[10:]
        assert falling == sorted(falling, reverse=True)
        assert falling[-1] == pytest.approx(0.1)
    assert rates("linear")[54] == pytest.approx(0.1 + 0.9 * (1 - (54 - 10) / 89))
    assert rates("cosine")[54] > rates("linear")[54]


def test_constant_stays() -> None:
    assert rates("constant")[10:] == [1.0] * 90


def test_a_run_of_one_step_has_a_rate() -> None:
    assert learning_rate(TrainConfig(steps=1, warmup=0.0), 0, 1) > 0

"""The learning rate as a pure function of the step: nothing to save, nothing to restore."""

from __future__ import annotations

import math

from raykg.train.settings import TrainConfig


def learning_rate(settings: TrainConfig, step: int, total: int) -> float:
    """Return the rate of step `step` (from 0) of `total`: linear warm-up, then cosine, linear or constant.

    Example:
        >>> learning_rate(TrainConfig(steps=10, warmup=0.0, schedule="constant", learning_rate=0.5), 3, 10)
        0.5
    """
    warmup = math.ceil(settings.warmup * total)
    if step < warmup:
        return settings.learning_rate * (step + 1) / (warmup + 1)
    if settings.schedule == "constant":
        return settings.learning_rate
    done = min(1.0, (step - warmup) / max(1, total - 1 - warmup))
    shape = 0.5 * (1.0 + math.cos(math.pi * done)) if settings.schedule == "cosine" else 1.0 - done
    return settings.learning_rate * (settings.final_rate + (1.0 - settings.final_rate) * shape)

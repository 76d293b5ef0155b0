"""What a sweep may be about, by name: accuracy, latency, size; each with the direction in which it is better.

Every leg of a trial ends with all of them, measured on the held-out rows of training (`questions.validation`) that no test touches.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Measure:
    """One of them.

    Attributes:
        better: which way.
        unit: behind the number in tables; empty for shares.
        says: what it is.
    """

    better: Literal["high", "low"]
    unit: str
    says: str


MEASURES: Mapping[str, Measure] = {
    "accuracy": Measure("high", "", "held-out questions with exactly the gold set of answers"),
    "hits_at_1": Measure("high", "", "held-out questions whose first answer is a gold answer"),
    "executable": Measure("high", "", "held-out questions whose plan parsed, linked and ran"),
    "loss": Measure("low", "", "training loss of the last step"),
    "latency": Measure("low", "s", "seconds that a held-out question takes, in batches of evaluation.batch; differs from run to run"),
    "adapter_size": Measure("low", "bytes", "bytes of the weights that were trained"),
}

Values = Mapping[str, float]  # of a leg, by the names above


def score(values: Values | None, name: str) -> float:
    """Return a measure so that more is better; of a leg that failed, minus infinity."""
    if values is None or math.isnan(values[name]):
        return -math.inf
    return values[name] if MEASURES[name].better == "high" else -values[name]


def pareto_front(points: Sequence[Sequence[float]]) -> list[int]:
    """Return which points no other one beats: at least as good in every score and better in one; equal points stay together.

    Args:
        points: scores of each, more is better, `[points][scores]`.
    """
    front = []
    for number, point in enumerate(points):
        beaten = any(
            all(theirs >= ours for theirs, ours in zip(other, point, strict=True))
            and any(theirs > ours for theirs, ours in zip(other, point, strict=True))
            for other in points
        )
        if not beaten:
            front.append(number)
    return front

"""pbt: trials train side by side; now and then the worst take the weights of the best, with settings that are a little different.

Paper: Population Based Training of Neural Networks, 2017, arXiv 1711.09846.

After each interval a trial in the lowest quantile of those that came as far copies one of the highest quantile: weights, optimiser, and
settings, of which each is drawn anew with probability `resample` and otherwise moved by `factor` up or down (listed values: to a
neighbour). Only settings that do not change the model or the data can be searched so. Who is copied, and what is drawn, comes from
(seed, trial, interval).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from raykg.config.schema import Fraction, PositiveFloat, PositiveInt, config
from raykg.tune.errors import TuneError
from raykg.tune.legs import Leg, Move, Result
from raykg.tune.schedules import Schedule, Scope
from raykg.tune.space import Dimension, Listed

SEARCH: dict[str, list[object]] = {}
_CHANGEABLE = ("train.learning_rate", "train.weight_decay", "train.beta1", "train.beta2", "train.clip", "train.micro_batch")


@config
class Config:
    """How often and how boldly."""

    intervals: PositiveInt = 4
    """How often a trial is measured; after all but the last it may become another one."""
    quantile: Fraction = 0.25
    """The lowest so many copy the highest so many."""
    resample: Fraction = 0.25
    """How often a setting is drawn anew."""
    factor: PositiveFloat = 1.2
    """What a number is multiplied with, or divided by."""

    def __post_init__(self) -> None:
        """Refuse quantiles that overlap, and factors that move nothing."""
        if not 0 < self.quantile <= 0.5:
            raise ValueError(f"quantile ({self.quantile:g}) must be above 0 and at most 0.5")
        if self.factor <= 1:
            raise ValueError(f"factor ({self.factor:g}) must be above 1")


class Pbt(Schedule):
    """Evolves a population.

    Raises:
        TuneError: a key of the space cannot change in the middle of a training.
    """

    keeps: bool = True

    def __init__(self, config: Config, scope: Scope) -> None:
        """Refuse a space of what cannot change."""
        super().__init__(config, scope)
        for key in scope.space:
            if key not in _CHANGEABLE:
                raise TuneError(f"space.{key}: cannot change while a trial trains, as pbt changes it (can: {', '.join(_CHANGEABLE)})")
        self._ends = [number / config.intervals for number in range(1, config.intervals + 1)]

    def first(self, trial: int) -> Leg:
        """Return the first interval."""
        return Leg(trial, 0, self._ends[0])

    def after(self, results: Sequence[Result], settings: Mapping[tuple[int, int], Mapping[str, Any]]) -> list[Move]:
        """Go on, as what it is or as another one."""
        newest = results[-1]
        number = newest.number + 1
        if newest.values is None or number == len(self._ends):
            return []
        there = [result for result in results if result.number == newest.number and result.values is not None]
        ranked = sorted(there, key=lambda result: (self.scope.score(result), -result.trial))
        count = math.ceil(len(ranked) * self.config.quantile) if len(ranked) > 1 else 0
        count = min(count, len(ranked) // 2)
        if newest.trial not in [result.trial for result in ranked[:count]]:
            return [Leg(newest.trial, number, self._ends[number])]
        random = np.random.default_rng((self.scope.seed, newest.trial, number))
        donor = ranked[len(ranked) - count :][int(random.integers(count))]
        changed = {key: self._explore(key, settings[donor.key][key], random) for key in sorted(self.scope.space)}
        return [Leg(newest.trial, number, self._ends[number], settings=changed, start=donor.key)]

    def ladder(self) -> list[str]:
        """Say when the population changes."""
        return [f"{self.scope.trials} trials, compared after {', '.join(f'{share:.3g}' for share in self._ends[:-1])} of the training"]

    def _explore(self, key: str, value: Any, random: np.random.Generator) -> Any:  # noqa: ANN401 - a setting
        dimension: Dimension = self.scope.space[key]
        anew, up, drawn = random.random() < self.config.resample, random.random() < 0.5, random.random()
        if anew:
            return dimension.at(drawn)
        if isinstance(dimension, Listed):
            place = dimension.values.index(value) + (1 if up else -1)
            return dimension.values[min(max(place, 0), len(dimension.values) - 1)]
        moved = value * self.config.factor if up else value / self.config.factor
        moved = min(max(moved, dimension.low), dimension.high)
        return round(moved) if dimension.whole else float(f"{moved:.6g}")

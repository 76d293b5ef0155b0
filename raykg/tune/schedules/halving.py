"""halving: all trials are trained a little, the best of them further, and so on; a rung waits until all its trials are measured.

Paper: Non-stochastic Best Arm Identification and Hyperparameter Optimization, AISTATS 2016, arXiv 1502.07943.

Of n trials on a rung, ceil(n / reduction) go on to the next one, `reduction` times as far. Equal ones are told apart by their numbers, so
that the same results decide the same, in whatever order they come.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from raykg.config.schema import config
from raykg.tune.legs import Leg, Move, Result, Stop
from raykg.tune.rungs import RungsConfig
from raykg.tune.schedules import Schedule, Scope

SEARCH: dict[str, list[object]] = {}


@config
class Config(RungsConfig):
    """Where trials are compared; a rung waits for all of its trials."""


class Halving(Schedule):
    """Halves, thirds, or whatever `reduction` says."""

    def __init__(self, config: Config, scope: Scope) -> None:
        """Find the rungs."""
        super().__init__(config, scope)
        self._rungs = config.shares()
        self._sizes = [scope.trials]
        for _ in self._rungs[1:]:
            self._sizes.append(math.ceil(self._sizes[-1] / config.reduction))

    def first(self, trial: int) -> Leg:
        """Return the way to the first rung."""
        return self._leg(trial, 0)

    def after(self, results: Sequence[Result], settings: Mapping[tuple[int, int], Mapping[str, Any]]) -> list[Move]:
        """Send the best of a rung on when the last of its trials is measured."""
        rung = results[-1].number
        there = [result for result in results if result.number == rung]
        if len(there) < self._expected(results, rung) or rung + 1 == len(self._rungs):
            return []
        ranked = sorted(there, key=lambda result: (-self.scope.score(result), result.trial))
        goes = {result.trial for result in ranked[: self._sizes[rung + 1]] if result.values is not None}
        why = f"not among the best {self._sizes[rung + 1]} of {len(there)} after {self._rungs[rung]:.3g} of the training"
        stops = [Stop(result.trial, why) for result in there if result.trial not in goes and result.values is not None]
        return [*stops, *(self._leg(trial, rung + 1) for trial in sorted(goes))]

    def ladder(self) -> list[str]:
        """Say how many trials come how far."""
        return [f"{size} trials up to {share:.3g} of the training" for size, share in zip(self._sizes, self._rungs, strict=True)]

    def _expected(self, results: Sequence[Result], rung: int) -> int:
        """Return how many trials come to a rung: of those before it that did not fail."""
        if rung == 0:
            return self.scope.trials
        before = [result for result in results if result.number == rung - 1 and result.values is not None]
        return min(self._sizes[rung], len(before))

    def _leg(self, trial: int, rung: int) -> Leg:
        return Leg(trial, rung, self._rungs[rung])

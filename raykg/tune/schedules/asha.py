"""asha: successive halving that waits for nobody: whoever comes to a rung is compared with those who were there before.

Paper: A System for Massively Parallel Hyperparameter Tuning, MLSys 2020, arXiv 1810.05934.

The decisions are those of Ray Tune's `AsyncHyperBandScheduler` with one bracket: a trial goes on where its score is at least the
(1 - 1/reduction) quantile of the scores that were on its rung before it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from raykg.config.schema import config
from raykg.tune.legs import Leg, Move, Result, Stop
from raykg.tune.rungs import RungsConfig
from raykg.tune.schedules import Schedule, Scope

SEARCH: dict[str, list[object]] = {}


@config
class Config(RungsConfig):
    """Where trials are compared, with those who were there before."""


class Asha(Schedule):
    """Asks Ray Tune's own scheduler, in the order of the results."""

    def __init__(self, config: Config, scope: Scope) -> None:
        """Find the rungs and make Ray's scheduler."""
        from ray.tune.schedulers import AsyncHyperBandScheduler

        super().__init__(config, scope)
        self._rungs = config.shares()
        # Its time counts in first rungs, so that it is a power of `reduction` on every rung.
        self._ray = AsyncHyperBandScheduler(
            time_attr="rung", metric="score", mode="max", grace_period=1, max_t=2 * config.reduction ** len(self._rungs),
            reduction_factor=config.reduction,
        )  # fmt: skip

    def first(self, trial: int) -> Leg:
        """Return the way to the first rung."""
        return Leg(trial, 0, self._rungs[0])

    def after(self, results: Sequence[Result], settings: Mapping[tuple[int, int], Mapping[str, Any]]) -> list[Move]:
        """Let Ray decide about the newest result."""
        newest = results[-1]
        rung = newest.number
        if newest.values is None or rung + 1 == len(self._rungs):
            return []
        nobody: Any = None
        trial: Any = SimpleNamespace(trial_id=str(newest.trial))  # all that the scheduler looks at
        if rung == 0:
            self._ray.on_trial_add(nobody, trial)
        time = self.config.reduction**rung
        decision = self._ray.on_trial_result(nobody, trial, {"rung": time, "score": self.scope.score(newest)})
        if decision == self._ray.CONTINUE:
            return [Leg(newest.trial, rung + 1, self._rungs[rung + 1])]
        return [
            Stop(
                newest.trial, f"below the best 1/{self.config.reduction} of those that were at {newest.share:.3g} of the training before it"
            )
        ]

    def ladder(self) -> list[str]:
        """Say where trials are compared."""
        shares = ", ".join(f"{share:.3g}" for share in self._rungs)
        return [f"trials are compared as they come to {shares} of the training"]

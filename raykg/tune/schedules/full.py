"""full: every trial is trained to its end.

Source: random search as it is usually run; Bergstra and Bengio, Random Search for Hyper-Parameter Optimization, JMLR 2012.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from raykg.config.schema import config
from raykg.tune.legs import Leg, Move, Result
from raykg.tune.schedules import Schedule

SEARCH: dict[str, list[object]] = {}


@config
class Config:
    """Nothing to set."""


class Full(Schedule):
    """Stops nobody."""

    def first(self, trial: int) -> Leg:
        """Return the only leg."""
        return Leg(trial, 0, 1.0)

    def after(self, results: Sequence[Result], settings: Mapping[tuple[int, int], Mapping[str, Any]]) -> list[Move]:
        """Return nothing: whoever has a result is at its end."""
        return []

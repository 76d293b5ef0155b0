"""grid: every combination once, the last key of the space changing fastest.

Source: the full factorial design; R. A. Fisher, The Design of Experiments, 1935.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from raykg.config.schema import config
from raykg.tune.legs import Result
from raykg.tune.searches import Search

SEARCH: dict[str, list[object]] = {}


@config
class Config:
    """Nothing to set."""


class Grid(Search):
    """Goes through the combinations in order; a range needs `count`, its number of points."""

    def count(self) -> int:
        """Return how many combinations there are."""
        return math.prod(len(dimension.points()) for dimension in self.space.values())

    def propose(self, trial: int, proposed: Sequence[Mapping[str, Any]], results: Sequence[Result]) -> dict[str, Any]:
        """Return the combination of this number."""
        settings: dict[str, Any] = {}
        for key, dimension in reversed([*self.space.items()]):
            trial, place = divmod(trial, len(dimension.points()))
            settings[key] = dimension.points()[place]
        return {key: settings[key] for key in self.space}

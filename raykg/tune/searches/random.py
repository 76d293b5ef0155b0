"""random: each setting is drawn by itself, evenly over its range.

Paper: Random Search for Hyper-Parameter Optimization, JMLR 2012.

What trial n gets for a key comes from (seed, key, n) alone: another key in the space, or more trials, change nothing of what there is. Each
eight trials are a Latin hypercube (McKay, Beckman and Conover, Technometrics 1979): every eighth of a key's range has one of them.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from raykg.config.schema import PositiveInt, config
from raykg.tune.legs import Result
from raykg.tune.searches import Search

SEARCH: dict[str, list[object]] = {}


@config
class Config:
    """How evenly."""

    strata: PositiveInt = 8
    """So many trials share a range among them; 1: each is drawn without a look at the others."""


class Random(Search):
    """Draws."""

    def propose(self, trial: int, proposed: Sequence[Mapping[str, Any]], results: Sequence[Result]) -> dict[str, Any]:
        """Draw each setting."""
        return {key: dimension.at(self._share(key, trial)) for key, dimension in self.space.items()}

    def _share(self, key: str, trial: int) -> float:
        strata = self.config.strata
        block, place = divmod(trial, strata)
        order = np.random.default_rng((self.seed, zlib.crc32(key.encode()), block)).permutation(strata)
        within = np.random.default_rng((self.seed, zlib.crc32(key.encode()), block, place)).random()
        return float((order[place] + within) / strata)

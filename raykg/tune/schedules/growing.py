"""growing: halving over the graph's size: all trials learn its densest part, the best of them a larger one, the last ones the whole.

Paper: Start Small, Think Big: On Hyperparameter Optimization for Large-Scale Knowledge Graph Embeddings, ECML PKDD 2022, arXiv 2207.04979.

On each rung a trial is trained anew and to its end, on a share of the triples (`graph.share`) and for that share of the steps, and measured
on questions about what it was shown. Of n trials ceil(n / reduction) go on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from raykg.config.schema import config
from raykg.tune.errors import TuneError
from raykg.tune.legs import Leg, Move, Result
from raykg.tune.schedules import Scope
from raykg.tune.schedules.halving import Config as HalvingConfig
from raykg.tune.schedules.halving import Halving

SEARCH: dict[str, list[object]] = {}
_KEY = "graph.share"


@config
class Config(HalvingConfig):
    """Which shares of the graph; `first` and `last` are of its triples."""


class Growing(Halving):
    """Halves as `halving` does, with graphs for rungs.

    Raises:
        TuneError: the graph's share is searched too.
    """

    def __init__(self, config: Config, scope: Scope) -> None:
        """Find the rungs."""
        if _KEY in scope.space:
            raise TuneError(f"space.{_KEY}: may not be searched: the schedule sets it")
        super().__init__(config, scope)

    def first(self, trial: int) -> Leg:
        """Return the training on the smallest graph."""
        return self._grown(super().first(trial))

    def after(self, results: Sequence[Result], settings: Mapping[tuple[int, int], Mapping[str, Any]]) -> list[Move]:
        """Send the best of a rung on to the next larger graph."""
        return [self._grown(move) if isinstance(move, Leg) else move for move in super().after(results, settings)]

    def ladder(self) -> list[str]:
        """Say how many trials learn how much of the graph."""
        return [line.replace("up to", "on").replace("of the training", "of the graph") for line in super().ladder()]

    def _grown(self, leg: Leg) -> Leg:
        return replace(leg, settings={_KEY: leg.share}, anew=True)

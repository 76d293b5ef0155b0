"""How far trials are trained: one way per file.

Each has a `Config`, a `SEARCH` (empty: nobody tunes the tuner) and one public class below `Schedule`, made with its config and a `Scope`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from raykg.tune.legs import Leg, Move, Result
from raykg.tune.measures import score
from raykg.tune.space import Space


@dataclass(frozen=True, slots=True)
class Scope:
    """What a schedule is made for.

    Attributes:
        trials: how many there will be.
        objective: the measure that decides.
        seed: of the sweep.
        space: what is searched.
    """

    trials: int
    objective: str
    seed: int
    space: Space

    def score(self, result: Result) -> float:
        """Return a result's objective so that more is better."""
        return score(result.values, self.objective)


class Schedule(Protocol):
    """Decides which trials go on, as a pure function of the results in their order: no clock, no generator with a state of its own."""

    keeps: bool = False
    """Whether another trial may come for any checkpoint, so that all are to be kept."""

    config: Any
    scope: Scope

    def __init__(self, config: Any, scope: Scope) -> None:  # noqa: ANN401 - each file's own Config
        """Keep both."""
        self.config = config
        self.scope = scope

    @abstractmethod
    def first(self, trial: int) -> Leg:
        """Return the leg that a new trial begins with."""

    @abstractmethod
    def after(self, results: Sequence[Result], settings: Mapping[tuple[int, int], Mapping[str, Any]]) -> list[Move]:
        """Return what follows from the newest result.

        Args:
            results: all so far, the newest last.
            settings: of each leg so far, by trial and number: as the trial was proposed, with what legs changed up to there.
        """

    def ladder(self) -> list[str]:
        """Say what lies ahead, a line each, for whoever starts a sweep."""
        return []

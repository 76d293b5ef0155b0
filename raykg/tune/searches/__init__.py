"""How settings are proposed: one way per file.

Each has a `Config`, a `SEARCH` (empty: nobody tunes the tuner) and one public class below `Search`, made with its config, the space, the
sweep's seed and the measures that count.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from raykg.tune.legs import Result
from raykg.tune.space import Space


class Search(Protocol):
    """Proposes settings, as a pure function of a trial's number and what is known: no generator with a state of its own."""

    config: Any
    space: Space
    seed: int
    objectives: Sequence[str]

    def __init__(self, config: Any, space: Space, seed: int, objectives: Sequence[str]) -> None:  # noqa: ANN401 - each file's own Config
        """Keep all four."""
        self.config = config
        self.space = space
        self.seed = seed
        self.objectives = objectives

    def count(self) -> int | None:
        """Return how many different trials there can be; None: any number."""
        return None

    @abstractmethod
    def propose(self, trial: int, proposed: Sequence[Mapping[str, Any]], results: Sequence[Result]) -> dict[str, Any]:
        """Return the settings of a trial, dotted key -> value.

        Args:
            trial: its number; those before it were proposed.
            proposed: their settings, by number.
            results: all so far, in the order in which they came.
        """

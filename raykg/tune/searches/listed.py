"""listed: the settings that you name, in their order; beside `grid` for those who know what they want to compare.

Source: any table of baselines.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from raykg.config.schema import config
from raykg.tune.errors import TuneError
from raykg.tune.legs import Result
from raykg.tune.searches import Search
from raykg.tune.space import Listed, Space

SEARCH: dict[str, list[object]] = {}


@config
class Config:
    """Which settings."""

    settings: tuple[Mapping[str, Any], ...] = ()
    """Of each trial, key of the space -> value; a trial has a value for each key."""


class ListedSettings(Search):
    """Goes through a list.

    Raises:
        TuneError: a trial lacks a key of the space or has another one, or a value lies outside of its range.
    """

    def __init__(self, config: Config, space: Space, seed: int, objectives: Sequence[str]) -> None:
        """Refuse what does not fit the space."""
        super().__init__(config, space, seed, objectives)
        for number, one in enumerate(config.settings):
            if differing := sorted(one.keys() ^ space.keys()):
                raise TuneError(f"search.settings[{number}]: {differing[0]} is in the space or in the settings, and not in both")
            for key, value in one.items():
                dimension = space[key]
                inside = value in dimension.values if isinstance(dimension, Listed) else dimension.low <= value <= dimension.high
                if not inside:
                    raise TuneError(f"search.settings[{number}].{key} ({value}): lies outside of the space")

    def count(self) -> int:
        """Return how many there are."""
        return len(self.config.settings)

    def propose(self, trial: int, proposed: Sequence[Mapping[str, Any]], results: Sequence[Result]) -> dict[str, Any]:
        """Return the settings of this number."""
        one = self.config.settings[trial]
        return {key: one[key] for key in self.space}

"""A space in Optuna's words, for the searches and figures that Optuna makes: ranges as they are, listed values by their place.

Optuna keeps only simple values, and a setting may be a list.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from raykg.tune.space import Listed, Settings, Space

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution


def distributions(space: Space) -> dict[str, BaseDistribution]:
    """Return Optuna's word for each range."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    found: dict[str, BaseDistribution] = {}
    for key, dimension in space.items():
        if isinstance(dimension, Listed):
            found[key] = CategoricalDistribution(range(len(dimension.values)))
        elif dimension.whole:
            found[key] = IntDistribution(int(dimension.low), int(dimension.high), log=dimension.log)
        else:
            found[key] = FloatDistribution(dimension.low, dimension.high, log=dimension.log)
    return found


def params(space: Space, settings: Settings) -> dict[str, Any]:
    """Return a trial's settings as Optuna has them."""
    return {key: one.values.index(settings[key]) if isinstance(one, Listed) else settings[key] for key, one in space.items()}


def settings_of(space: Space, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return what Optuna proposes as settings; numbers that are not whole, such that a reader can copy them."""
    return {key: _setting(space, key, asked[key]) for key in space}


def _setting(space: Space, key: str, asked: Any) -> Any:  # noqa: ANN401 - of any type
    dimension = space[key]
    if isinstance(dimension, Listed):
        return dimension.values[asked]
    return asked if dimension.whole else float(f"{asked:.6g}")

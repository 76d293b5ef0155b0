"""tpe: proposes where good trials are likelier than bad ones, by Optuna's tree-structured Parzen estimator.

Paper: Algorithms for Hyper-Parameter Optimization, NeurIPS 2011; as in Watanabe, 2023, arXiv 2304.11127.

Each proposal is made from the journal anew: Optuna gets what is known of every earlier trial, those that still train as running ones, and a
generator seeded by (seed, trial). Of a trial that was stopped early, what it had last counts. Several objectives are several to Optuna too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from raykg.config.schema import PositiveInt, config
from raykg.tune.legs import Result
from raykg.tune.measures import score
from raykg.tune.searches import Search
from raykg.tune.space import Listed

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution

SEARCH: dict[str, list[object]] = {}


@config
class Config:
    """When to begin to learn from results."""

    startup: PositiveInt = 4
    """Trials that are drawn at random first."""
    candidates: PositiveInt = 24
    """Points of which the likeliest one is taken."""


class Tpe(Search):
    """Asks Optuna."""

    def propose(self, trial: int, proposed: Sequence[Mapping[str, Any]], results: Sequence[Result]) -> dict[str, Any]:
        """Tell Optuna what is known, and ask for one more."""
        study = self._study(trial)
        latest = {result.trial: result for result in results}
        for number, settings in enumerate(proposed):
            self._tell(study, settings, latest.get(number))
        asked = study.ask(self._distributions()).params
        return {key: self._value(key, asked[key]) for key in self.space}

    def _study(self, trial: int) -> Study:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        seed = int(np.random.SeedSequence((self.seed, trial)).generate_state(1)[0])
        sampler = optuna.samplers.TPESampler(
            n_startup_trials=self.config.startup, n_ei_candidates=self.config.candidates, constant_liar=True, seed=seed
        )
        return optuna.create_study(sampler=sampler, directions=["maximize"] * len(self.objectives))

    def _tell(self, study: Study, settings: Mapping[str, Any], result: Result | None) -> None:
        from optuna.trial import TrialState, create_trial

        states = {True: TrialState.RUNNING, False: TrialState.COMPLETE}
        failed = result is not None and result.values is None
        values = [score(result.values, name) for name in self.objectives] if result is not None and not failed else None
        params = {key: self._index(key, settings[key]) for key in self.space}
        made = create_trial(
            state=TrialState.FAIL if failed else states[values is None], params=params, distributions=self._distributions(), values=values
        )
        study.add_trial(made)

    def _distributions(self) -> dict[str, BaseDistribution]:
        """Return Optuna's word for each range; listed values by their place, because Optuna keeps only simple ones."""
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        found: dict[str, BaseDistribution] = {}
        for key, dimension in self.space.items():
            if isinstance(dimension, Listed):
                found[key] = CategoricalDistribution(range(len(dimension.values)))
            elif dimension.whole:
                found[key] = IntDistribution(int(dimension.low), int(dimension.high), log=dimension.log)
            else:
                found[key] = FloatDistribution(dimension.low, dimension.high, log=dimension.log)
        return found

    def _index(self, key: str, value: Any) -> Any:  # noqa: ANN401 - a setting
        dimension = self.space[key]
        return dimension.values.index(value) if isinstance(dimension, Listed) else value

    def _value(self, key: str, asked: Any) -> Any:  # noqa: ANN401 - Optuna's
        dimension = self.space[key]
        if isinstance(dimension, Listed):
            return dimension.values[asked]
        return asked if dimension.whole else float(f"{asked:.6g}")

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
from raykg.tune.optuna_space import distributions, params, settings_of
from raykg.tune.searches import Search

if TYPE_CHECKING:
    from optuna import Study

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
        return settings_of(self.space, study.ask(distributions(self.space)).params)

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

        values = None if result is None or result.values is None else [score(result.values, name) for name in self.objectives]
        state = TrialState.COMPLETE if values else TrialState.RUNNING if result is None else TrialState.FAIL
        told = create_trial(state=state, values=values, params=params(self.space, settings), distributions=distributions(self.space))
        study.add_trial(told)

"""Which settings mattered: PED-ANOVA over the trials that have a result.

Paper: PED-ANOVA: Efficiently Quantifying Hyperparameter Importance in Arbitrary Subspaces, IJCAI 2023, arXiv 2304.10255; Optuna's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from raykg.tune.optuna_space import distributions, params
from raykg.tune.space import Space

_FEWEST = 4  # trials below which a share would be made of luck


def importance(space: Space, settings: Sequence[Mapping[str, Any]], values: Sequence[float]) -> dict[str, float]:
    """Return each key's share, the largest first; nothing where there are too few trials or all are alike.

    Args:
        space: what was searched.
        settings: of each trial.
        values: the objective of each, more is better.
    """
    if len(settings) < _FEWEST or len({*values}) < 2:
        return {}
    import optuna
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="maximize")
    for one, value in zip(settings, values, strict=True):
        study.add_trial(optuna.trial.create_trial(params=params(space, one), distributions=distributions(space), value=value))
    varied = [key for key in space if len({str(one[key]) for one in settings}) > 1]
    if not varied:
        return {}
    found = get_param_importances(study, evaluator=PedAnovaImportanceEvaluator(), params=varied)
    return {key: float(share) for key, share in found.items()}

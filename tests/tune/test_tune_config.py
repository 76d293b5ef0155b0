"""What a sweep's file may say."""

import pytest

from raykg.config.errors import ConfigErrors
from raykg.config.load import from_dict
from raykg.tune.tune_config import RangeConfig, SweepConfig

LEAST = {"job": "job.yaml", "space": {"lora.rank": [1, 2], "train": None, "train.learning_rate": {"low": 1e-4, "high": 1, "log": True}}}


def test_the_least_that_a_sweep_needs():
    cfg = from_dict(SweepConfig, LEAST)
    assert cfg.space["lora.rank"] == (1, 2) and cfg.space["train"] is None
    assert cfg.space["train.learning_rate"] == RangeConfig(low=1e-4, high=1, log=True)
    assert (cfg.search.name, cfg.schedule.name, cfg.objectives, cfg.run.name) == ("random", "full", ("accuracy",), "sweep")


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"space": {"a": {"low": 2, "high": 1}}}, "low (2) must be at most high (1)"),
        ({"space": {"a": {"low": 0, "high": 1, "log": True}}}, "low (0) must be above 0 with log: true"),
        ({"objectives": ["acuracy"]}, "objectives (acuracy) must be one of accuracy"),
        ({"objectives": []}, "objectives () must name at least one of accuracy"),
        ({"constraints": [{"measure": "accuracy"}]}, "at_most: give it, or at_least, for accuracy"),
        ({"constraints": [{"measure": "speed", "at_most": 1}]}, "measure (speed) must be one of accuracy"),
        ({"schedule": {"name": "pbt", "quantile": 0.7}}, "quantile (0.7) must be above 0 and at most 0.5"),
        ({"schedule": {"name": "pbt", "factor": 1.0}}, "factor (1) must be above 1"),
        ({"schedule": "asher"}, "did you mean 'asha'"),
    ],
)
def test_what_is_wrong_is_said(settings, says):
    with pytest.raises(ConfigErrors) as refused:
        from_dict(SweepConfig, LEAST | settings)
    assert says in str(refused.value)

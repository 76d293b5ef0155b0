import pytest

from raykg.config.errors import ConfigErrors
from raykg.config.load import from_dict
from raykg.continual.continual_config import ContinualConfig, LearnConfig

POSTS = {"name": "scenes"}


def test_what_the_loop_reads_is_what_the_config_says():
    settings = LearnConfig(epochs=1.5, batch=8, learning_rate=2e-4, schedule="constant", clip=0.0).settings()
    assert (settings.epochs, settings.batch, settings.learning_rate, settings.schedule, settings.clip) == (1.5, 8, 2e-4, "constant", 0.0)
    assert settings.evaluate_rows == 0 and settings.total_steps(10) == 15


def test_a_comparison_of_nothing_is_refused():
    with pytest.raises(ConfigErrors, match="give at least one of each"):
        from_dict(ContinualConfig, {"posts": POSTS, "seeds": []})


@pytest.mark.parametrize(
    ("twice", "told"),
    [
        ({"seeds": [1, 0, 1]}, "seeds: 1 is given 2 times"),
        ({"modalities": ["text", "text"], "model": {"image": "tiny:vit"}}, "modalities: text is given 2 times"),
        ({"strategies": ["lmc", {"name": "lmc", "distil": 1.0}]}, "strategies: lmc with {.*} is given 2 times"),
    ],
)
def test_what_is_given_twice_would_share_a_folder(twice, told):
    with pytest.raises(ConfigErrors, match=told):
        from_dict(ContinualConfig, {"posts": POSTS, **twice})


def test_defaults_compare_what_matters():
    cfg = from_dict(ContinualConfig, {"posts": POSTS})
    assert [one.name for one in cfg.strategies] == ["vanilla", "replay", "lmc", "joint"] and cfg.resources.workers == 1


def test_a_strategy_that_does_not_fit_the_model_is_refused_before_anything_runs():
    with pytest.raises(ConfigErrors, match=r"fusion \(prefix\) needs model.image"):
        from_dict(ContinualConfig, {"posts": POSTS, "strategies": [{"name": "vanilla", "fusion": "prefix"}]})
    with pytest.raises(ConfigErrors, match="rp_cre refines what is read of texts"):
        from_dict(
            ContinualConfig, {"posts": POSTS, "model": {"image": "tiny:vit"}, "modalities": ["both", "image"], "strategies": ["rp_cre"]}
        )

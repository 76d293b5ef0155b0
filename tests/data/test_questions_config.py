import pytest

from raykg.config.errors import ConfigErrors
from raykg.config.load import from_dict, to_dict
from raykg.data.questions_config import QuestionsConfig


def test_the_defaults_test_on_another_split_than_they_train_on():
    cfg = QuestionsConfig()
    assert (cfg.train.config.split, cfg.test[0].config.split) == ("train", "test")
    assert from_dict(QuestionsConfig, to_dict(cfg)) == cfg


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"test": []}, "must name at least one source"),
        ({"hold_out_wordings": 1.0}, "must be below 1"),
        ({"train": {"name": "generated", "kinds": {"poem": 1}}}, "must be among path"),
        ({"train": {"name": "generated", "kinds": {"path": 0}}}, "at least one weight above 0"),
        ({"train": {"name": "generated", "hops": [0, 0, 0]}}, "at least one weight above 0"),
        ({"train": {"name": "metaqa", "folder": "x", "hops": []}}, "at least one of 1, 2, 3"),
        ({"train": {"name": "generatd"}}, "did you mean 'generated'"),
    ],
)
def test_mistakes_are_refused(settings, message):
    with pytest.raises(ConfigErrors, match=message):
        from_dict(QuestionsConfig, settings)

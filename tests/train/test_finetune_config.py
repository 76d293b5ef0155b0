import pytest

from raykg.config.errors import RaykgError
from raykg.config.load import from_dict
from raykg.train.finetune_config import FinetuneConfig


def test_a_batch_that_cuts_groups_is_refused() -> None:
    good = from_dict(FinetuneConfig, {"train": {"steps": 1, "batch": 24}, "targets": {"questions_per_context": 8}})
    assert good.targets.questions_per_context == 8
    with pytest.raises(RaykgError, match=r"train.batch \(20\) must be a multiple of targets.questions_per_context \(8\)"):
        from_dict(FinetuneConfig, {"train": {"steps": 1, "batch": 20}, "targets": {"questions_per_context": 8}})

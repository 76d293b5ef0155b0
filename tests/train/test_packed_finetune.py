"""Which fine-tunings can share a base; that they leave what they leave alone is tested in tests/tune/test_trial.py, with real workers."""

import pytest

from raykg.config.load import from_dict
from raykg.train.errors import TrainError
from raykg.train.finetune_config import FinetuneConfig
from raykg.train.packed_finetune import refuse_what_cannot_be_packed


def job(**changes):
    plain = {"train": {"steps": 1}, "questions": {"train": {"name": "generated"}, "test": [{"name": "generated", "split": "test"}]}}
    return from_dict(FinetuneConfig, plain | changes)


def test_ranks_rates_batches_and_targets_may_differ():
    refuse_what_cannot_be_packed([job(), job(lora={"rank": 2, "targets": ["q_proj"]}, train={"steps": 5, "batch": 8, "micro_batch": 8})])


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"engine": {"name": "deepspeed"}}, "engine: trials that are packed on one base need torch, which shards nothing"),
        ({"train": {"steps": 1, "packing": False}}, "train.packing: .* need true: only packed rows can share a pass"),
        ({"lora": {"enabled": False}}, "lora.enabled: .* need true"),
        ({"lora": {"dora": True}}, "lora.dora: .* need false"),
        ({"model": {"gradient_checkpointing": True}}, "model.gradient_checkpointing: .* need false"),
        ({"model": {"reference": "tiny:llama"}}, "model: differs between trials that are to be packed on one base"),
        ({"resources": {"workers": 1}}, "resources: differs between trials"),
    ],
)
def test_what_cannot_share_a_base_is_refused(changes, says):
    with pytest.raises(TrainError, match=says):
        refuse_what_cannot_be_packed([job(), job(**changes)])

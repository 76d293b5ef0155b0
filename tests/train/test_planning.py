"""The arithmetic of a plan, and what it says when something cannot fit."""

import pytest

from raykg.config.load import from_dict
from raykg.models.shape import ModelShape
from raykg.train.errors import TrainError
from raykg.train.finetune_config import FinetuneConfig
from raykg.train.planning import PROCESS, advice, memory_of, refuse_what_cannot_fit

SEVEN = ModelShape(parameters=7_655_986_688, trainable=40_370_176, layers=28, width=3584, inner=18944, vocabulary=152_064)


def job(**changes):
    plain = {
        "train": {"steps": 10, "batch": 128, "micro_batch": 4},
        "questions": {"train": {"name": "generated"}, "test": [{"name": "generated", "split": "test"}]},
        "resources": {"workers": 8, "gpus_per_worker": 1},
    }
    return from_dict(FinetuneConfig, plain | changes)


def test_weights_and_optimiser_by_stage():
    whole = memory_of(job(), SEVEN, graph=5)
    assert whole.weights == (SEVEN.parameters - SEVEN.trainable) * 2 + SEVEN.trainable * 4, "bf16 on GPUs, float32 where it is trained"
    assert (whole.gradients, whole.optimiser) == (SEVEN.trainable * 4, SEVEN.trainable * 8)
    assert (whole.process, whole.graph) == (PROCESS, 5) and whole.total > sum((whole.weights, whole.gradients, whole.optimiser))
    second, third = (memory_of(job(engine={"name": "deepspeed", "zero": stage}), SEVEN, 0) for stage in (2, 3))
    assert (second.weights, second.gradients, second.optimiser) == (whole.weights, whole.gradients // 8, whole.optimiser // 8)
    assert third.weights == whole.weights // 8 and third.activations == whole.activations
    assert memory_of(job(lora={"enabled": False}), SEVEN, 0).weights == SEVEN.trainable * 4
    on_cpus = memory_of(job(resources={"workers": 1}), SEVEN, 0)
    assert on_cpus.weights == SEVEN.parameters * 4


def test_activations_grow_with_rows_and_tokens():
    one = memory_of(job(), SEVEN, 0, tokens=100.0)
    assert one.activations == 4 * 100 * 2 * (8 * 3584 + 4 * 18944) * 28
    assert memory_of(job(), SEVEN, 0, tokens=200.0).activations == 2 * one.activations
    assert memory_of(job(), SEVEN, 0).activations == pytest.approx(one.activations * 1.92), "targets.max_tokens without better knowledge"
    less = memory_of(job(model={"gradient_checkpointing": True}), SEVEN, 0, tokens=100.0)
    assert one.activations / 15 < less.activations < one.activations / 10


@pytest.mark.parametrize(
    ("changes", "available", "says"),
    [
        ({}, 10, r"a worker needs about [\d.]+ GiB, a GPU has 10.0 GiB: weights take 14.3 GiB: shard them with engine=.*zero: 3"),
        (
            {"engine": {"name": "deepspeed", "zero": 3}, "resources": {"workers": 1, "gpus_per_worker": 1}},
            10,
            r"raise resources.workers \(1\)",
        ),
        ({"train": {"steps": 1, "batch": 128, "micro_batch": 128}}, 60, r"activations take .*: lower train.micro_batch \(128\)"),
        ({"train": {"steps": 1, "micro_batch": 1}, "targets": {"max_tokens": 40000}}, 60, "set model.gradient_checkpointing=true"),
        (
            {"train": {"steps": 1, "micro_batch": 1}, "targets": {"max_tokens": 400000}, "model": {"gradient_checkpointing": True}},
            60,
            r"lower targets.max_tokens \(400000\)",
        ),
        ({"lora": {"enabled": False}}, 60, "optimiser take .*: set lora.enabled=true"),
    ],
)
def test_what_cannot_fit_is_refused_with_the_key_to_change(changes, available, says):
    cfg = job(**changes)
    shape = SEVEN if cfg.lora.enabled else ModelShape(SEVEN.parameters, SEVEN.parameters, 28, 3584, 18944, 152_064)
    with pytest.raises(TrainError, match=says):
        refuse_what_cannot_fit(cfg, memory_of(cfg, shape, 0), available << 30, "a GPU")
    refuse_what_cannot_fit(cfg, memory_of(cfg, shape, 0), 10_000 << 30, "a GPU")


def test_a_process_counts_where_it_shares_the_memory():
    cfg = job(resources={"workers": 1})
    needs = memory_of(cfg, ModelShape(1000, 100, 2, 8, 16, 50), 0)
    assert needs.total > PROCESS and advice(cfg, needs)
    with pytest.raises(TrainError):
        refuse_what_cannot_fit(cfg, needs, PROCESS, "this machine")

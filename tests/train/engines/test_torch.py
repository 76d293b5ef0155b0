"""The plain engine saves no code, re-deals a run to another number of workers, and clips by the global norm."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from raykg.train.engines import Optimiser
from raykg.train.engines.torch import Config, TorchEngine
from raykg.train.ranks import Ranks
from tests.train.gloo_group import run_group
from tests.train.group_jobs import Case, half_precision, train


def engine(clip: float = 0.0) -> tuple[torch.nn.Linear, TorchEngine]:
    torch.manual_seed(1)
    model = torch.nn.Linear(3, 2)
    return model, TorchEngine(Config(), model, Optimiser(clip=clip), Ranks(), "float32")


def test_saved_state_is_tensors_only_and_comes_back_bit_for_bit(tmp_path: Path) -> None:
    model, first = engine()
    for _ in range(3):
        first.backward(model(torch.ones(1, 3)).square().sum(), last=True)
        first.step(0.1)
    first.save(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["state-00000.safetensors"]
    assert sorted({key.split(":")[0] for key in load_file(tmp_path / "state-00000.safetensors")}) == [
        "exp_avg",
        "exp_avg_sq",
        "step",
        "weight",
    ]
    other, second = engine()
    second.load(tmp_path)
    for one, two in ((model, first), (other, second)):
        two.backward(one(torch.ones(1, 3)).square().sum(), last=True)
        two.step(0.1)
    assert torch.equal(model.weight, other.weight)
    assert torch.equal(model.bias, other.bias)


def test_clipping_keeps_the_direction_and_tells_the_norm_before() -> None:
    model, clipped = engine(clip=0.5)
    clipped.backward((model.weight * 100.0).sum() + model.bias.sum() * 0.0, last=True)
    assert clipped.step(0.0) == pytest.approx(100.0 * 6**0.5)


def test_the_whole_model_is_lent_in_evaluation_mode() -> None:
    model, plain = engine()
    model.train()
    with plain.whole() as lent:
        assert lent is model
        assert not lent.training
    assert model.training


def test_a_run_of_two_workers_goes_on_with_one(tmp_path: Path) -> None:
    case = Case(steps=6, checkpoint_every=3)
    whole = train(Ranks(), case, str(tmp_path / "whole"))
    run_group(2, train, replace(case, stop_after=4), str(tmp_path / "moved"))
    moved = train(Ranks(), case, str(tmp_path / "moved"))
    assert moved["start"] == 3
    expected = [record["loss"] for record in whole["records"] if record["kind"] == "step"][3:]
    assert [record["loss"] for record in moved["records"] if record["kind"] == "step"] == pytest.approx(expected, abs=1e-5)


def test_every_engine_trains_in_bf16(tmp_path: Path) -> None:
    exact = [
        record["loss"] for record in train(Ranks(), Case(steps=4, clip=1.0), str(tmp_path / "exact"))["records"] if record["kind"] == "step"
    ]
    for losses in run_group(2, half_precision, str(tmp_path)):
        for name, found in losses.items():
            assert found == pytest.approx(exact, rel=0.02), name

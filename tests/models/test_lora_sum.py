"""A LoRA layer whose update is added by its product gives what PEFT's gives, and leaves to PEFT what it does not understand."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from raykg.models import lora_sum
from raykg.models.lora import LoraConfig, attach, load_adapter, merge, peft_settings, save_adapter
from raykg.models.lora_sum import add_at_once, added
from raykg.models.reference import load_model

IDS = torch.arange(24).reshape(2, 12) * 7 % 250 + 3


def both(folder: Path, cfg: LoraConfig, dtype: str = "float32") -> tuple[Any, Any]:
    """A model of PEFT alone and ours, with the same adapter whose B is not zero."""
    from peft import get_peft_model

    ours = attach(load_model(folder, dtype), cfg)
    base = load_model(folder, dtype)
    plain = get_peft_model(base, peft_settings(base, cfg)).train()
    with torch.no_grad():
        for name, weight in ours.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.1)
    plain.load_state_dict(ours.state_dict())
    return plain, ours


def learnt(model: Any) -> torch.Tensor:
    torch.manual_seed(5)  # dropout's
    loss = model(input_ids=IDS, labels=IDS).loss
    loss.backward()
    gradients = torch.cat([weight.grad.flatten() for weight in model.parameters() if weight.grad is not None])
    model.zero_grad()
    return torch.cat([loss.detach()[None], gradients])


@pytest.fixture
def sums(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How often a layer's sum was made by its product."""
    made: list[int] = []

    def watched(*given: Any) -> torch.Tensor:
        made.append(1)
        return added(*given)

    monkeypatch.setattr(lora_sum, "added", watched)
    return made


@pytest.mark.parametrize(
    "cfg",
    [LoraConfig(rank=4, alpha=8), LoraConfig(rank=6, alpha=8, rslora=True), LoraConfig(rank=3, alpha=5, dropout=0.3)],
    ids=["power of two", "rslora", "dropout"],
)
def test_loss_and_gradients_are_those_of_peft(tiny_folder: Path, cfg: LoraConfig, sums: list[int]) -> None:
    plain, ours = both(tiny_folder, cfg)
    expected = learnt(plain)
    assert not sums
    found = learnt(ours)
    assert sums
    assert (found - expected).norm() <= 1e-6 * expected.norm()


def test_a_scaling_by_a_power_of_two_changes_no_bit_of_the_sum() -> None:
    torch.manual_seed(0)
    output, low, up = torch.randn(2, 7, 32), torch.randn(2, 7, 4), nn.Linear(4, 32, bias=False)
    exact = output.double() + 0.3 * low.double() @ up.weight.double().t()
    assert torch.allclose(added(output, low, up, 0.3).double(), exact, atol=1e-6)
    assert torch.equal(added(output, torch.zeros_like(low), up, 2.0), output)


def test_what_is_not_one_plain_adapter_is_left_to_peft(tiny_folder: Path, sums: list[int]) -> None:
    plain, ours = both(tiny_folder, LoraConfig(rank=4))
    with torch.no_grad(), plain.disable_adapter(), ours.disable_adapter():
        assert torch.equal(ours(input_ids=IDS).logits, plain(input_ids=IDS).logits)
    assert not sums
    for model in (plain, ours):
        torch.manual_seed(1)
        model.add_adapter("other", peft_settings(load_model(tiny_folder), LoraConfig(rank=2)))
        model.base_model.set_adapter(["default", "other"])
    assert torch.equal(learnt(ours), learnt(plain))
    assert not sums
    ours.set_adapter("default")
    learnt(ours)
    assert sums
    for name, weight in ours.named_parameters():
        if "lora_B" in name:
            weight.ds_id = 0  # as DeepSpeed marks what ZeRO-3 has scattered
    sums.clear()
    learnt(ours)
    assert not sums


def test_bf16_weights_with_an_adapter_of_float32_are_peft_s_and_under_autocast_as_exact(tiny_folder: Path, sums: list[int]) -> None:
    plain, ours = both(tiny_folder, LoraConfig(rank=4), "bfloat16")
    with torch.no_grad():
        assert torch.equal(ours(input_ids=IDS).logits, plain(input_ids=IDS).logits)
        assert not sums
        with torch.autocast("cpu", torch.bfloat16):
            found, peft = ours(input_ids=IDS).logits, plain(input_ids=IDS).logits
        assert sums
        assert found.dtype == peft.dtype
        exact = plain.float()(input_ids=IDS).logits
    assert (found - exact).norm() <= 1.5 * (peft - exact).norm()  # both round to eight bits in every layer


def test_dora_is_left_as_it_is(tiny_folder: Path, sums: list[int]) -> None:
    learnt(attach(load_model(tiny_folder), LoraConfig(rank=4, dora=True)))
    assert not sums


def test_a_copy_a_saved_adapter_and_a_merged_model_are_the_same_model(tiny_folder: Path, tmp_path: Path) -> None:
    _, ours = both(tiny_folder, LoraConfig(rank=4))
    ours.eval()
    with torch.no_grad():
        expected = ours(input_ids=IDS).logits
        copied = copy.deepcopy(ours)
        for weight in ours.parameters():
            weight.mul_(1.0)
        save_adapter(ours, tmp_path / "adapter")
        assert torch.equal(load_adapter(load_model(tiny_folder), tmp_path / "adapter")(input_ids=IDS).logits, expected)
        for weight in ours.parameters():
            weight.zero_()
        assert torch.equal(copied(input_ids=IDS).logits, expected)
        assert torch.allclose(merge(copied)(input_ids=IDS).logits, expected, atol=1e-5)


def test_added_twice_is_added_once(tiny_folder: Path) -> None:
    plain, ours = both(tiny_folder, LoraConfig(rank=4))
    add_at_once(ours)
    assert torch.allclose(learnt(ours), learnt(plain), atol=1e-6)

from pathlib import Path

import pytest
import torch
from torch.nn import functional

from raykg.models import lora
from raykg.models.answer_logits import IGNORE, head_at, language_model, loss_sum
from raykg.models.reference import load_model


def uneven_batch() -> dict[str, torch.Tensor]:
    """Four rows of different lengths and answers, right-padded; one answer starts at the second token, one row has a gap."""
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(3, 259, (4, 12), generator=generator)
    labels = torch.full_like(ids, IGNORE)
    mask = torch.zeros_like(ids)
    for row, (start, end) in enumerate([(5, 9), (1, 12), (10, 11), (3, 7)]):
        labels[row, start:end] = ids[row, start:end]
        mask[row, :end] = 1
    labels[1, 6] = IGNORE
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def full_loss(model: torch.nn.Module, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    return functional.cross_entropy(
        logits[:, :-1].reshape(-1, logits.shape[-1]), batch["labels"][:, 1:].reshape(-1), ignore_index=IGNORE, reduction="sum"
    )


@pytest.mark.parametrize("adapted", [False, True])
def test_equal_to_the_full_computation_in_float64(tiny_folder: Path, adapted: bool) -> None:
    model: torch.nn.Module = load_model(tiny_folder).double()
    if adapted:
        model = lora.attach(model, lora.LoraConfig(rank=4)).double()
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter, generator=torch.Generator().manual_seed(2))
    batch = uneven_batch()
    parameters = [p for p in model.parameters() if p.requires_grad]
    expected = full_loss(model, batch)
    gradients = torch.autograd.grad(expected, parameters)
    total, count = loss_sum(model, batch)
    assert count == int((batch["labels"] != IGNORE).sum()) == 4 + 10 + 1 + 4
    assert torch.allclose(total, expected, rtol=1e-13, atol=0)
    for got, wanted in zip(torch.autograd.grad(total, parameters), gradients, strict=True):
        assert torch.allclose(got, wanted, rtol=1e-10, atol=1e-12)


def test_the_head_sees_answer_positions_only(tiny_folder: Path) -> None:
    model = load_model(tiny_folder)
    seen: list[torch.Size] = []
    model.get_output_embeddings().register_forward_hook(lambda _m, arguments, _o: seen.append(arguments[0].shape))
    _, count = loss_sum(model, uneven_batch())
    assert seen == [(count, 32)]
    model(input_ids=torch.tensor([[5, 6, 7]]))
    assert seen[1] == (1, 3, 32), "the hook outlived the loss"


def test_padding_changes_nothing(tiny_folder: Path) -> None:
    model = load_model(tiny_folder).double()
    batch = uneven_batch()
    alone = [
        loss_sum(model, {key: value[row : row + 1, : int(batch["attention_mask"][row].sum())] for key, value in batch.items()})
        for row in range(4)
    ]
    total, count = loss_sum(model, batch)
    assert count == sum(c for _, c in alone)
    assert torch.allclose(total, sum(t for t, _ in alone), rtol=1e-12)


def test_a_batch_without_answers_adds_nothing(tiny_folder: Path) -> None:
    """A worker runs one when the others have one more micro-batch: hooks of all parameters fire, gradients are zero."""
    batch = uneven_batch()
    batch["labels"][:] = IGNORE
    batch["labels"][:, 0] = 5  # nothing stands before the first token, so it cannot be predicted
    model = lora.attach(load_model(tiny_folder), lora.LoraConfig(rank=2))
    total, count = loss_sum(model, batch)
    total.backward()
    assert (float(total), count) == (0.0, 0)
    assert all(p.grad is not None and not p.grad.any() for p in model.parameters() if p.requires_grad)


def test_the_hook_goes_when_the_forward_fails(tiny_folder: Path) -> None:
    model = load_model(tiny_folder)
    with pytest.raises(RuntimeError, match="power cut"), head_at(model, torch.tensor([0])):
        raise RuntimeError("power cut")
    assert not model.get_output_embeddings()._forward_pre_hooks


def test_wrappers_are_looked_through(tiny_folder: Path) -> None:
    class Wrapper(torch.nn.Module):
        def __init__(self, module: torch.nn.Module) -> None:
            super().__init__()
            self.module = module
            self.calls = 0

        def forward(self, **inputs: torch.Tensor) -> object:
            self.calls += 1
            return self.module(**inputs)

    adapted = lora.attach(load_model(tiny_folder), lora.LoraConfig(rank=2))
    wrapped = Wrapper(Wrapper(adapted))
    assert language_model(wrapped) is adapted
    total, _ = loss_sum(wrapped, uneven_batch())
    assert wrapped.calls == wrapped.module.calls == 1
    assert torch.equal(total, loss_sum(adapted, uneven_batch())[0])


def test_gradient_checkpointing_agrees(tiny_folder: Path) -> None:
    batch = uneven_batch()
    gradients = []
    for on in (False, True):
        model = lora.attach(load_model(tiny_folder, gradient_checkpointing=on), lora.LoraConfig(rank=2, layers=(-1,)))
        loss_sum(model, batch)[0].backward()
        gradients.append([p.grad for p in model.parameters() if p.requires_grad])
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(*gradients, strict=True))

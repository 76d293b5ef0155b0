"""Trials that share a base learn what each of them learns alone."""

from __future__ import annotations

import pytest
import torch

from raykg.models.answer_logits import IGNORE, loss_sum
from raykg.models.grouped_lora import GroupedLora
from raykg.models.lora import LoraConfig, LoraError, attach, load_adapter
from raykg.models.reference import load_model, resolve

TRIALS = {
    "wide": (LoraConfig(rank=8, alpha=16), 0),
    "dropping": (LoraConfig(rank=4, dropout=0.3), 1),
    "narrow": (LoraConfig(rank=2, targets=("q_proj", "v_proj"), rslora=True), 2),
    "low": (LoraConfig(rank=4, targets=("down_proj",), layers=(0, 2)), 3),
}
RATES = {"wide": 3e-3, "dropping": 5e-3, "narrow": 1e-2, "low": 4e-3}


def batch(seed: int, rows: int) -> dict[str, torch.Tensor]:
    """Rows of different lengths, packed; the first tokens of each are its prompt."""
    random = torch.Generator().manual_seed(seed)
    ids, places, labels = [], [], []
    for _ in range(rows):
        length = int(torch.randint(5, 14, (), generator=random))
        row = torch.randint(3, 250, (length,), generator=random)
        ids.append(row)
        places.append(torch.arange(length))
        labels.append(torch.where(torch.arange(length) < 3, IGNORE, row))
    return {"input_ids": torch.cat(ids)[None], "position_ids": torch.cat(places)[None], "labels": torch.cat(labels)[None]}


def branches(seed: int) -> dict[str, torch.Tensor]:
    """Three questions about the same facts, which stand there once."""
    tokens = torch.randint(3, 250, (21,), generator=torch.Generator().manual_seed(seed))
    own, shared = torch.tensor([13, 3, 5]), torch.tensor([0, 9, 9])
    places = torch.cat([torch.arange(13), torch.arange(9, 12), torch.arange(9, 14)])
    labels = torch.where(places < 11, IGNORE, tokens)
    return {"input_ids": tokens[None], "position_ids": places[None], "labels": labels[None], "own": own, "shared": shared}


def test_rows_that_share_their_beginning_and_rows_that_do_not_can_share_a_pass(folder):
    names = ["wide", "narrow", "low"]
    grouped = GroupedLora(load_model(folder), {name: TRIALS[name] for name in names})
    with torch.no_grad():
        for name in names:
            for key, value in grouped.parameters(name).items():
                value.add_(torch.randn(value.shape, generator=torch.Generator().manual_seed(len(key))) * 0.1)
    batches = {"wide": branches(1), "narrow": batch(2, 3), "low": branches(3)}
    found = grouped.losses(batches)
    for name in names:
        with grouped.alone(name) as model:
            total, count = loss_sum(model, batches[name])
        assert (found[name][0].item(), found[name][1]) == (pytest.approx(total.item(), rel=1e-6), count)


def state(seed: int, step: int) -> torch.Tensor:
    return torch.Generator().manual_seed(1000 * seed + step).get_state()


def solo(folder, name, steps):
    """Train a trial by itself, as the loop does: generators seeded at each step, clipping by its own norm."""
    cfg, seed = TRIALS[name]
    model = attach(load_model(folder), cfg, seed)
    parameters = [p for p in model.parameters() if p.requires_grad]
    adamw = torch.optim.AdamW(parameters, lr=RATES[name], weight_decay=0.01)
    losses = []
    for step in range(steps):
        torch.set_rng_state(state(seed, step))
        total, count = loss_sum(model, batch(10 * seed + step, 3 + seed))
        (total / count).backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        adamw.step()
        adamw.zero_grad()
        losses.append(total.item() / count)
    return losses, model


@pytest.fixture(scope="module")
def folder():
    return resolve("tiny:llama")


def test_each_trial_learns_what_it_learns_alone(folder, tmp_path):
    """Different ranks, targets, rates and rows, dropout in one of them; one leaves after three of six steps."""
    steps = {"wide": 6, "dropping": 6, "narrow": 3, "low": 6}
    grouped = GroupedLora(load_model(folder), TRIALS)
    before = {key: value.clone() for key, value in grouped.model.named_parameters() if "lora_" not in key}
    own = {name: [*grouped.parameters(name).values()] for name in TRIALS}
    adamw = {name: torch.optim.AdamW(own[name], lr=RATES[name], weight_decay=0.01) for name in TRIALS}
    traces: dict[str, list[float]] = {name: [] for name in TRIALS}
    for step in range(6):
        here = [name for name in TRIALS if step < steps[name]]
        if step == steps["narrow"]:
            grouped.save("narrow", tmp_path / "narrow")
            grouped.remove("narrow")
        batches = {}
        for name in here:
            seed = TRIALS[name][1]
            grouped.seed(name, state(seed, step))
            batches[name] = batch(10 * seed + step, 3 + seed)
        found = grouped.losses(batches)
        sum(total / count for total, count in found.values()).backward()
        for name in here:
            traces[name].append(found[name][0].item() / found[name][1])
            torch.nn.utils.clip_grad_norm_(own[name], 1.0)
            adamw[name].step()
            adamw[name].zero_grad()
    for name in TRIALS:
        losses, model = solo(folder, name, steps[name])
        assert traces[name] == pytest.approx(losses, abs=1e-5), name
        assert max(losses) - min(losses) > 1e-3
        alone = {key: value for key, value in model.named_parameters() if value.requires_grad}
        if name != "narrow":
            for key, value in grouped.parameters(name).items():
                torch.testing.assert_close(value, alone[key], atol=1e-5, rtol=0)
            grouped.save(name, tmp_path / name)
        again = load_adapter(load_model(folder), tmp_path / name)
        row = batch(99, 1)["input_ids"]
        torch.testing.assert_close(again(input_ids=row).logits, model.eval()(input_ids=row).logits, atol=1e-5, rtol=0)
    assert all(torch.equal(value, before[key]) for key, value in grouped.model.named_parameters() if key in before), "the base is frozen"


def test_one_trial_answers_alone_in_any_shape(folder):
    grouped = GroupedLora(load_model(folder), TRIALS)
    with torch.no_grad():
        for value in grouped.parameters("wide").values():
            value.add_(0.05)
    rows = torch.arange(24).reshape(2, 12) * 7 % 250 + 3
    single = attach(load_model(folder), *TRIALS["wide"])
    with torch.no_grad():
        for value in (p for p in single.parameters() if p.requires_grad):
            value.add_(0.05)
        with grouped.alone("wide") as model:
            assert not model.training
            torch.testing.assert_close(model(input_ids=rows).logits, single.eval()(input_ids=rows).logits, atol=1e-6, rtol=0)
        with grouped.alone("narrow") as model:
            torch.testing.assert_close(model(input_ids=rows).logits, load_model(folder)(input_ids=rows).logits, atol=1e-6, rtol=0)
    assert grouped.model.training


def test_what_cannot_share_a_base_is_said(folder):
    with pytest.raises(LoraError, match="adapter x: lora.dora=true cannot share a base: train it alone"):
        GroupedLora(load_model(folder), {"x": (LoraConfig(dora=True), 0)})
    with pytest.raises(LoraError, match=r"lora.targets \(nowhere\): no linear layer of that name"):
        GroupedLora(load_model(folder), {"x": (LoraConfig(targets=("nowhere",)), 0)})
    grouped = GroupedLora(load_model(folder), {"x": (LoraConfig(), 0)})
    padded = {"input_ids": torch.ones(2, 4, dtype=torch.long), "labels": torch.ones(2, 4, dtype=torch.long)}
    with pytest.raises(LoraError, match="trial x: its rows are padded: set train.packing=true"):
        grouped.losses({"x": padded})
    with pytest.raises(LoraError, match="runs by `losses`, or `alone`"):
        grouped.model(input_ids=torch.ones(1, 3, dtype=torch.long))


def test_rows_of_all_trials_in_one_batch_are_what_each_gives_alone(folder):
    grouped = GroupedLora(load_model(folder), TRIALS)
    with torch.no_grad():
        for name in TRIALS:
            for key, value in grouped.parameters(name).items():
                value.add_(torch.randn(value.shape, generator=torch.Generator().manual_seed(len(key) + len(name))) * 0.2)
    rows = torch.arange(36).reshape(3, 12) * 7 % 250 + 3
    names = ["low", "wide", "narrow"]
    for _ in range(2):  # with other weights each time
        with torch.no_grad():
            with grouped.mixed() as model:
                found = model(input_ids=rows, adapter_names=names).logits
            assert not model.names
            for row, name in enumerate(names):
                with grouped.alone(name) as single:
                    torch.testing.assert_close(found[row : row + 1], single(input_ids=rows[row : row + 1]).logits, atol=1e-5, rtol=0)
                for value in grouped.parameters(name).values():
                    value.mul_(-1.5)
    assert grouped.model.training
    assert grouped.losses({"wide": batch(1, 3)})["wide"][0].requires_grad, "and they go on learning"

"""Trials on one base leave what they leave alone: losses, weights, checkpoints, records."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from raykg.config.schema import chosen
from raykg.data.collate import filler, to_tensors
from raykg.models.answer_logits import IGNORE, loss_sum
from raykg.models.lora import LoraConfig, attach, save_adapter
from raykg.models.reference import load_model, resolve
from raykg.train import checkpoint
from raykg.train.loop import Plan
from raykg.train.packed import Packed, passes, train_packed
from raykg.train.ranks import Ranks
from raykg.train.run_folder import read_metrics
from raykg.train.settings import TrainConfig
from raykg.train.task import Loss, Step
from raykg.train.worker import optimiser_of, train_task
from tests.train.gloo_group import run_group


class Rows:
    """Random packed rows; every third step has a micro-batch more, and one step has none."""

    parts: tuple[str, ...] = ()
    made = 0

    def __init__(self, lora: LoraConfig, seed: int, rows: int) -> None:
        self.lora, self.seed, self.count = lora, seed, rows

    def share(self) -> object:
        return self.seed, self.count

    def model(self) -> nn.Module:
        return attach(load_model(resolve("tiny:llama")), self.lora, self.seed)

    def batches(self, start_step: int, stop_step: int) -> Iterator[Step]:
        type(self).made += 1
        for step in range(start_step, stop_step):
            pieces = [self._piece(step, part) for part in range(0 if step == 2 else 1 + (step % 3 == 0))]
            answers = sum(int((piece["labels"] != IGNORE).sum()) for piece in pieces)
            yield Step(pieces, answers, rows=self.count * len(pieces), tokens=sum(piece["input_ids"].size for piece in pieces))

    def filler(self) -> Mapping[str, Any]:
        found = filler(2)
        return {"input_ids": found["input_ids"], "labels": found["labels"], "position_ids": np.arange(2)[None]}

    def loss(self, model: nn.Module, batch: Mapping[str, Any]) -> Loss:
        return Loss(loss_sum(model, to_tensors(batch))[0])

    def evaluate(self, model: nn.Module, step: int) -> Mapping[str, tuple[float, float]]:
        total, count = loss_sum(model, to_tensors(self._piece(999, 0)))
        return {"held_out_loss": (total.item(), count)}

    def export(self, model: nn.Module, folder: Path) -> None:
        save_adapter(model, folder / "adapter")

    def _piece(self, step: int, part: int) -> dict[str, Any]:
        draw = np.random.default_rng((self.seed, step, part))
        lengths = draw.integers(5, 12, self.count)
        ids = draw.integers(3, 250, lengths.sum())
        places = np.concatenate([np.arange(length) for length in lengths])
        return {"input_ids": ids[None], "position_ids": places[None], "labels": np.where(places < 3, IGNORE, ids)[None]}


TRIALS = {
    "trial-0": (LoraConfig(rank=4), 0, 3, TrainConfig(steps=8, learning_rate=2e-3, evaluate_every=4, checkpoint_every=3)),
    "trial-1": (LoraConfig(rank=2, dropout=0.3), 0, 3, TrainConfig(steps=8, learning_rate=3e-3, weight_decay=0.1, beta2=0.98)),
    "trial-2": (LoraConfig(rank=8, targets=("q_proj",)), 2, 5, TrainConfig(steps=5, learning_rate=2e-3, schedule="linear", clip=0.0)),
}


def packed(folder: Path, name: str, until: int | None = None) -> Packed:
    lora, seed, rows, train = TRIALS[name]
    plan = Plan(train, train.steps or 0, seed, "torch", folder / name / "checkpoints", {"kg": "v1"}, until)
    return Packed(name, Rows(lora, seed, rows), lora, seed, plan, folder / name, optimiser_of(train))


def alone(trial: Packed) -> dict[str, float]:
    return train_task(trial.task, chosen("raykg.train.engines", "torch"), trial.plan, trial.folder, Ranks(), tensorboard=False)


def base() -> Any:
    return load_model(resolve("tiny:llama"))


def same(one: Path, other: Path) -> None:
    """Records within 1e-5, checkpoints of the same steps, weights and moments within 1e-5."""
    first, second = (read_metrics(folder / "metrics.jsonl") for folder in (one, other))
    assert [(record["kind"], record["step"]) for record in first] == [(record["kind"], record["step"]) for record in second]
    for a, b in zip(first, second, strict=True):
        for key in ("loss", "held_out_loss", "learning_rate", "gradient_norm", "answer_tokens", "rows"):
            assert a.get(key) == pytest.approx(b.get(key), abs=1e-5), (a["kind"], a["step"], key)
    for mine, theirs in zip(checkpoint.listed(one / "checkpoints"), checkpoint.listed(other / "checkpoints"), strict=True):
        assert mine.name == theirs.name and checkpoint.read(mine).identity == checkpoint.read(theirs).identity
        for file in ("engine/state-00000.safetensors", "export/adapter/adapter_model.safetensors"):
            left, right = load_file(mine / file), load_file(theirs / file)
            assert left.keys() == right.keys()
            for key, value in left.items():
                torch.testing.assert_close(value, right[key], atol=1e-5, rtol=1e-4, msg=lambda text, key=key: f"{key}: {text}")


def test_each_leaves_what_it_leaves_alone(tmp_path):
    """Other ranks, targets, rates, lengths and rows; dropout in one; steps without any row; one ends before the others."""
    ended = {name: alone(packed(tmp_path / "alone", name)) for name in TRIALS}
    Rows.made = 0
    together = train_packed([packed(tmp_path / "packed", name) for name in TRIALS], base(), Ranks())
    assert Rows.made == 2, "two of the three have the same rows, which are made once"
    for name in TRIALS:
        assert together[name] == pytest.approx(ended[name], abs=1e-5)
        same(tmp_path / "alone" / name, tmp_path / "packed" / name)


def test_legs_may_be_packed_or_not(tmp_path):
    """A first leg alone, a second one packed, a third one alone; the others begin in between."""
    for name in TRIALS:
        alone(packed(tmp_path / "alone", name))
    mixed = tmp_path / "mixed"
    alone(packed(mixed, "trial-1", until=2))
    train_packed([packed(mixed, "trial-1", until=5), packed(mixed, "trial-0", until=5), packed(mixed, "trial-2")], base(), Ranks())
    assert [checkpoint.newest(mixed / name / "checkpoints")[1].step for name in TRIALS] == [5, 5, 5]
    alone(packed(mixed, "trial-1"))
    train_packed([packed(mixed, "trial-0")], base(), Ranks())
    for name in TRIALS:
        losses = [
            [(record["step"], record["loss"]) for record in read_metrics(folder / name / "metrics.jsonl") if record["kind"] == "step"]
            for folder in (tmp_path / "alone", mixed)
        ]
        assert [step for step, _ in losses[0]] == [step for step, _ in losses[1]]
        assert [loss for _, loss in losses[1]] == pytest.approx([loss for _, loss in losses[0]], abs=1e-5), name


def test_evaluations_wait_for_each_other_and_are_made_at_a_time(tmp_path):
    """Trials that evaluate at different steps, and one that ends early; records as they are alone."""
    ended = {name: alone(packed(tmp_path / "alone", name)) for name in TRIALS}
    asked: list[list[str]] = []
    spent: list[float] = []

    def measuring(tasks, grouped):
        asked.append(sorted(tasks))
        began = time.perf_counter()
        found = {}
        for name, task in tasks.items():
            with grouped.alone(name) as model, torch.no_grad():
                found[name] = task.evaluate(model, 0)
        time.sleep(0.3)
        spent.append(time.perf_counter() - began)
        return found

    trials = [packed(tmp_path / "packed", name) for name in TRIALS]
    assert train_packed(trials, base(), Ranks(), measuring=measuring) == {name: pytest.approx(ended[name], abs=1e-5) for name in TRIALS}
    assert asked == [sorted(TRIALS)], "the first one's halfway with the last ones of the others; its own last one alone"
    for name in TRIALS:
        same(tmp_path / "alone" / name, tmp_path / "packed" / name)
    records = [[*read_metrics(tmp_path / "packed" / name / "metrics.jsonl")] for name in TRIALS]
    shares = [next(record["evaluation_seconds"] for record in found if record.get("evaluation_seconds", 0) > 0.09) for found in records]
    assert sum(shares) == pytest.approx(spent[0], abs=0.05), "what was spent once is counted once"


class Uneven(Rows):
    """Of two trials one has the longer sequences on the first worker, the other on the second."""

    def __init__(self, lora: LoraConfig, seed: int, rank: int) -> None:
        super().__init__(lora, seed, rows=6 if (rank + seed) % 2 else 2)
        self.rank = rank

    def share(self) -> object:
        return self.seed, self.rank

    def _piece(self, step: int, part: int) -> dict[str, Any]:
        self.seed, seed = 100 * self.rank + self.seed, self.seed
        try:
            return super()._piece(step, part)
        finally:
            self.seed = seed


def by_two_workers(ranks: Ranks, folder: str) -> dict[str, list[float]]:
    """Train two trials alone and packed; return the losses of both ways."""
    settings = TrainConfig(steps=6, learning_rate=2e-3, evaluate_every=3, checkpoint_every=3)
    losses = {}
    for way in ("alone", "packed"):
        trials = []
        for seed in (0, 1):
            place, lora = Path(folder) / way / f"trial-{seed}", LoraConfig(rank=4)
            plan = Plan(settings, 6, seed, "torch", place / "checkpoints", {"kg": "v1"})
            trials.append(Packed(place.name, Uneven(lora, seed, ranks.rank), lora, seed, plan, place, optimiser_of(settings)))
        if way == "packed":
            train_packed(trials, base(), ranks)
        for trial in trials:
            if way == "alone":
                train_task(trial.task, chosen("raykg.train.engines", "torch"), trial.plan, trial.folder, ranks, tensorboard=False)
            ranks.barrier()
            losses[f"{way} {trial.name}"] = [one["loss"] for one in read_metrics(trial.folder / "metrics.jsonl") if one["kind"] == "step"]
    return losses


def test_workers_that_find_another_trial_longer_sum_the_same_one(tmp_path):
    found = run_group(2, by_two_workers, str(tmp_path))[0]
    for trial in ("trial-0", "trial-1"):
        assert len(found[f"packed {trial}"]) == 6
        assert found[f"packed {trial}"] == pytest.approx(found[f"alone {trial}"], abs=1e-5)
    assert found["alone trial-0"] != pytest.approx(found["alone trial-1"], abs=1e-2)


def test_a_machine_that_is_about_to_go_is_a_reason_for_each_trial_to_save_once(tmp_path):
    trials = [packed(tmp_path, name) for name in TRIALS]
    train_packed(trials, base(), Ranks(), leaving=lambda: True)
    for trial in trials:
        records = read_metrics(trial.folder / "metrics.jsonl")
        assert next(record["step"] for record in records if record["kind"] == "checkpoint") == 1, trial.name
        assert [record["step"] for record in records if record["kind"] == "checkpoint"].count(2) == 0, trial.name


def test_a_trial_that_is_done_stays_done(tmp_path):
    trials = [packed(tmp_path, name) for name in TRIALS]
    train_packed(trials, base(), Ranks())
    before = (tmp_path / "trial-0" / "checkpoints" / "step-00000008" / "manifest.json").read_bytes()
    assert train_packed([packed(tmp_path, "trial-0")], base(), Ranks()) == {"trial-0": {}}
    assert (tmp_path / "trial-0" / "checkpoints" / "step-00000008" / "manifest.json").read_bytes() == before


def test_a_pass_has_as_many_trials_as_the_machine_likes():
    tokens = {"a": 400, "b": 1500, "c": 300, "d": 500, "e": 300}
    assert passes(tokens, 1024) == [["b"], ["d", "a"], ["c", "e"]]
    assert passes(tokens, 10_000) == [["b", "d", "a", "c", "e"]]
    assert passes(tokens, 1) == [["b"], ["d"], ["a"], ["c"], ["e"]]
    assert passes({}, 1024) == []

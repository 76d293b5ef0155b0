"""Packed trials are measured with one batch of answers, and each gets what it gets alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from raykg.answer.generation import Generator
from raykg.models.grouped_lora import GroupedLora
from raykg.models.lora import LoraConfig
from raykg.models.reference import load_model, load_tokenizer, resolve
from raykg.train.packed_answers import AnswersTogether

PROMPTS = ["who directed Alien", "films of Ridley Scott", "x"]
TRIALS = {"a": (LoraConfig(rank=4), 0), "b": (LoraConfig(rank=8, targets=("q_proj",)), 1), "c": (LoraConfig(rank=2, rslora=True), 2)}


class Words:
    """Counts what is written."""

    answering_batch = 4

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.texts: list[str] = []

    def measure(self, generator: Generator) -> Mapping[str, tuple[float, float]]:
        self.texts = [str(text) for text in generator.generate(PROMPTS, 10)]
        return {"letters": (float(sum(map(len, self.texts))), float(len(self.texts)))}


def test_every_trial_is_measured_as_it_is_alone():
    folder = resolve("tiny:llama")
    tokenizer = load_tokenizer(folder)
    grouped = GroupedLora(load_model(folder), TRIALS)
    with torch.no_grad():
        for number, name in enumerate(TRIALS):
            for key, value in sorted(grouped.parameters(name).items()):
                value.add_(torch.randn(value.shape, generator=torch.Generator().manual_seed(len(key) + number)) * 0.4)
    measuring, tasks = AnswersTogether(), {name: Words(tokenizer) for name in TRIALS}
    found = measuring(tasks, grouped)
    for name in TRIALS:
        other = Words(tokenizer)
        with grouped.alone(name) as model:
            assert other.measure(Generator(model, tokenizer, 4)) == found[name]
        assert other.texts == tasks[name].texts, name
    assert len({tuple(task.texts) for task in tasks.values()}) == len(TRIALS), "adapters that write different texts"
    grouped.remove("b")
    assert measuring({name: tasks[name] for name in ("a", "c")}, grouped) == {name: found[name] for name in ("a", "c")}
    assert grouped.model.training and all(value.requires_grad for value in grouped.parameters("a").values())

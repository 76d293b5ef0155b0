"""Packed fine-tunings that are measured at a time: the held-out questions of all of them are answered in one batch.

    train_packed(trials, base, ranks, precision, AnswersTogether())

Each adapter's texts are what it writes alone, but for rounding (`raykg.answer.together`).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

import torch

from raykg.answer.together import Together

if TYPE_CHECKING:
    from raykg.answer.generation import Generator
    from raykg.models.grouped_lora import GroupedLora
    from raykg.train.finetune_task import FinetuneTask


class AnswersTogether:
    """Answers the questions of several trials; what it knows of their tokenizers and grammars stays for the next time."""

    def __init__(self) -> None:
        self._together: Together | None = None
        self._generators: dict[str, Generator] = {}

    def __call__(self, tasks: Mapping[str, FinetuneTask], grouped: GroupedLora) -> dict[str, Mapping[str, tuple[float, float]]]:
        """Return each trial's measures, as `FinetuneTask.evaluate` has them."""
        with grouped.mixed() as model, torch.no_grad():
            together = self._together = self._together or Together(model, max(task.answering_batch for task in tasks.values()))
            for name in tasks.keys() - self._generators.keys():
                self._generators[name] = together.generator(name, tasks[name].tokenizer)
            return together.run({name: partial(task.measure, self._generators[name]) for name, task in tasks.items()})

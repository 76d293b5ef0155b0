"""What a recipe gives the loop.

The loop knows nothing of questions, images or embeddings: it takes steps of micro-batches from a `Task`, asks it for the summed loss of
each, and hands everything it measures to the callback. A new kind of training is a new `Task`, never a second loop.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn


@dataclass(frozen=True, slots=True)
class Step:
    """This process's share of one global batch."""

    micro_batches: Sequence[Any]  # what `Task.loss` takes; may be empty, and differ in number between processes
    answer_tokens: int  # tokens of this share that carry loss
    rows: int
    tokens: int  # all tokens of this share, prompts included, padding not
    left_out: Sequence[tuple[int, int]] = ()  # rows of this share that cannot be learnt, and the number of a reason that the recipe knows
    row_checksum: int = 0  # of the rows that are learnt, whatever their order (`raykg.data.order.checksum`)


@dataclass(frozen=True, slots=True)
class Loss:
    """The loss of one micro-batch, as sums: only the loop knows what to divide by."""

    total: torch.Tensor  # scalar, attached to the graph
    parts: Mapping[str, tuple[float, float]] = field(default_factory=dict)  # name -> (sum, count)


class Task(Protocol):
    """A model with its data, losses, evaluation and export.

    Every method is called on every process, in the same order.
    """

    parts: tuple[str, ...]  # names that `Loss.parts` may hold, the same on every process

    def model(self) -> nn.Module:
        """Build the model on the CPU or its device; what `requires_grad` is trained, the rest is never written."""

    def batches(self, start_step: int, stop_step: int) -> Iterator[Step]:
        """Yield this process's share of the steps [start_step, stop_step), without replaying the ones before."""

    def filler(self) -> Any:  # noqa: ANN401 - the recipe's own batch type
        """Return a micro-batch without answer tokens, which a process runs when the others have one more."""

    def loss(self, model: nn.Module, batch: Any) -> Loss:  # noqa: ANN401
        """Return the sum of the answer tokens' losses of one micro-batch."""

    def evaluate(self, model: nn.Module, step: int) -> Mapping[str, tuple[float, float]]:
        """Measure this process's part of the held-out slice: name -> (sum, count); the loop adds up and divides.

        A name that ends in `_loss` is better when small, every other one when large; the first name decides which checkpoint is best.
        """

    def export(self, model: nn.Module, folder: Path) -> None:
        """Write the model for its users into an empty folder (first process only)."""

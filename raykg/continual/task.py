"""One task of a stream as what the training loop runs: its rows and the remembered ones, the losses, the weights afterwards.

A step has `learn.batch` rows of the task, in the order of (seed, task, step), and the remembered rows that the strategy lets join; workers
share them by their length. Nothing of a step depends on how many workers there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import tee
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from raykg.continual.batches import Batch, Shown, moved
from raykg.continual.strategies import Pass
from raykg.continual.supervised import row_losses
from raykg.data.order import Order, checksum, dealt
from raykg.data.tokenise import split_by_length
from raykg.train.task import Loss, Step

if TYPE_CHECKING:
    from torch import nn

    from raykg.continual.labels import Flags
    from raykg.continual.strategies import Strategy
    from raykg.data.post_table import Rows
    from raykg.models.couplings import Seen
    from raykg.models.dual_stream import DualStream

WEIGHTS = "model.safetensors"
_OVERHEAD = 64  # tokens that one more pass of some upper layers costs about as much as


class ContinualTask:
    """Trains one task of a stream (see `raykg.train.task.Task`).

    Abilities: any number of workers and micro-batches; any strategy.
    Not supported: evaluation within a task; the stream's own comes after each task.
    """

    def __init__(
        self, model: DualStream, strategy: Strategy, teacher: DualStream | None, micro_batch: int, rehearsed: Rows | None = None
    ) -> None:
        """Hold the model as the task before left it.

        Args:
            model: is trained.
            strategy: at this task already.
            teacher: the model of the task before; None where there is none or nobody asks.
            micro_batch: most rows that are computed at once.
            rehearsed: rows to train on alone, in the place of the task's and those that join them: a rehearsal after the task.
        """
        self._model, self._strategy, self._teacher, self._micro_batch = model, strategy, teacher, micro_batch
        course = strategy.course
        self._course = course
        self._alone = rehearsed is not None
        self._rows = course.batches.usable(strategy.rows() if rehearsed is None else rehearsed)
        self._open: Flags = course.labels.open(strategy.task)
        self._taught: Flags = course.labels.open(max(0, strategy.task - 1))
        self._order = Order(len(self._rows), course.batch, course.seed * 1013 + 2 * strategy.task + self._alone)
        self.parts: tuple[str, ...] = ("task", *strategy.parts)

    @property
    def steps_per_epoch(self) -> int:
        """Steps that see every row of the task once."""
        return self._order.steps_per_epoch

    def model(self) -> nn.Module:
        """Return the model."""
        return self._model

    def batches(self, start_step: int, stop_step: int) -> Iterator[Step]:
        """Yield this worker's share of the steps."""
        planned, again = tee(self._rows_of(number) for number in range(start_step, stop_step))
        for (rows, remembered), shown in zip(planned, self._course.batches.ahead(rows for rows, _ in again), strict=True):
            yield self._step(rows, remembered, shown)

    def filler(self) -> Batch:
        """Return a row that carries no loss."""
        batch = self._batch(self._rows[:1], np.zeros(1, dtype=np.bool_))
        return {**batch, "filler": torch.ones(1, dtype=torch.bool)}

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Return the sum of the rows' losses, and of what the strategy adds."""
        strategy = self._strategy
        batch = moved(batch, self._course.ranks.device)
        taught = self._look_back(batch)
        seen, scores = model(batch, between=strategy.between)
        added = strategy.loss(model, Pass(batch, seen, scores, taught))
        plain: Any = getattr(model, "module", model)
        total = row_losses(plain.head, scores, batch, strategy.unmarked, None if taught is None else taught[1]).sum()
        rows = float(len(batch["labels"]))
        if "filler" in batch:
            return Loss((total + sum(added.values(), torch.zeros_like(total))) * 0.0)
        parts = {"task": (total.item(), rows)} | {name: (value.item(), rows) for name, value in added.items()}
        return Loss(total + sum(added.values(), torch.zeros_like(total)), parts)

    def evaluate(self, model: nn.Module, step: int) -> Mapping[str, tuple[float, float]]:
        """Nothing: the stream is tested after each task."""
        return {}

    def export(self, model: nn.Module, folder: Path) -> None:
        """Write the trained weights."""
        save_weights(model, folder / WEIGHTS)

    def _look_back(self, batch: Batch) -> tuple[Seen, Any] | None:
        if self._teacher is None:
            return None
        with torch.no_grad():
            found: tuple[Seen, Any] = self._teacher({**batch, "open": torch.from_numpy(self._taught).to(self._course.ranks.device)})
        return found

    def _step(self, rows: Rows, remembered: Flags, shown: Shown) -> Step:
        weights = self._course.batches.weights(rows)
        parts = self._parts(weights)
        each = None if shown is None else shown.reshape(len(rows), -1, *shown.shape[1:])  # a row's picture, and its crops
        made = [
            self._batch(rows[part], remembered[part], None if each is None else each[part].reshape(-1, *each.shape[2:])) for part in parts
        ]
        return Step(made, answer_tokens=len(rows), rows=len(rows), tokens=int(weights.sum()), row_checksum=checksum(rows))

    def _rows_of(self, number: int) -> tuple[Rows, Flags]:
        """Return this worker's rows of a step, and which of them are remembered ones."""
        course, ranks = self._course, self._course.ranks
        fresh = self._rows[self._order.row_ids(number)]
        kept = fresh[:0] if self._alone else self._strategy.remembered(number)
        rows = np.concatenate([fresh, kept])
        remembered = np.arange(len(rows)) >= (0 if self._alone else len(fresh))
        mine = dealt(course.batches.weights(rows), ranks.rank, ranks.world)
        return rows[mine], remembered[mine]

    def _parts(self, weights: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """Return the places of the rows that are computed together: those of like length, which saves padding.

        With pictures as many as may be: modalities are balanced within them, and how lengths fall must not decide that.
        """
        if not self._course.batches.pictures:
            return split_by_length(weights, self._micro_batch, _OVERHEAD)
        order = np.argsort(-weights, kind="stable")
        return [order[start : start + self._micro_batch] for start in range(0, len(order), self._micro_batch)]

    def _batch(self, rows: Rows, remembered: Flags, shown: Shown = None) -> Batch:
        return self._course.batches.batch(rows, self._open, self._strategy.types_of(rows), remembered, shown)


def save_weights(model: nn.Module, file: Path) -> None:
    """Write the weights, and buffers that are kept, as safetensors."""
    from safetensors.torch import save_file

    save_file({name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}, file)


def load_weights(model: nn.Module, file: Path) -> None:
    """Read back what `save_weights` wrote.

    Raises:
        CheckpointError: it belongs to another model.
    """
    from safetensors.torch import load_file

    from raykg.train.errors import CheckpointError

    stored = load_file(file)
    found = model.load_state_dict(stored, strict=False)
    differing = [*found.unexpected_keys, *found.missing_keys]
    if differing:
        raise CheckpointError(f"{file}: belongs to another model: {differing[0]} is only in one of them")

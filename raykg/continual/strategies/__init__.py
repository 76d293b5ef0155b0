"""What keeps a model from forgetting, one file per strategy: what joins the training rows, what is added to the loss, what stays of a task.

Each has a `Config`, a `SEARCH` (ranges for tuning) and one public class below `Strategy`, made with its config and a `Course`.

A task runs in these steps; every method is called on every worker, in this order:

    begin(model)                           the model as the task before left it; the first task's is new
    rows(), remembered(step)               what a step trains on
    between(seen), loss(model, made)       at each step
    end(model)                             after the last step: what is to be kept of the task
    rehearsed(model)                       what is trained on alone before the task is over

What a strategy keeps from task to task is in `state()` and `tensors()`: both are part of the checkpoint after each task.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor, nn

    from raykg.continual.batches import Batch, Batches
    from raykg.continual.labels import Labels
    from raykg.data.post_table import PostStream, Rows
    from raykg.models.couplings import Seen
    from raykg.models.dual_stream import DualStream
    from raykg.models.dual_stream_config import DualStreamConfig
    from raykg.models.heads import Scores
    from raykg.train.ranks import Ranks

Unmarked = Literal["outside", "open", "teacher"]
"""What a word is that a sentence's task did not look through for some types: of none of them; maybe one of them; what the teacher says."""


@dataclass(frozen=True, slots=True)
class Course:
    """What a strategy may know of the run it belongs to."""

    stream: PostStream
    labels: Labels
    batches: Batches
    seed: int
    batch: int  # rows of a step, remembered ones not counted
    ranks: Ranks


@dataclass(frozen=True, slots=True)
class Pass:
    """What the model, and where it is kept the teacher, have made of a batch.

    Attributes:
        batch: see `raykg.continual.batches`.
        seen: the streams' states and attention.
        scores: the head's.
        taught: the same two by the teacher; None without one.
    """

    batch: Batch
    seen: Seen
    scores: Scores
    taught: tuple[Seen, Scores] | None


class Strategy(Protocol):
    """Trains on each task's rows and keeps nothing: what the others depart from.

    Attributes:
        task: the number of the task that is learnt.
        parts: names of what `loss` may return.
        unmarked: how words are taken that were not looked through for a type (entities alone).
        keeps_teacher: whether the model as the task before left it looks at every batch too.
    """

    parts: tuple[str, ...] = ()
    unmarked: Unmarked = "outside"
    keeps_teacher: bool = False
    config: Any
    course: Course
    task: int

    def __init__(self, config: Any, course: Course) -> None:  # noqa: ANN401 - each file's own Config
        self.config, self.course = config, course
        self.task = 0

    @classmethod
    def model(cls, config: Any, cfg: DualStreamConfig) -> DualStreamConfig:  # noqa: ANN401 - each file's own Config
        """Return the settings of the model that the strategy trains, where they are part of it."""
        return cfg

    @classmethod
    def refiner(cls, config: Any, width: int, labels: int) -> nn.Module | None:  # noqa: ANN401 - each file's own Config
        """Return what changes what is read before the head reads it; it is trained and saved with the model.

        Args:
            config: the strategy's.
            width: of a row's vector: of a relation its places side by side, of a sentence one word.
            labels: how many there are.
        """
        return None

    def begin(self, model: DualStream) -> None:
        """Prepare for the task `self.task`."""

    def rows(self) -> Rows:
        """Return the rows that the task trains on, each once an epoch."""
        return self.course.stream.tasks[self.task].train

    def remembered(self, step: int) -> Rows:
        """Return the rows that join them in a step."""
        return np.zeros(0, dtype=np.int64)

    def types_of(self, rows: Rows) -> list[tuple[str, ...]]:
        """Return the types that each training row was looked through for: those of the task that it belongs to."""
        tasks = self.course.stream.tasks
        return [tasks[task].types for task in self.course.labels.task_of[rows].tolist()]

    def between(self, seen: Seen) -> None:
        """Look at what the streams give to the head, or hang hooks on it."""

    def loss(self, model: nn.Module, made: Pass) -> Mapping[str, Tensor]:
        """Return what is added to a batch's loss: names of `parts` -> sums over its rows."""
        return {}

    def end(self, model: DualStream) -> None:
        """Take from the learnt task what later ones need."""

    def rehearsed(self, model: DualStream) -> tuple[Rows, float]:
        """Return the rows that are trained on alone after the task, and for how many epochs; freeze what is not to learn then."""
        return np.zeros(0, dtype=np.int64), 0.0

    def state(self) -> dict[str, Any]:
        """Return what is kept, JSON-like."""
        return {}

    def tensors(self) -> dict[str, Tensor]:
        """Return the tensors that are kept."""
        return {}

    def load(self, state: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Take back what `state` and `tensors` returned."""

"""What strategies with a memory share: rows that join every step, and the choice of what is kept of a task.

The memory is filled after each task: for each class of it, rows of that class, chosen as `memory.choose` says. A relation that says that
there is none recurs in every task, and as many of its rows are kept of each.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from raykg.continual.memory import RehearsalMemory, central, herding, influence
from raykg.continual.strategies import Course, Strategy
from raykg.data.order import permute

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from raykg.continual.labels import Ints
    from raykg.data.post_table import Rows
    from raykg.models.dual_stream import DualStream

_CANDIDATES = 256  # rows of a class that are looked at: choosing among more costs time and finds nothing better


class Rehearsal(Strategy):
    """Rehearses the memory after each task, and lets some of its rows join the steps of the next ones.

    Its config has `memory` and `unmarked`.
    """

    def __init__(self, config: Any, course: Course) -> None:  # noqa: ANN401 - each file's own Config
        super().__init__(config, course)
        self.unmarked = config.unmarked
        self.keeps_teacher = config.unmarked == "teacher"
        self.joining = round(config.memory.share * course.batch)
        self.memory = RehearsalMemory(config.memory, course.batches.row_bytes)

    def remembered(self, step: int) -> Rows:
        """Return the remembered rows of a step."""
        return self.memory.draw(self.joining, self.course.seed, self.task, step)

    def end(self, model: DualStream) -> None:
        """Choose what is kept of the task."""
        found = self.candidates()
        self.memory.keep({one: rows[self._order(model, one, rows)] for one, rows in found.items()})

    def rehearsed(self, model: DualStream) -> tuple[Rows, float]:
        """Return the whole memory, in which every class so far has its share, and how often it is gone through."""
        rows, epochs = self.memory.rows, float(self.config.memory.rehearse)
        if epochs and len(rows) and not self.config.memory.layers:  # without a rehearsal the next task would find them frozen
            for part in (model.lower_text, model.lower_image, model.streams):
                if part is not None:
                    part.requires_grad_(False)
        return rows, epochs

    def candidates(self) -> dict[int, Rows]:
        """Return some rows of each class that is new in the task, drawn by the seed."""
        labels, task = self.course.labels, self.course.stream.tasks[self.task]
        rows = self.course.batches.usable(task.train)
        classes = labels.classes(rows, task.types)
        found = {}
        for one in np.unique(classes[classes >= 0]).tolist():
            some = rows[classes == one]
            drawn = permute(np.arange(len(some), dtype=np.int64), len(some), self.course.seed, 7919 * self.task + one)
            found[one] = some[drawn[:_CANDIDATES]]
        return found

    def _order(self, model: DualStream, one: int, rows: Rows) -> Ints:
        """Return the places of a class's candidates, those that are kept first in front."""
        choose = self.memory.cfg.choose
        if choose == "random":
            return np.arange(len(rows), dtype=np.int64)  # drawn already
        from raykg.continual.looking import look

        found = look(model, self, rows, gradients=choose == "influence")
        if choose == "herding":
            return np.array(herding(found.vectors, len(rows)), dtype=np.int64)
        if choose == "kmeans":
            quota = self.memory.quota(len(self.memory.classes) + 1)
            return np.array(central(found.vectors, quota, self.course.seed), dtype=np.int64)
        measure: torch.Tensor = found.losses if choose == "loss" else influence(found.gradients)
        order: Ints = measure.argsort(descending=True, stable=True).numpy()
        return order

    def state(self) -> dict[str, Any]:
        """Return the memory."""
        return {"memory": self.memory.state()}

    def load(self, state: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Take the memory back."""
        self.memory.load(state["memory"])

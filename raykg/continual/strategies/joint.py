"""joint: all rows of all tasks so far, with everything marked in them; it shows what could be reached.

Source: the upper bound of every study of continual learning; "Joint Training" in LMC, IJCAI 2024, arXiv 2305.08698.

Of sentences, entities of every type seen so far are marked, also those that a row's own task did not look for: without that a third of
Twitter-2017's entities would be taught to be none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from raykg.config.schema import Fraction, config
from raykg.continual.strategies import Strategy

if TYPE_CHECKING:
    from raykg.data.post_table import Rows

SEARCH: dict[str, list[object]] = {"again": [0.5, 1.0]}


@config
class Config:
    """How often what was seen before is seen again."""

    again: Fraction = 1.0
    """Share of the earlier tasks' rows that each task goes over again, others each time; what is drawn comes from (seed, task)."""


class Joint(Strategy):
    """Trains on everything seen so far, starting from the model of the task before."""

    def rows(self) -> Rows:
        """Return the training rows of this task, and those of all tasks before it, or their share."""
        *before, own = (task.train for task in self.course.stream.tasks[: self.task + 1])
        if not before:
            return own
        earlier = np.concatenate(before)
        if self.config.again < 1.0:
            random = np.random.default_rng((self.course.seed, self.task))  # a restarted task draws the same
            earlier = np.sort(random.permutation(earlier)[: round(self.config.again * len(earlier))])
        return np.concatenate([earlier, own])

    def types_of(self, rows: Rows) -> list[tuple[str, ...]]:
        """Return every type seen so far, for each row."""
        return [self.course.stream.seen(self.task)] * len(rows)

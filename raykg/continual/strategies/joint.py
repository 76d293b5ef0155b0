"""joint: all rows of all tasks so far, with everything marked in them; it shows what could be reached.

Source: the upper bound of every study of continual learning; "Joint Training" in LMC, IJCAI 2024, arXiv 2305.08698.

Of sentences, entities of every type seen so far are marked, also those that a row's own task did not look for: without that a third of
Twitter-2017's entities would be taught to be none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from raykg.config.schema import config
from raykg.continual.strategies import Strategy

if TYPE_CHECKING:
    from raykg.data.post_table import Rows

SEARCH: dict[str, list[object]] = {}


@config
class Config:
    """There is nothing to set."""


class Joint(Strategy):
    """Trains on everything seen so far, starting from the model of the task before."""

    def rows(self) -> Rows:
        """Return the training rows of all tasks so far."""
        return np.concatenate([task.train for task in self.course.stream.tasks[: self.task + 1]])

    def types_of(self, rows: Rows) -> list[tuple[str, ...]]:
        """Return every type seen so far, for each row."""
        return [self.course.stream.seen(self.task)] * len(rows)

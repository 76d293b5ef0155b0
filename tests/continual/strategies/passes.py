"""One pass of a batch through a strategy's model, as a task makes it."""

from __future__ import annotations

import numpy as np

from raykg.continual.strategies import Pass
from tests.continual.small_streams import model_of


def made(strategy, model=None, teacher=None, rows=None, remembered=None):
    """Return a pass of some training rows of the strategy's task, and the model."""
    course = strategy.course
    model = model or model_of(strategy)
    rows = course.stream.tasks[strategy.task].train[:4] if rows is None else rows
    flags = np.zeros(len(rows), dtype=np.bool_) if remembered is None else np.array(remembered)
    batch = course.batches.batch(rows, course.labels.open(strategy.task), strategy.types_of(rows), flags)
    seen, scores = model(batch, between=strategy.between)
    return Pass(batch, seen, scores, None if teacher is None else teacher(batch)), model

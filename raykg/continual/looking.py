"""What a model makes of rows without learning from them: for choosing what to remember, for prototypes, for scores.

found = look(model, strategy, rows, gradients=True)
found.vectors        # [rows, width of what the head reads]
predictions(model, course, rows, open_)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from raykg.continual.batches import Batch, Shown, moved
from raykg.continual.supervised import row_losses
from raykg.data.order import permute
from raykg.models.heads import EntityHead

if TYPE_CHECKING:
    from raykg.continual.labels import Flags
    from raykg.continual.strategies import Course, Strategy
    from raykg.data.post_table import Rows
    from raykg.models.couplings import Seen
    from raykg.models.dual_stream import DualStream

_ROWS = 64  # that are computed together, of like length


@dataclass(frozen=True, slots=True)
class Looked:
    """What a model makes of rows.

    Attributes:
        vectors: what the head reads of each, `[rows, width]`; of sentences the mean of their words.
        losses: `[rows]`.
        gradients: of each row's loss by the head's last weights for texts, `[rows, weights]`; empty where nobody asked.
    """

    vectors: Tensor
    losses: Tensor
    gradients: Tensor


def look(model: DualStream, strategy: Strategy, rows: Rows, *, gradients: bool = False) -> Looked:
    """Return what a model makes of training rows, as their own task has them marked."""
    course, device = strategy.course, next(model.parameters()).device
    open_ = course.labels.open(strategy.task)
    vectors: list[Tensor] = [torch.empty(0)] * len(rows)
    losses, found = torch.zeros(len(rows)), [torch.empty(0)] * len(rows)
    for places, shown in _alike(course, rows):
        some = rows[places]
        batch = moved(course.batches.batch(some, open_, strategy.types_of(some), shown=shown), device)
        with torch.no_grad():
            seen = model.see(batch)
        with torch.set_grad_enabled(gradients):
            text = seen.text.detach()
            scores = model.head(seen._replace(text=text), batch.get("present"), batch["open"])
            if gradients:
                scores.total.retain_grad()
            each = row_losses(model.head, scores, batch)
            weighed = text if isinstance(model.head, EntityHead) else _weighed(model.head, seen, batch)
            if gradients:
                each.sum().backward()  # type: ignore[no-untyped-call]
        vectors_here = vectors_of(seen, batch, course.batches.reads_text)
        for place, number in enumerate(places.tolist()):
            vectors[number], losses[number] = vectors_here[place].cpu(), each[place].item()
            if gradients and scores.total.grad is not None:
                found[number] = _outer(scores.total.grad[place], weighed[place]).cpu()
    model.zero_grad(set_to_none=True)
    return Looked(torch.stack(vectors), losses, torch.stack(found) if gradients else torch.empty(0))


def vectors_of(seen: Seen, batch: Batch, reads_text: bool) -> Tensor:
    """Return what the head reads of each row as one vector, `[batch, width]`: a relation's places side by side, a sentence's mean word.

    Where the head reads pictures alone, it is the picture's class token.
    """
    if not reads_text and seen.image is not None:
        return seen.image[:, 0]
    if batch["labels"].ndim == 1:
        return seen.text.flatten(1)
    words = batch["words"][..., None]
    return (seen.text * words).sum(1) / words.sum(1)


def squared_gradients(model: DualStream, strategy: Strategy, rows: int) -> dict[str, Tensor]:
    """Return the mean squared gradient of single rows' losses, for each trained weight: the diagonal of the empirical Fisher matrix.

    Args:
        model: in evaluation mode.
        strategy: whose task it is.
        rows: how many are looked at, drawn by the seed.
    """
    course, device = strategy.course, next(model.parameters()).device
    all_rows = course.batches.usable(course.stream.tasks[strategy.task].train)
    drawn = all_rows[permute(np.arange(min(rows, len(all_rows)), dtype=np.int64), len(all_rows), course.seed, strategy.task)]
    open_ = course.labels.open(strategy.task)
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    found = {name: torch.zeros_like(p) for name, p in trained.items()}
    for row in drawn.tolist():
        one = np.array([row], dtype=np.int64)
        batch = moved(course.batches.batch(one, open_, strategy.types_of(one)), device)
        model.zero_grad(set_to_none=True)
        _, scores = model(batch)
        row_losses(model.head, scores, batch).sum().backward()  # type: ignore[no-untyped-call]
        for name, parameter in trained.items():
            if parameter.grad is not None:
                found[name] += parameter.grad.square()
    model.zero_grad(set_to_none=True)
    return {name: (value / max(1, len(drawn))).cpu() for name, value in found.items()}


@torch.no_grad()
def predictions(model: DualStream, course: Course, rows: Rows, open_: Flags) -> list[list[int]]:
    """Return the label of each row, or the tags of its words; a row that cannot be read has label 0, or no tags."""
    found: list[list[int]] = [[0] if course.labels.relations else [] for _ in rows]
    device = next(model.parameters()).device
    readable = np.flatnonzero(course.batches.readable[rows])
    for places, shown in _alike(course, rows[readable]):
        some = rows[readable[places]]
        batch = moved(course.batches.batch(some, open_, [()] * len(some), shown=shown), device)
        _, scores = model(batch)
        if isinstance(model.head, EntityHead):
            best = model.head.best(scores.total, batch["words"])
        else:
            best = scores.total.argmax(-1, keepdim=True).tolist()
        for place, one in zip(readable[places].tolist(), best, strict=True):
            found[place] = one
    return found


def _alike(course: Course, rows: Rows) -> Iterator[tuple[np.ndarray, Shown]]:
    """Yield places of rows in batches of like length, and their pictures where they are decoded on the way."""
    order = np.argsort(course.batches.weights(rows), kind="stable")
    groups = [order[start : start + _ROWS] for start in range(0, len(order), _ROWS)]
    yield from zip(groups, course.batches.ahead(rows[group] for group in groups), strict=True)


def _weighed(head: Any, seen: Seen, batch: Batch) -> Tensor:  # noqa: ANN401 - a module's part has no type
    found: Tensor = head.weighed(seen, batch.get("present")).detach()
    return found


def _outer(slope: Tensor, weighed: Tensor) -> Tensor:
    """Return the gradient by the head's last weights: of each label's score, times what it was scored by."""
    return torch.outer(slope, weighed).flatten() if slope.ndim == 1 else (slope.T @ weighed).flatten()

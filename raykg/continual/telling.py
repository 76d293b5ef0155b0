"""What a model tells of posts, and how sure it is of each thing it tells.

    for row, one in told(model, batches, rows, open_): ...

Of a relation its confidence is the softmax over the labels that have arrived. Of a mention it is the probability, under the conditional
random field, of all sequences that have exactly this mention: its words are tagged so, and the word after it does not go on with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from raykg.continual.batches import moved
from raykg.eval.extraction import mentions
from raykg.models.heads import EntityHead

if TYPE_CHECKING:
    from collections.abc import Sequence

    from raykg.continual.batches import Batches
    from raykg.continual.labels import Flags
    from raykg.data.post_table import Rows
    from raykg.models.dual_stream import DualStream

_ROWS = 64  # that are computed together, of like length


class Told(NamedTuple):
    """One thing that a model tells of a post.

    Attributes:
        row: number of the post.
        kind: a relation, or a mention's type.
        start: the mention's first word; 0 of a relation.
        end: the word after its last one; 0 of a relation.
        confidence: from 0 to 1.
    """

    row: int
    kind: str
    start: int
    end: int
    confidence: float


@torch.no_grad()
def told(model: DualStream, batches: Batches, rows: Rows, open_: Flags) -> Iterator[Told]:
    """Yield what a model tells of posts, "there is no relation" left out; nothing of posts that cannot be read.

    Args:
        model: in evaluation mode.
        batches: of the posts.
        rows: numbers of posts.
        open_: which labels may be told, `[labels]`.
    """
    device = next(model.parameters()).device
    names = batches.labels.names
    rows = batches.usable(rows)
    order = rows[np.argsort(batches.weights(rows), kind="stable")]
    groups = [order[start : start + _ROWS] for start in range(0, len(order), _ROWS)]
    for some, shown in zip(groups, batches.ahead(groups), strict=True):
        batch = moved(batches.batch(some, open_, [()] * len(some), shown=shown), device)
        _, scores = model(batch)
        if isinstance(model.head, EntityHead):
            yield from _mentions(model.head, scores.total, batch["words"], some.tolist(), names)
            continue
        best = scores.total.softmax(-1).max(-1)
        for row, place, sure in zip(some.tolist(), best.indices.tolist(), best.values.tolist(), strict=True):
            if place:
                yield Told(row, names[place], 0, 0, sure)


def _mentions(head: EntityHead, scores: Tensor, words: Tensor, rows: list[int], names: Sequence[str]) -> Iterator[Told]:
    """Yield the mentions of the best sequence of each sentence."""
    for place, tags in enumerate(head.best(scores, words)):
        found = mentions([names[tag] for tag in tags])
        if not found:
            continue
        count = len(tags)
        allowed = torch.ones(len(found), count, len(names), dtype=torch.bool, device=scores.device)
        for one, (start, end, kind) in enumerate(found):
            allowed[one, start:end] = False
            allowed[one, start, names.index(f"B-{kind}")] = True
            allowed[one, start + 1 : end, names.index(f"I-{kind}")] = True
            if end < count:
                allowed[one, end, names.index(f"I-{kind}")] = False
        sequence = torch.tensor(tags, device=scores.device).expand(len(found), -1)
        mine, real = scores[place, :count].expand(len(found), -1, -1), words[place, :count].expand(len(found), -1)
        sure = torch.exp(-head.loss(mine, sequence, real, allowed)).clamp(max=1.0)
        for (start, end, kind), confidence in zip(found, sure.tolist(), strict=True):
            yield Told(rows[place], kind, start, end, confidence)

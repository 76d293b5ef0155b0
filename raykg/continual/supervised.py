"""The loss of each row by what is marked in it.

Of relations it is cross-entropy. Of entities it is that of a conditional random field (`raykg.models.heads`), and there is a choice to
make: a sentence whose task looked for places alone has its persons unmarked. `outside` teaches that they are none, which is how models
forget them. `open` leaves it open: such a word may be of any type that has arrived and was not looked for. `teacher` takes the word of
the model as it was before the task for those types; what has arrived since, which it cannot know, is left open.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from raykg.models.heads import SHUT, EntityHead

if TYPE_CHECKING:
    from torch import nn

    from raykg.continual.batches import Batch
    from raykg.continual.strategies import Unmarked
    from raykg.models.heads import Scores


def row_losses(head: nn.Module, scores: Scores, batch: Batch, unmarked: Unmarked = "outside", taught: Scores | None = None) -> Tensor:
    """Return the loss of each row, `[batch]`; `taught` are the teacher's scores, for what it is to say of unmarked words."""
    if not isinstance(head, EntityHead):
        return cross_entropy(scores.total, batch["labels"], reduction="none")
    tags, words = batch["labels"], batch["words"]
    if unmarked == "open":
        return head.loss(scores.total, tags, words, allowed(batch))
    if unmarked == "outside" or taught is None:
        return head.loss(scores.total, tags, words)
    tags = told(head, taught, batch)
    learnt = taught.total.gt(SHUT / 2).flatten(0, -2).any(0)  # what the teacher knows; the rest is shut out
    return head.loss(scores.total, tags, words, allowed({**batch, "labels": tags, "known": batch["known"] | learnt}))


def allowed(batch: Batch) -> Tensor:
    """Return which tags a word may have, `[batch, words, tags]`: its own, and where it has none, those that were not looked for."""
    tags, known, open_ = batch["labels"], batch["known"], batch["open"]
    own = torch.nn.functional.one_hot(tags, len(open_)).bool()
    maybe = (~known & open_)[:, None, :] & (tags == 0)[:, :, None]
    return own | maybe


@torch.no_grad()
def told(head: EntityHead, taught: Scores, batch: Batch) -> Tensor:
    """Return the tags with the teacher's where none is marked, for types that a row was not looked through for, `[batch, words]`."""
    tags = batch["labels"].clone()
    for row, (best, known) in enumerate(zip(head.best(taught.total, batch["words"]), batch["known"], strict=True)):
        found = torch.tensor(best, device=tags.device)
        own = tags[row, : len(best)]
        tags[row, : len(best)] = torch.where((own == 0) & ~known[found], found, own)
    return tags


def right_probability(part: Tensor, batch: Batch) -> Tensor:
    """Return how probable one part of the head makes what is right, `[batch]`; of sentences the mean of their words.

    Args:
        part: `Scores.text` or `Scores.image`; `[batch, labels]`, or `[batch, words, labels]`.
        batch: with `labels` and `open`.
    """
    probabilities = part.masked_fill(~batch["open"], float("-inf")).softmax(-1)
    if part.ndim == 2:
        return probabilities.gather(-1, batch["labels"][:, None])[:, 0]
    words = batch["words"]
    found = probabilities.expand(-1, words.shape[1], -1).gather(-1, batch["labels"][..., None])[..., 0]
    return (found * words).sum(-1) / words.sum(-1)

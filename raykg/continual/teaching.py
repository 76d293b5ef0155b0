"""What the model before a task, its teacher, and the prototypes of what is remembered say of a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from raykg.continual.distillation import Pool, drift, reference_drift
from raykg.continual.looking import look
from raykg.models.heads import SHUT

if TYPE_CHECKING:
    from raykg.continual.batches import Batch
    from raykg.continual.memory import RehearsalMemory
    from raykg.continual.strategies import Strategy
    from raykg.models.couplings import Seen
    from raykg.models.dual_stream import DualStream


def taught_scores(teacher: Tensor, learner: Tensor, batch: Batch, temperature: float) -> Tensor:
    """Return T^2 KL(teacher / T || learner / T) over the labels that the teacher knows, summed over rows; of sentences the mean word's.

    Args:
        teacher: `Scores.total`, `[batch, labels]` or `[batch, words, labels]`; those that it does not know are shut out.
        learner: the same.
        batch: with `words`.
        temperature: T; the greater, the softer.
    """
    known = teacher.reshape(-1, teacher.shape[-1]).gt(SHUT / 2).any(0)
    wanted = (teacher[..., known].detach() / temperature).log_softmax(-1)
    found = (learner[..., known] / temperature).log_softmax(-1)
    apart = temperature**2 * (wanted.exp() * (wanted - found)).sum(-1)
    if apart.ndim == 1:
        return apart.sum()
    words = batch["words"]
    return ((apart * words).sum(-1) / words.sum(-1)).sum()


def attention_drift(old: Seen, new: Seen, pool: Pool, *, reference: bool = False) -> Tensor:
    """Return how much attention was lost, the mean over layers, summed over rows and streams.

    With `reference`, what the published code computes, for each row, so that it weighs the same.
    """
    total = new.text.new_zeros(())
    layers = len(new.text_attention)
    for before, now, queries in zip(old.text_attention, new.text_attention, new.text_queries, strict=True):
        lost = reference_drift(before, now) * len(now) if reference else drift(before, now, queries, pool).sum()
        total = total + lost / layers
    for before, now, queries in zip(old.image_attention, new.image_attention, new.image_queries, strict=True):
        lost = reference_drift(before, now) * len(now) if reference else drift(before, now, queries, pool).sum()
        total = total + lost / layers
    return total


def prototypes(model: DualStream, strategy: Strategy, memory: RehearsalMemory) -> tuple[list[int], Tensor | None]:
    """Return the classes that are remembered and the mean vector of each, `[classes, width]`; None where nothing is."""
    classes = sorted(memory.classes)
    if not classes:
        return [], None
    vectors = look(model, strategy, memory.rows).vectors
    sizes = [len(memory.classes[one]) for one in classes]
    return classes, torch.stack([part.mean(0) for part in torch.split(vectors, sizes)])

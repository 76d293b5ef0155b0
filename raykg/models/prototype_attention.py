"""Attention over class prototypes, which refines what a head reads (RP-CRE's memory network, ACL 2021, section 3.6)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn


class PrototypeAttention(nn.Module):
    """Adds to each vector what it finds among the prototypes; without prototypes it changes nothing."""

    def __init__(self, width: int, size: int, classes: int) -> None:
        """Make it.

        Args:
            width: of a row's vector: its read places side by side.
            size: of queries, keys and values.
            classes: most prototypes.
        """
        super().__init__()
        self.query, self.key, self.value = nn.Linear(width, size), nn.Linear(width, size), nn.Linear(width, size)
        self.out, self.norm = nn.Linear(size, width), nn.LayerNorm(width)
        nn.init.zeros_(self.norm.weight)  # it begins as no change, and learns how much of one helps
        self.register_buffer("prototypes", torch.zeros(classes, width))
        self.register_buffer("known", torch.zeros(classes, dtype=torch.bool))

    prototypes: Tensor
    known: Tensor

    def set(self, classes: Sequence[int], prototypes: Tensor) -> None:
        """Take new prototypes, `[classes, width]`."""
        self.known.zero_()
        self.known[list(classes)] = True
        self.prototypes[list(classes)] = prototypes.to(self.prototypes)

    def forward(self, text: Tensor) -> Tensor:
        """Return the states of the read places, refined, `[batch, places, width of a state]`."""
        if not bool(self.known.any()):
            return text
        vectors = text.flatten(1) if text.shape[1] * text.shape[2] == self.query.in_features else text
        found = self.prototypes[self.known]
        near = self.query(vectors) @ self.key(found).T / math.sqrt(self.query.out_features)
        seen = self.norm(self.out(near.softmax(-1) @ self.value(found)))
        refined: Tensor = text + seen.view_as(text)
        return refined

"""Attention distillation: a layer's attention may change towards new things, and not away from what it was.

Paper: Continual Multimodal Knowledge Graph Construction, IJCAI 2024, arXiv 2305.08698 (section on attention distillation); after PODNet,
ECCV 2020, arXiv 2004.13513, and the asymmetric form of Pelosin et al., CVPR Workshops 2022.

    drift(old, new, queries, pool="queries")            # [batch]; 0 where nothing was lost

What is compared is how much attention each key gets, added up along an axis that is named: over the queries (`[heads, keys]`) or over the
heads (`[queries, keys]`). Adding up over the keys is not offered: a query's attention adds up to one, so nothing would be left to compare.
Each sum is brought to length one, then d = || ReLU(old - new) ||. Both are non-negative and of one length, so d is zero if and only if they
are equal, although only losses count.

The published code subtracts first and normalises afterwards: its rows then have length one or zero whatever the drift, and the loss is the
square root of the number of rows, without a gradient. `reference_drift` is that, kept to show it.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import normalize

Pool = Literal["queries", "heads", "both"]
_REFERENCE = 100.0  # what the published code divides by


def pooled(attention: Tensor, queries: Tensor, pool: Literal["queries", "heads"]) -> Tensor:
    """Return how much attention each key gets, brought to length one, `[batch, heads or queries, keys]`.

    Args:
        attention: after softmax, `[batch, heads, queries, keys]`.
        queries: which queries are real, `[batch, queries]`.
        pool: what is added up.
    """
    real = attention * queries[:, None, :, None]
    found: Tensor = normalize(real.sum(2 if pool == "queries" else 1), dim=-1)
    return found


def drift(old: Tensor, new: Tensor, queries: Tensor, pool: Pool) -> Tensor:
    """Return how much attention was lost in each row, `[batch]`; with `both`, the sum of both ways to add up.

    Args:
        old: the teacher's attention, `[batch, heads, queries, keys]`; no gradient flows into it.
        new: the learner's, of the same shape.
        queries: which queries are real, `[batch, queries]`.
        pool: what is added up before they are compared.
    """
    if pool == "both":
        return drift(old, new, queries, "queries") + drift(old, new, queries, "heads")
    lost = torch.relu(pooled(old.detach(), queries, pool) - pooled(new, queries, pool))
    found: Tensor = lost.flatten(1).norm(dim=1)
    return found


def reference_drift(old: Tensor, new: Tensor) -> Tensor:
    """Return what the published code computes, of scores before softmax added up over the queries: a scalar without a useful gradient."""
    lost = torch.relu(old.detach().sum(2) - new.sum(2))
    found: Tensor = normalize(lost, dim=-1).norm() / _REFERENCE
    return found

"""Rows one behind another in one sequence, without padding.

    parts = cut(examples.lengths, most_rows=8, overhead=32)
    arrays = pack(examples.select(parts[0]))        # input_ids, position_ids and labels, each [1, tokens]

Positions begin at 0 with every row, by which transformers tells the rows apart: a token attends to those of its own row alone, so the loss
is that of padded rows. Eight questions padded to the longest one are for a third padding, on which a CPU spends its time as on any token.

Source: packing without cross-contamination, Krell et al. 2021, arXiv 2107.02027, section 3.2.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from raykg.data.tokenise import IGNORE, Examples

ATTENTION = 0.00035
"""What attention costs beside the other layers, in tokens for a squared token of a sequence: SmolLM2-135M, whose heads are narrow."""


def pack(examples: Examples) -> dict[str, NDArray[np.int64]]:
    """Return rows as arrays `input_ids`, `position_ids` and `labels`, each [1, tokens]."""
    positions = np.arange(len(examples.tokens)) - np.repeat(examples.starts, examples.lengths)
    learnt = positions >= np.maximum(np.repeat(examples.prompts, examples.lengths), 1)  # a first token follows nothing
    ids = examples.tokens.astype(np.int64)
    return {"input_ids": ids[None], "position_ids": positions[None], "labels": np.where(learnt, ids, IGNORE)[None]}


def cut(lengths: NDArray[np.int64], most_rows: int, overhead: int) -> list[NDArray[np.int64]]:
    """Return rows in sequences of about the same number of tokens, in their order.

    The number of sequences is the least that keeps each below `most_rows` rows and, but for single long rows, below the length at which the
    attention of a longer sequence costs more than one more pass of the model would.

    Args:
        lengths: Tokens of each row.
        most_rows: Of one sequence.
        overhead: What one more forward and backward pass costs, in tokens.
    """
    total = int(lengths.sum())
    if not total:
        return []
    middle = np.cumsum(lengths) - lengths / 2
    count = max(-(-len(lengths) // most_rows), int(np.ceil(total / np.sqrt(overhead / ATTENTION))))
    while True:
        part = (middle * count / total).astype(np.int64)
        if np.bincount(part).max() <= most_rows:
            return [np.flatnonzero(part == number) for number in np.unique(part)]
        count += 1

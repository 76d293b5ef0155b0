"""Rows one behind another in one sequence, without padding, and what they begin with alike only once.

    examples = examples.select(by_beginning(examples))
    parts = cut(examples, most_rows=8, overhead=32, sharing=True)
    arrays = pack(examples.select(parts[0]), sharing=True)  # input_ids, position_ids and labels [1, tokens]; own and shared [rows]

Positions begin at 0 with every row, by which transformers tells the rows apart: a token attends to those of its own row alone, so the loss
is that of padded rows. Eight questions padded to the longest one are for a third padding, on which a CPU spends its time as on any token.

Rows that begin alike, as questions about the same facts do, form a tree: what a row has in common with the row before it is not repeated.
Its own tokens have the positions that they would have in the whole row and attend to their beginning where it stands
(`raykg.models.packed_rows` makes the mask), so that loss and gradients are those of rows apart. A token that is learnt, and the one that
predicts it, are always a row's own.

Sources: packing without cross-contamination, Krell et al. 2021, arXiv 2107.02027, section 3.2; shared prefixes in training, as in Wang and
Hegde 2024, arXiv 2410.20305, there for pairs of answers, here for any tree.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from raykg.data.tokenise import IGNORE, Examples

ATTENTION = 0.00035
"""What attention costs beside the other layers, in tokens for a squared token of a sequence: SmolLM2-135M, whose heads are narrow."""

Counts = NDArray[np.int64]


def by_beginning(examples: Examples) -> Counts:
    """Return an order of the rows in which those that begin alike are neighbours, `[rows]`; equal rows keep their order."""
    starts, stops = examples.starts, examples.starts + examples.lengths
    keys = [examples.tokens[start:stop].astype(">i4").tobytes() for start, stop in zip(starts, stops, strict=True)]
    return np.array(sorted(range(len(keys)), key=keys.__getitem__), dtype=np.int64)


def shared_with_previous(examples: Examples) -> Counts:
    """Return how many first tokens each row has in common with the row before it, `[rows]`; a prompt's last token is never among them."""
    rows = len(examples.lengths)
    shared = np.zeros(rows, dtype=np.int64)
    if rows < 2:  # noqa: PLR2004 - nobody to share with
        return shared
    most = np.maximum(examples.prompts - 1, 0)
    limit = np.minimum(most[1:], most[:-1])
    column = np.arange(int(limit.max()))
    places = np.minimum(examples.starts[:, None] + column, len(examples.tokens) - 1)
    tokens = examples.tokens[places]  # [rows, longest prompt]
    same = (tokens[1:] == tokens[:-1]) & (column < limit[:, None])
    shared[1:] = np.logical_and.accumulate(same, axis=1).sum(axis=1)
    return shared


def pack(examples: Examples, *, sharing: bool = False) -> dict[str, Counts]:
    """Return rows as arrays `input_ids`, `position_ids` and `labels`, each [1, tokens].

    Args:
        examples: in their order.
        sharing: leave out what a row has in common with the row before it. If any has, there are also `own` and `shared`, each [rows]: the
            tokens of each row that stand in the sequence, and those before them that do not.
    """
    shared = shared_with_previous(examples) if sharing else np.zeros(len(examples.lengths), dtype=np.int64)
    positions = np.arange(len(examples.tokens)) - np.repeat(examples.starts, examples.lengths)
    learnt = positions >= np.maximum(np.repeat(examples.prompts, examples.lengths), 1)  # a first token follows nothing
    ids = examples.tokens.astype(np.int64)
    labels = np.where(learnt, ids, IGNORE)
    stands = positions >= np.repeat(shared, examples.lengths)
    arrays = {"input_ids": ids[stands][None], "position_ids": positions[stands][None], "labels": labels[stands][None]}
    return arrays | ({"own": examples.lengths - shared, "shared": shared} if shared.any() else {})


def cut(examples: Examples, most_rows: int, overhead: int, *, sharing: bool = False) -> list[Counts]:
    """Return rows in sequences that cost least together, in their order.

    A sequence costs a pass of the model, its tokens, and its tokens squared, which attention compares. A row that begins a sequence repeats
    what it would have shared. The cheapest cut is a shortest path over at most `most_rows` rows a step.

    Args:
        examples: in the order in which they are packed.
        most_rows: Of one sequence.
        overhead: What one more forward and backward pass costs, in tokens.
        sharing: as of `pack`.
    """
    rows = len(examples.lengths)
    shared = shared_with_previous(examples) if sharing else np.zeros(rows, dtype=np.int64)
    ends = np.concatenate([[0], np.cumsum(examples.lengths - shared)])
    best = np.zeros(rows + 1)  # cheapest cost of the first i rows
    begin = np.zeros(rows + 1, dtype=np.int64)  # where their last sequence begins
    for end in range(1, rows + 1):
        begins = np.arange(max(0, end - most_rows), end)
        tokens = ends[end] - ends[begins] + shared[begins]
        costs = best[begins] + overhead + tokens + ATTENTION * tokens**2
        pick = int(np.argmin(costs))
        best[end], begin[end] = costs[pick], begins[pick]
    parts = []
    end = rows
    while end:
        parts.append(np.arange(begin[end], end))
        end = int(begin[end])
    return parts[::-1]

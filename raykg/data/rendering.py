"""Renders patterns: many texts with slots, each filled with names of its own, as one Arrow expression instead of a loop over rows.

patterns = Patterns(["who directed ?1", "?2 or ?1, which is longer"])
patterns.render(np.array([0, 1]), [names, other_names])
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raykg.data.steps import Ints

SLOT = re.compile(r"\?([0-9]+)")
"""Where a name goes; the number says which."""


class Patterns:
    """Texts with slots `?1`, `?2`, ..., cut into pieces."""

    def __init__(self, texts: Sequence[str]) -> None:
        """Cut the texts; a slot may stand anywhere, also twice."""
        cut = [SLOT.split(text) for text in texts]
        width = max((len(pieces) for pieces in cut), default=1)
        self.pieces = [
            pa.array([pieces[place] if place < len(pieces) else "" for pieces in cut], pa.string()) for place in range(0, width, 2)
        ]
        self.slots: list[Ints] = [
            np.array([int(pieces[place]) if place < len(pieces) else 0 for pieces in cut], dtype=np.int64) for place in range(1, width, 2)
        ]

    def order(self, patterns: Ints, slots: int) -> Ints:
        """Return for each row the slots 1 to `slots` in the order of its text, 0 where there are no more; int64 `[rows, slots]`."""
        found = np.zeros((len(patterns), slots), dtype=np.int64)
        filled = np.zeros(len(patterns), dtype=np.int64)
        for numbers in self.slots:
            here = numbers[patterns]
            new = (here > 0) & (here <= slots) & ~(found == here[:, None]).any(axis=1)
            found[np.flatnonzero(new), filled[new]] = here[new]
            filled += new
        return found

    def render(self, patterns: Ints, fillers: Sequence[pa.Array]) -> pa.Array:
        """Return the text of each row; string `[rows]`.

        Args:
            patterns: which text each row takes; int64 `[rows]`.
            fillers: what stands in slot 1, 2, ... of each row; string `[rows]` each.
        """
        rows = len(patterns)
        pool = pa.concat_arrays([pa.repeat("", rows), *fillers])
        columns = [self.pieces[0].take(pa.array(patterns))]
        for piece, numbers in zip(self.pieces[1:], self.slots, strict=True):
            columns.append(pool.take(pa.array(numbers[patterns] * rows + np.arange(rows))))
            columns.append(piece.take(pa.array(patterns)))
        return pc.binary_join_element_wise(*columns, "")

"""Random numbers as a pure function of (seed, index, name): the same for a question whatever block, batch or process draws them."""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray

from raykg.data.steps import Hashes, Ints, mix


class Draws:
    """Draws numbers for some questions.

    >>> Draws(7, np.arange(3)).unit("hop", 1)  # the same three numbers every time
    """

    def __init__(self, seed: int, index: Ints, attempt: int = 0) -> None:
        """Remember the questions; another attempt draws afresh."""
        start = np.uint64(seed % 2**64) ^ (np.uint64(attempt) << np.uint64(48))
        self._base: Hashes = mix(mix(np.full(1, start)) + index.astype(np.uint64))
        self.index = index

    def bits(self, name: str, turn: int = 0) -> Hashes:
        """Return 64 random bits for each question; uint64 `[questions]`."""
        return mix(self._base ^ mix(np.full(1, zlib.crc32(name.encode()) + (turn << 32), dtype=np.uint64)))

    def unit(self, name: str, turn: int = 0) -> NDArray[np.float64]:
        """Return a number in [0, 1) for each question; float64 `[questions]`."""
        return (self.bits(name, turn) >> np.uint64(11)).astype(np.float64) / 2.0**53

    def below(self, bound: Ints | int, name: str, turn: int = 0) -> Ints:
        """Return an integer in [0, bound) for each question (0 where the bound is 0); int64 `[questions]`."""
        return np.asarray(np.minimum((self.unit(name, turn) * bound).astype(np.int64), np.maximum(np.asarray(bound) - 1, 0)))

    def among(self, weights: NDArray[np.float64], name: str, turn: int = 0) -> Ints:
        """Return a position in `weights` for each question, in proportion; int64 `[questions]`."""
        edges = np.cumsum(weights / weights.sum())
        return np.asarray(np.minimum(np.searchsorted(edges, self.unit(name, turn), side="right"), len(weights) - 1))

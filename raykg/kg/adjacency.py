"""Adjacency in compressed sparse rows: all edges of many nodes at once, with NumPy and no Python loop.

The edges of a node lie side by side, sorted by relation and then neighbour, so one relation of a node is a contiguous range that a binary
search finds. All arrays are memory-mapped: every process of a machine shares one copy.

    hop = graph.forward.hop(np.array([films]), graph.relation("directed by"))
    directors = np.unique(hop.neighbour)
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

IntArray = NDArray[np.integer[Any]]


class Hop(NamedTuple):
    """Edges that leave some nodes by one relation; three arrays of one length, `[edges]`."""

    source_index: IntArray
    """Position of the edge's source in the nodes that were asked for."""
    neighbour: IntArray
    """Node at the other end."""
    triple: IntArray
    """Id of the triple that the edge is."""


class Edges(NamedTuple):
    """Edges that leave some nodes by any relation; four arrays of one length, `[edges]`."""

    source_index: IntArray
    relation: IntArray
    neighbour: IntArray
    triple: IntArray


class RelationCounts(NamedTuple):
    """Distinct relations of some nodes with their number of edges; three arrays of one length."""

    source_index: IntArray
    relation: IntArray
    edges: IntArray


class Adjacency:
    """One direction of a graph in compressed sparse rows.

    `offsets` is `[nodes + 1]`; `relations`, `neighbours` and `triple_ids` are `[triples]`. Where edges lie in the order of triple ids, as
    in the forward direction, `triple_ids` may be left out.
    """

    def __init__(self, offsets: IntArray, relations: IntArray, neighbours: IntArray, triple_ids: IntArray | None = None) -> None:
        self.offsets = offsets
        self.relations = relations
        self.neighbours = neighbours
        self._triple_ids = triple_ids

    @property
    def triple_ids(self) -> IntArray:
        """Triple id of every edge, int64 `[triples]`."""
        if self._triple_ids is None:
            self._triple_ids = np.arange(len(self.neighbours), dtype=np.int64)
        return self._triple_ids

    def hop(self, nodes: ArrayLike, relation: int) -> Hop:
        """Return all edges of `nodes` with `relation`, grouped by node in the order given, each group sorted by neighbour."""
        low, high = self._ranges(_as_ids(nodes), relation)
        source_index, position = expand_ranges(low, high)
        return Hop(source_index, np.asarray(self.neighbours[position]), self._triples_at(position))

    def edges(self, nodes: ArrayLike) -> Edges:
        """Return all edges of `nodes`, grouped by node in the order given, each group sorted by relation and neighbour."""
        source_index, position = expand_ranges(*self._all(nodes))
        relation, neighbour = np.asarray(self.relations[position]), np.asarray(self.neighbours[position])
        return Edges(source_index, relation, neighbour, self._triples_at(position))

    def triples_of(self, nodes: ArrayLike) -> IntArray:
        """Return the triple ids of all edges of `nodes` in the order of `edges`, without reading what else they are; `[edges]`."""
        return self._triples_at(expand_ranges(*self._all(nodes))[1])

    def degree(self, nodes: ArrayLike, relation: int | None = None) -> IntArray:
        """Return the number of edges of each node, of one relation or of all, without reading the neighbours; `[nodes]`."""
        wanted = _as_ids(nodes)
        if relation is None:
            low, high = self._all(wanted)
        else:
            low, high = self._ranges(wanted, relation)
        return high - low

    def relations_of(self, nodes: ArrayLike) -> RelationCounts:
        """Return the distinct relations of each node and their number of edges, grouped by node, sorted by relation."""
        source_index, position = expand_ranges(*self._all(nodes))
        relation = np.asarray(self.relations[position])
        if not len(relation):
            return RelationCounts(source_index, relation, np.zeros(0, dtype=np.int64))
        starts = np.flatnonzero(np.r_[True, (source_index[1:] != source_index[:-1]) | (relation[1:] != relation[:-1])])
        return RelationCounts(source_index[starts], relation[starts], np.diff(np.r_[starts, len(relation)]))

    def _all(self, nodes: ArrayLike) -> tuple[IntArray, IntArray]:
        """Return where the edges of each node begin and end."""
        wanted = _as_ids(nodes)
        return np.asarray(self.offsets[wanted]), np.asarray(self.offsets[wanted + 1])

    def _ranges(self, nodes: IntArray, relation: int) -> tuple[IntArray, IntArray]:
        """Return where the edges of each node with `relation` begin and end."""
        low, high = self._all(nodes)
        begin = bisect_ranges(self.relations, low, high, relation)
        return begin, bisect_ranges(self.relations, begin, high, relation + 1)

    def _triples_at(self, position: IntArray) -> IntArray:
        return position if self._triple_ids is None else np.asarray(self._triple_ids[position])


def expand_ranges(low: IntArray, high: IntArray) -> tuple[IntArray, IntArray]:
    """Return, for every integer of the ranges `low[i] : high[i]`, the range's index `i` and the integer; both int64 `[sum of lengths]`."""
    length = np.asarray(high - low, dtype=np.int64)
    source_index = np.repeat(np.arange(len(length), dtype=np.int64), length)
    skipped = np.cumsum(length) - length
    return source_index, np.arange(len(source_index), dtype=np.int64) + np.repeat(np.asarray(low, dtype=np.int64) - skipped, length)


def bisect_ranges(values: IntArray, low: IntArray, high: IntArray, wanted: ArrayLike) -> IntArray:
    """Return the leftmost place in each sorted range `values[low[i] : high[i]]` that is not below `wanted`; int64 `[ranges]`.

    Args:
        values: sorted inside every range, `[n]`.
        low: begin of each range, `[ranges]`.
        high: end of each range, exclusive, `[ranges]`.
        wanted: one value, or one per range.
    """
    low, high = np.array(low, dtype=np.int64), np.array(high, dtype=np.int64)
    target = np.broadcast_to(np.asarray(wanted), low.shape)
    open_ranges = np.flatnonzero(low < high)
    while len(open_ranges):
        middle = (low[open_ranges] + high[open_ranges]) >> 1
        below = values[middle] < target[open_ranges]
        low[open_ranges] = np.where(below, middle + 1, low[open_ranges])
        high[open_ranges] = np.where(below, high[open_ranges], middle)
        open_ranges = open_ranges[low[open_ranges] < high[open_ranges]]
    return low


def _as_ids(nodes: ArrayLike) -> IntArray:
    return np.atleast_1d(np.asarray(nodes, dtype=np.int64))

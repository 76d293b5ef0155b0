"""Adjacency of a view: a version's edges without the retracted ones, and the added ones merged in, in the order that `Adjacency` promises.

Nodes that no edit has touched are read from the version's memory-mapped arrays alone. Whole arrays (`offsets`, `neighbours`, ...) are made
only when somebody asks for them.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from raykg.kg.adjacency import Adjacency, Edges, Hop, IntArray, RelationCounts, expand_ranges

Ids = NDArray[np.int64]


class DeltaEdges:
    """A few edges, sorted by node, relation, neighbour and triple."""

    def __init__(self, node: IntArray, relation: IntArray, neighbour: IntArray, triple: IntArray, relations: int) -> None:
        order = np.lexsort((triple, neighbour, relation, node))
        self.node: Ids = np.asarray(node, dtype=np.int64)[order]
        self.relation, self.neighbour = np.asarray(relation)[order], np.asarray(neighbour)[order]
        self.triple: Ids = np.asarray(triple, dtype=np.int64)[order]
        self._relations = relations
        self._packed: Ids = self.node * relations + self.relation

    def __len__(self) -> int:
        return len(self.node)

    def ranges(self, nodes: IntArray, relation: int | None) -> tuple[IntArray, IntArray]:
        """Return where the edges of each node, of one relation or of all, begin and end."""
        if relation is None:
            return np.searchsorted(self.node, nodes, side="left"), np.searchsorted(self.node, nodes, side="right")
        wanted = np.asarray(nodes, dtype=np.int64) * self._relations + relation
        return np.searchsorted(self._packed, wanted, side="left"), np.searchsorted(self._packed, wanted, side="right")


class OverlayAdjacency(Adjacency):
    """One direction of a view.

    Args:
        base: the version's edges in this direction.
        added: edges that hold besides.
        retracted: edges of the version that hold no more.
        nodes: how many nodes the view has.
        relations: how many relations.
        base_nodes: how many nodes the version has.
        base_relations: how many relations.
    """

    def __init__(
        self, base: Adjacency, added: DeltaEdges, retracted: DeltaEdges, *, nodes: int, relations: int, base_nodes: int, base_relations: int
    ) -> None:
        self._base, self._added, self._retracted = base, added, retracted
        self._nodes, self._num_relations = nodes, relations
        self._base_nodes, self._base_relations = base_nodes, base_relations
        self._gone: Ids = np.sort(retracted.triple)

    def hop(self, nodes: ArrayLike, relation: int) -> Hop:
        """Return all edges of `nodes` with `relation`, grouped by node in the order given, each group sorted by neighbour."""
        wanted = self._checked(nodes)
        if 0 <= relation < self._base_relations:
            places = np.flatnonzero(wanted < self._base_nodes)
            every = len(places) == len(wanted)
            found = self._base.hop(wanted if every else wanted[places], relation)
            source = found.source_index if every else places[found.source_index]
            neighbour, triple = found.neighbour, np.asarray(found.triple, dtype=np.int64)
            if len(self._gone) and len(triple) and self._touches(self._retracted, wanted, relation):
                kept = ~self._is_gone(triple)
                source, neighbour, triple = source[kept], neighbour[kept], triple[kept]
        else:
            source, neighbour, triple = _none(), _none(self._added.neighbour.dtype), _none()
        low, high = self._added.ranges(wanted, relation)
        if not (high > low).any():
            return Hop(source, neighbour, triple)
        own, place = expand_ranges(low, high)
        source = np.concatenate([source, own])
        neighbour = np.concatenate([neighbour, self._added.neighbour[place]])
        triple = np.concatenate([triple, self._added.triple[place]])
        order = np.lexsort((triple, neighbour, source))
        return Hop(source[order], neighbour[order], triple[order])

    def edges(self, nodes: ArrayLike) -> Edges:
        """Return all edges of `nodes`, grouped by node in the order given, each group sorted by relation and neighbour."""
        wanted = self._checked(nodes)
        places = np.flatnonzero(wanted < self._base_nodes)
        every = len(places) == len(wanted)
        found = self._base.edges(wanted if every else wanted[places])
        source = found.source_index if every else places[found.source_index]
        relation, neighbour, triple = found.relation, found.neighbour, np.asarray(found.triple, dtype=np.int64)
        if len(self._gone) and len(triple) and self._touches(self._retracted, wanted, None):
            kept = ~self._is_gone(triple)
            source, relation, neighbour, triple = source[kept], relation[kept], neighbour[kept], triple[kept]
        low, high = self._added.ranges(wanted, None)
        if not (high > low).any():
            return Edges(source, relation, neighbour, triple)
        own, place = expand_ranges(low, high)
        source = np.concatenate([source, own])
        relation = np.concatenate([relation, self._added.relation[place]])
        neighbour = np.concatenate([neighbour, self._added.neighbour[place]])
        triple = np.concatenate([triple, self._added.triple[place]])
        order = np.lexsort((triple, neighbour, relation, source))
        return Edges(source[order], relation[order], neighbour[order], triple[order])

    def triples_of(self, nodes: ArrayLike) -> IntArray:
        """Return the triple ids of all edges of `nodes` in the order of `edges`, without reading what else they are; `[edges]`."""
        wanted = self._checked(nodes)
        return self._base.triples_of(wanted) if self._is_as_before(wanted) else self.edges(wanted).triple

    def degree(self, nodes: ArrayLike, relation: int | None = None) -> IntArray:
        """Return the number of edges of each node, of one relation or of all, without reading the neighbours; `[nodes]`."""
        wanted = self._checked(nodes)
        found = np.zeros(len(wanted), dtype=np.int64)
        if relation is None or 0 <= relation < self._base_relations:
            old = wanted < self._base_nodes
            found[old] = self._base.degree(wanted[old], relation)
        for edges, sign in ((self._added, 1), (self._retracted, -1)):
            if len(edges):
                low, high = edges.ranges(wanted, relation)
                found += sign * (high - low)
        return found

    def relations_of(self, nodes: ArrayLike) -> RelationCounts:
        """Return the distinct relations of each node and their number of edges, grouped by node, sorted by relation."""
        wanted = self._checked(nodes)
        if self._is_as_before(wanted):
            return self._base.relations_of(wanted)
        found = self.edges(wanted)
        source, relation = found.source_index, found.relation
        if not len(relation):
            return RelationCounts(source, relation, _none())
        starts = np.flatnonzero(np.r_[True, (source[1:] != source[:-1]) | (relation[1:] != relation[:-1])])
        return RelationCounts(source[starts], relation[starts], np.diff(np.r_[starts, len(relation)]))

    # Whole arrays, for who walks all of them

    @cached_property
    def _whole(self) -> tuple[IntArray, Edges]:
        found = self.edges(np.arange(self._nodes))
        offsets = np.r_[0, np.cumsum(np.bincount(found.source_index, minlength=self._nodes))]
        return offsets, found

    @property
    def offsets(self) -> IntArray:  # type: ignore[override]
        """Where the edges of each node begin, `[nodes + 1]`."""
        return self._whole[0]

    @property
    def relations(self) -> IntArray:  # type: ignore[override]
        """Relation of every edge, `[edges]`."""
        return self._whole[1].relation

    @property
    def neighbours(self) -> IntArray:  # type: ignore[override]
        """Node at the other end of every edge, `[edges]`."""
        return self._whole[1].neighbour

    @property
    def triple_ids(self) -> IntArray:
        """Triple id of every edge, `[edges]`."""
        return self._whole[1].triple

    def _checked(self, nodes: ArrayLike) -> Ids:
        wanted: Ids = np.atleast_1d(np.asarray(nodes, dtype=np.int64))
        if len(wanted) and (int(wanted.max()) >= self._nodes or int(wanted.min()) < 0):
            bad = wanted[(wanted >= self._nodes) | (wanted < 0)]
            raise IndexError(f"node {int(bad[0])}: the view has nodes 0 to {self._nodes - 1}")
        return wanted

    def _is_as_before(self, nodes: Ids) -> bool:
        """Tell whether the version has all of the nodes, and the edits none of their edges."""
        touched = self._touches(self._added, nodes, None) or self._touches(self._retracted, nodes, None)
        return not touched and bool((nodes < self._base_nodes).all())

    def _touches(self, edges: DeltaEdges, nodes: Ids, relation: int | None) -> bool:
        if not len(edges):
            return False
        low, high = edges.ranges(nodes, relation)
        return bool((high > low).any())

    def _is_gone(self, triples: Ids) -> NDArray[np.bool_]:
        place = np.minimum(np.searchsorted(self._gone, triples), len(self._gone) - 1)
        found: NDArray[np.bool_] = self._gone[place] == triples
        return found


def _none(dtype: Any = np.int64) -> NDArray[Any]:  # noqa: ANN401 - whatever NumPy takes for a type
    return np.zeros(0, dtype=dtype)

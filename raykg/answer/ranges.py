"""Ranges: which nodes may stand on a side of a relation, as far as the graph shows.

    ranges = Ranges(graph)
    ranges.fits(node, graph.relation("release year"), at_head=False)     # the literal 1971, not the film of that name

A node fits where it stands on that side of the relation elsewhere, or is of the type of nodes that do; a literal fits where literals do.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from raykg.kg.graph import KnowledgeGraph

_SAMPLE = 1000  # triples of a relation that tell what it has on a side


class _Side(NamedTuple):
    kinds: frozenset[str]
    literals: bool


class Ranges:
    """Knows the sides of a graph's relations; each is looked at once."""

    def __init__(self, graph: KnowledgeGraph) -> None:
        """Hold the graph."""
        self.graph = graph
        self._sides = lru_cache(maxsize=1024)(self._side)

    def fits(self, node: int, relation: int, at_head: bool) -> bool:
        """Tell whether a node may stand on a side of a relation."""
        edges = self.graph.forward if at_head else self.graph.backward
        if int(edges.degree([node], relation)[0]):
            return True
        side = self._sides(relation, at_head)
        if self.graph.is_literal[node]:
            return side.literals
        return self.graph.entities["type"][node].as_py() in side.kinds

    def _side(self, relation: int, at_head: bool) -> _Side:
        rows = np.flatnonzero(np.asarray(self.graph.relation_ids) == relation)[:_SAMPLE]
        nodes = np.unique(np.asarray(self.graph.heads if at_head else self.graph.tails)[rows])
        kinds = frozenset(kind for kind in self.graph.entities["type"].take(nodes).to_pylist() if kind is not None)
        return _Side(kinds, bool(self.graph.is_literal[nodes].any()))

"""Steps: every relation in every direction, as one sorted table over both adjacencies, for walking many questions at once.

    table = StepTable(graph)
    step = table.step("directed by", forward=False)
    group = table.find(np.array([director]), np.array([step]))       # -1 where the node has no such edge
    owner, film = table.expand(group)

A *step* is a number: twice the relation, plus one when it goes from tail to head; `step ^ 1` goes back. A *group* is the edges of one node
with one step: its row says where they lie in the graph's memory-mapped adjacency. The table costs about 40 bytes a group and process.
"""

from __future__ import annotations

from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from raykg.kg.adjacency import Adjacency, expand_ranges
from raykg.kg.logical_form import Hop

if TYPE_CHECKING:
    from raykg.kg.graph import KnowledgeGraph

Ints = NDArray[np.int64]
Hashes = NDArray[np.uint64]


class StepTable:
    """All groups of a graph, sorted by node and step.

    Attributes:
        num_steps: twice the number of relations.
        node, step, start, length: of every group; int64 `[groups]`.
    """

    def __init__(self, graph: KnowledgeGraph) -> None:
        self.graph = graph
        self.num_nodes = graph.num_entities
        self.num_steps = 2 * graph.num_relations
        both = [_groups(graph.forward, self.num_nodes, 0), _groups(graph.backward, self.num_nodes, 1)]
        node, step, start, length = (np.concatenate(columns) for columns in zip(*both, strict=True))
        order = np.argsort(node * self.num_steps + step)
        self.node, self.step, self.start, self.length = (column[order] for column in (node, step, start, length))
        self._key = self.node * self.num_steps + self.step
        self.offsets: Ints = np.searchsorted(self.node, np.arange(self.num_nodes + 1))

    @cached_property
    def by_step(self) -> tuple[Ints, Ints]:
        """Return the groups ordered by step, and where each step's begin; `[groups]` and `[steps + 1]`."""
        order = np.argsort(self.step, kind="stable")
        return order, np.searchsorted(self.step[order], np.arange(self.num_steps + 1))

    def sources(self, step: int) -> Ints:
        """Return the nodes that have a step, sorted; its targets are the sources of `step ^ 1`."""
        order, offsets = self.by_step
        return self.node[order[offsets[step] : offsets[step + 1]]]

    def hop(self, step: int) -> Hop:
        """Return a step as plans write it."""
        return Hop(self.graph.relation_names[step >> 1], forward=not step & 1)

    def number(self, relation: str, forward: bool) -> int:
        """Return the number of a step.

        Raises:
            UnknownRelation: the graph has no such relation.
        """
        return 2 * self.graph.relation(relation) + (not forward)

    def find(self, nodes: Ints, steps: Ints) -> Ints:
        """Return the group of each node and step, -1 where there is none; int64 `[nodes]`."""
        wanted = nodes * self.num_steps + steps
        place = np.minimum(np.searchsorted(self._key, wanted), len(self._key) - 1)
        return (
            np.where((self._key[place] == wanted) & (nodes >= 0) & (steps >= 0), place, -1) if len(self._key) else np.full(len(wanted), -1)
        )

    def groups_of(self, nodes: Ints) -> tuple[Ints, Ints]:
        """Return all groups of each node: position in `nodes`, and group; int64 `[groups found]` each."""
        owner, group = expand_ranges(self.offsets[nodes], self.offsets[nodes + 1])
        return np.asarray(owner, np.int64), np.asarray(group, np.int64)

    def expand(self, groups: Ints) -> tuple[Ints, Ints]:
        """Return all edges of the groups: position in `groups`, and neighbour; int64 `[edges]` each."""
        owner, place = expand_ranges(self.start[groups], self.start[groups] + self.length[groups])
        return np.asarray(owner, np.int64), self._neighbours(self.step[groups][owner], np.asarray(place, np.int64))

    def pick(self, groups: Ints, unit: NDArray[np.float64]) -> Ints:
        """Return one neighbour of each group, chosen by a number in [0, 1); int64 `[groups]`."""
        place = self.start[groups] + (unit * self.length[groups]).astype(np.int64)
        return self._neighbours(self.step[groups], place)

    def triple_hashes(self, source: Ints, step: Ints, neighbour: Ints) -> Hashes:
        """Return a hash of the triple behind each edge, the same from both ends and in every version; uint64 `[edges]`."""
        back = (step & 1).astype(np.bool_)
        head, tail = np.where(back, neighbour, source), np.where(back, source, neighbour)
        return mix(mix(head.astype(np.uint64)) ^ mix((step >> 1).astype(np.uint64) + np.uint64(1 << 40)) + mix(~tail.astype(np.uint64)))

    def _neighbours(self, step: Ints, place: Ints) -> Ints:
        back = (step & 1).astype(np.bool_)
        found = np.empty(len(place), dtype=np.int64)
        found[~back] = self.graph.forward.neighbours[place[~back]]
        found[back] = self.graph.backward.neighbours[place[back]]
        return found


@lru_cache(maxsize=2)
def step_table(root: str, version: str) -> StepTable:
    """Return the step table of a version, opened once in a process."""
    from raykg.kg.graph import KnowledgeGraph

    return StepTable(KnowledgeGraph.open(root, version, verify=False))


def mix(values: Hashes) -> Hashes:
    """Return well-mixed bits of each value (the finaliser of splitmix64, Steele et al., OOPSLA 2014); uint64, same shape."""
    mixed = values + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def _groups(adjacency: Adjacency, num_nodes: int, back: int) -> tuple[Ints, Ints, Ints, Ints]:
    offsets = np.asarray(adjacency.offsets, dtype=np.int64)
    relations = np.asarray(adjacency.relations)
    first = np.zeros(len(relations), dtype=np.bool_)
    first[1:] = relations[1:] != relations[:-1]
    first[offsets[:-1][np.diff(offsets) > 0]] = True
    start = np.flatnonzero(first).astype(np.int64)
    node = np.searchsorted(offsets, start, side="right").astype(np.int64) - 1
    length = np.diff(np.append(start, len(relations))).astype(np.int64)
    return node, 2 * relations[start].astype(np.int64) + back, start, length

"""Paths between entities: the triples on simple paths that connect the question's entities.

Paper: QA-GNN: Reasoning with Language Models and Knowledge Graphs for Question Answering, NAACL 2021, arXiv 2104.06378 (its subgraph:
what lies on paths up to a length between the entities that a question names).

A path of length L is met in the middle: every simple walk of ceil(L/2) edges from one end is joined with every one of floor(L/2) edges
from the other. Edges count in both directions, parallel edges are different paths, and no node is passed twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from raykg.config.schema import PositiveInt, config
from raykg.kg.adjacency import expand_ranges
from raykg.kg.retrieval import DEFAULT_BUDGET, Clock, RetrievalBudget, Subgraph, best, checked_nodes

if TYPE_CHECKING:
    from raykg.kg.graph import KnowledgeGraph

SEARCH = {"length": [2, 3, 4], "shortest": [True, False]}


@config
class Config:
    """Settings of the path retriever."""

    length: PositiveInt = 3  # most edges on a path
    shortest: bool = False  # only the shortest paths of each pair


class _Walks(NamedTuple):
    nodes: NDArray[np.int64]  # [walks, edges + 1]
    triples: NDArray[np.int64]  # [walks, edges]


class _Spending:
    """Counts the triples that one retrieval looks at."""

    def __init__(self, budget: RetrievalBudget) -> None:
        self.left = budget.visited
        self.visited = 0
        self.cut: str | None = None
        self.clock = Clock(budget.seconds)

    def take(self, wanted: int) -> int:
        """Return how many of the wanted triples may be looked at."""
        if wanted > self.left:
            self.cut = self.cut or "visited"
        if self.clock.over():
            self.cut = self.cut or "seconds"
            wanted = 0
        taken = min(wanted, self.left)
        self.left -= taken
        self.visited += taken
        return taken


class Paths:
    """Finds the paths between every two of the nodes, shortest first, ties by triple id.

    A triple's score is 1 / (length of the shortest found path that it lies on).
    Abilities: all or only shortest simple paths; both directions; budgets that cut at a fixed place.
    Not supported: a single node has no paths and gets an empty subgraph.
    """

    def __init__(self, config: Config | None = None) -> None:
        self.config = config or Config()

    def retrieve(self, graph: KnowledgeGraph, nodes: Sequence[int], budget: RetrievalBudget = DEFAULT_BUDGET) -> Subgraph:
        """Return the triples on the paths between `nodes`.

        Raises:
            RetrievalError: a node is not in the graph.
        """
        spending = _Spending(budget)
        found: list[NDArray[np.int64]] = []
        scores: list[NDArray[np.float64]] = []
        for source, target in combinations(checked_nodes(graph, nodes).tolist(), 2):
            for triples in self._between(graph, source, target, spending):
                flat = np.unique(triples)
                found.append(flat)
                scores.append(np.full(len(flat), 1.0 / triples.shape[1]))
        if not found:
            return Subgraph(np.zeros(0, dtype=np.int64), np.zeros(0), spending.visited, spending.cut)
        triples, place = np.unique(np.concatenate(found), return_inverse=True)
        score = np.zeros(len(triples))
        np.maximum.at(score, place, np.concatenate(scores))
        return best(triples, score, spending.visited, budget.returned, spending.cut)

    def paths(self, graph: KnowledgeGraph, source: int, target: int, budget: RetrievalBudget = DEFAULT_BUDGET) -> list[tuple[int, ...]]:
        """Return the triple ids of each path from `source` to `target`, in walking order, shorter paths first, then by triple ids.

        Raises:
            RetrievalError: a node is not in the graph.
        """
        checked_nodes(graph, [source, target])
        if source == target:
            return []
        found = [row for triples in self._between(graph, source, target, _Spending(budget)) for row in map(tuple, triples.tolist())]
        return sorted(found, key=lambda path: (len(path), path))[: budget.returned]

    def _between(self, graph: KnowledgeGraph, source: int, target: int, spending: _Spending) -> list[NDArray[np.int64]]:
        """Return the triples `[paths, length]` of the paths of each length that has any."""
        ahead, behind = [_no_walk(source)], [_no_walk(target)]
        found = []
        for length in range(1, self.config.length + 1):
            near, far = (length + 1) // 2, length // 2
            if near == len(ahead):
                ahead.append(_extend(graph, ahead[-1], target, spending))
            if far == len(behind):
                behind.append(_extend(graph, behind[-1], source, spending))
            triples = _join(ahead[near], behind[far], spending)
            if len(triples):
                found.append(triples)
                if self.config.shortest:
                    break
        return found


def _no_walk(node: int) -> _Walks:
    return _Walks(np.array([[node]], dtype=np.int64), np.zeros((1, 0), dtype=np.int64))


def _extend(graph: KnowledgeGraph, walks: _Walks, other_end: int, spending: _Spending) -> _Walks:
    """Add one edge to every walk that has not come to the other end yet; no node twice."""
    going = np.flatnonzero(walks.nodes[:, -1] != other_end)
    ends = walks.nodes[going, -1]
    load = np.cumsum(graph.forward.degree(ends) + graph.backward.degree(ends))
    taken = spending.take(int(load[-1]) if len(load) else 0)
    fits = int(np.searchsorted(load, taken, side="right"))
    ends = ends[: fits + 1]  # the last one in part
    forward, backward = graph.forward.edges(ends), graph.backward.edges(ends)
    source = np.concatenate([forward.source_index, backward.source_index])
    order = np.argsort(source, kind="stable")[:taken]
    source = going[source[order]]
    neighbour = np.concatenate([forward.neighbour, backward.neighbour])[order].astype(np.int64)
    triple = np.concatenate([forward.triple, backward.triple])[order].astype(np.int64)
    fresh = ~(walks.nodes[source] == neighbour[:, None]).any(axis=1)
    source, neighbour, triple = source[fresh], neighbour[fresh], triple[fresh]
    return _Walks(np.column_stack([walks.nodes[source], neighbour]), np.column_stack([walks.triples[source], triple]))


def _join(ahead: _Walks, behind: _Walks, spending: _Spending) -> NDArray[np.int64]:
    """Join walks from both ends that meet in their last node and share no other; return the triples `[paths, length]`."""
    order = np.argsort(behind.nodes[:, -1], kind="stable")
    meets = behind.nodes[order, -1]
    low = np.searchsorted(meets, ahead.nodes[:, -1], side="left")
    count = np.searchsorted(meets, ahead.nodes[:, -1], side="right") - low
    load = np.cumsum(count)
    taken = spending.take(int(load[-1]) if len(load) else 0)
    rows = int(np.searchsorted(load, taken, side="right")) + 1  # the last one in part
    first, place = expand_ranges(low[:rows], (low + count)[:rows])
    first, second = first[:taken], order[place[:taken]]
    left, right = ahead.nodes[first], behind.nodes[second][:, :-1]
    simple = np.ones(len(first), dtype=np.bool_)
    for column in range(right.shape[1]):
        simple &= ~(left == right[:, column : column + 1]).any(axis=1)
    first, second = first[simple], second[simple]
    return np.concatenate([ahead.triples[first], behind.triples[second][:, ::-1]], axis=1)

"""K-hop neighbourhood: every triple within k steps of the question's entities, edges taken in both directions.

Paper: UniKGQA: Unified Retrieval and Reasoning for Solving Multi-hop Question Answering Over Knowledge Graph, ICLR 2023, arXiv 2212.00959
(the neighbourhood that it, like GraftNet, starts from).

A triple's score is 1 / (1 + hop at which it was met). Nodes with very many edges ("Drama", "English") are reached but not walked
through, unless the question names them: behind them lies the whole graph, and nothing about the question.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from raykg.config.schema import PositiveInt, config
from raykg.kg.adjacency import IntArray, expand_ranges
from raykg.kg.retrieval import DEFAULT_BUDGET, Clock, RetrievalBudget, Subgraph, checked_nodes

if TYPE_CHECKING:
    from raykg.kg.graph import KnowledgeGraph

SEARCH = {"hops": [1, 2, 3]}


@config
class Config:
    """Settings of the k-hop retriever."""

    hops: PositiveInt = 2
    hub_degree: PositiveInt = 2000  # nodes with more edges are not walked through; films of one year: about 200


class KHop:
    """Collects the triples within `hops` steps, nearest first, ties by triple id.

    Abilities: several start nodes at once; hubs; budgets that cut at a fixed place.
    Not supported: directions or relations chosen by the question (that is a plan's work).
    """

    def __init__(self, config: Config | None = None) -> None:
        self.config = config or Config()

    def retrieve(self, graph: KnowledgeGraph, nodes: Sequence[int], budget: RetrievalBudget = DEFAULT_BUDGET) -> Subgraph:
        """Return the neighbourhood of `nodes`.

        Raises:
            RetrievalError: a node is not in the graph.
        """
        frontier = np.sort(checked_nodes(graph, nodes))
        reached, found = frontier, np.zeros(0, dtype=np.int64)
        hops: list[NDArray[np.int64]] = []
        visited, cut, clock = 0, None, Clock(budget.seconds)
        for hop in range(self.config.hops):
            if hop and clock.over():
                cut = "seconds"
            if cut:
                break
            edges = _Edges(graph.forward.ranges(frontier), graph.backward.ranges(frontier))
            if hop:
                edges = edges.keep(edges.degree <= self.config.hub_degree)
            if not len(edges.degree):
                break
            # Whole nodes are cut off, so that what is read stays inside the budget; at least one node is read in part.
            room = budget.visited - visited
            fits = int(np.searchsorted(np.cumsum(edges.degree), room, side="right"))
            if fits < len(edges.degree):
                edges, cut = edges.keep(slice(max(fits, 1))), "visited"
            ahead, behind = edges.places(room)
            visited += len(ahead) + len(behind)
            hops.append(_new(np.concatenate([graph.forward.triples_at(ahead), graph.backward.triples_at(behind)]), found))
            if hop + 1 < self.config.hops and not cut:  # the last hop's ends are nobody's beginning: most of the work, saved
                found = np.sort(np.concatenate([found, hops[-1]]))
                ends = np.concatenate([graph.forward.neighbours[ahead], graph.backward.neighbours[behind]])
                frontier = np.setdiff1d(ends, reached).astype(np.int64)
                reached = np.union1d(reached, frontier)
        # Nearest first, each hop by id: the order of `best`, without sorting once more.
        triples = np.concatenate([found[:0], *hops])
        scores = np.repeat(1.0 / np.arange(1, len(hops) + 1), [len(new) for new in hops])
        if len(triples) > budget.returned:
            cut = cut or "returned"
        return Subgraph(triples[: budget.returned], scores[: budget.returned], visited, cut)


@dataclass(frozen=True, slots=True)
class _Edges:
    """Where the edges of some nodes begin and end in both directions' arrays; none of them is read."""

    ahead: tuple[IntArray, IntArray]
    behind: tuple[IntArray, IntArray]

    @property
    def degree(self) -> IntArray:
        """Number of edges of each node, `[nodes]`."""
        return self.ahead[1] - self.ahead[0] + self.behind[1] - self.behind[0]

    def keep(self, chosen: NDArray[np.bool_] | slice) -> _Edges:
        """Return the edges of some of the nodes."""
        return _Edges((self.ahead[0][chosen], self.ahead[1][chosen]), (self.behind[0][chosen], self.behind[1][chosen]))

    def places(self, limit: int) -> tuple[IntArray, IntArray]:
        """Return the places of the first `limit` edges, forward ones first."""
        ahead = expand_ranges(*self.ahead)[1][:limit]
        return ahead, expand_ranges(*self.behind)[1][: limit - len(ahead)]


def _new(triples: IntArray, found: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the distinct triples that are not among `found`, sorted; `found` is sorted and has each once."""
    triples = np.sort(triples)
    keep = np.ones(len(triples), dtype=bool)
    keep[1:] = triples[1:] != triples[:-1]
    place = np.searchsorted(triples, found)  # of the first of equal ones, the only one that is kept so far
    inside = place < len(triples)
    keep[place[inside][triples[place[inside]] == found[inside]]] = False
    return triples[keep].astype(np.int64, copy=False)

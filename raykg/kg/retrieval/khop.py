"""K-hop neighbourhood: every triple within k steps of the question's entities, edges taken in both directions.

Paper: UniKGQA: Unified Retrieval and Reasoning for Solving Multi-hop Question Answering Over Knowledge Graph, ICLR 2023, arXiv 2212.00959
(the neighbourhood that it, like GraftNet, starts from).

A triple's score is 1 / (1 + hop at which it was met). Nodes with very many edges ("Drama", "English") are reached but not walked
through, unless the question names them: behind them lies the whole graph, and nothing about the question.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from raykg.config.schema import PositiveInt, config
from raykg.kg.adjacency import IntArray
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
            degree = graph.forward.degree(frontier) + graph.backward.degree(frontier)
            if hop:
                walked = degree <= self.config.hub_degree
                frontier, degree = frontier[walked], degree[walked]
            if cut or not len(frontier):
                break
            # Whole nodes are cut off, so that what is read stays inside the budget; at least one node is read in part.
            room = budget.visited - visited
            fits = int(np.searchsorted(np.cumsum(degree), room, side="right"))
            if fits < len(frontier):
                frontier, cut = frontier[: max(fits, 1)], "visited"
            last = bool(cut) or hop + 1 == self.config.hops
            if last:  # where most edges are; nobody asks what they lead to
                around = [graph.forward.triples_of(frontier), graph.backward.triples_of(frontier)]
                triples = np.concatenate(around)[:room]
            else:
                ahead, behind = graph.forward.edges(frontier), graph.backward.edges(frontier)
                triples = np.concatenate([ahead.triple, behind.triple])
                frontier = np.setdiff1d(np.concatenate([ahead.neighbour, behind.neighbour]), reached).astype(np.int64)
                reached = np.union1d(reached, frontier)
            visited += len(triples)
            hops.append(_new(triples, found))
            found = hops[-1]  # a node that is met now has no edge that was met before the last hop
        # Nearest first, each hop by id: the order of `best`, without sorting once more.
        every = np.concatenate([found[:0], *hops])
        scores = np.repeat(1.0 / np.arange(1, len(hops) + 1), [len(new) for new in hops])
        if len(every) > budget.returned:
            cut = cut or "returned"
        return Subgraph(every[: budget.returned], scores[: budget.returned], visited, cut)


def _new(triples: IntArray, found: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the distinct triples that are not among `found`, both sorted; `found` has each once."""
    triples = np.sort(triples)
    keep = np.ones(len(triples), dtype=bool)
    keep[1:] = triples[1:] != triples[:-1]
    place = np.searchsorted(triples, found)  # of the first of equal ones, the only one that is kept so far
    inside = place < len(triples)
    keep[place[inside][triples[place[inside]] == found[inside]]] = False
    return triples[keep].astype(np.int64, copy=False)

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

from raykg.config.schema import PositiveInt, config
from raykg.kg.retrieval import DEFAULT_BUDGET, Clock, RetrievalBudget, Subgraph, best, checked_nodes

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
        reached = frontier
        found = np.zeros(0, dtype=np.int64)
        scores = np.zeros(0)
        visited, cut, clock = 0, None, Clock(budget.seconds)
        for hop in range(self.config.hops):
            if hop:
                degree = graph.forward.degree(frontier) + graph.backward.degree(frontier)
                frontier = frontier[degree <= self.config.hub_degree]
            if clock.over() and hop:
                cut = "seconds"
            if cut or not len(frontier):
                break
            # Whole nodes are cut off, so that what is read stays inside the budget; at least one node is read in part.
            load = np.cumsum(graph.forward.degree(frontier) + graph.backward.degree(frontier))
            fits = int(np.searchsorted(load, budget.visited - visited, side="right"))
            if fits < len(frontier):
                frontier, cut = frontier[: max(fits, 1)], "visited"
            ahead, behind = graph.forward.edges(frontier), graph.backward.edges(frontier)
            triples = np.concatenate([ahead.triple, behind.triple])[: budget.visited - visited]
            ends = np.concatenate([ahead.neighbour, behind.neighbour])[: budget.visited - visited]
            visited += len(triples)
            new = np.setdiff1d(triples, found)
            found, scores = np.concatenate([found, new]), np.concatenate([scores, np.full(len(new), 1.0 / (1 + hop))])
            frontier = np.setdiff1d(ends, reached).astype(np.int64)
            reached = np.union1d(reached, frontier)
        return best(found, scores, visited, budget.returned, cut)

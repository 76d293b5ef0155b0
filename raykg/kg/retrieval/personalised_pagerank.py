"""Personalised PageRank: triples by the traffic of a random walk that keeps coming back to the question's entities.

Paper: Open Domain Question Answering Using Early Fusion of Knowledge Bases and Text (GraftNet), EMNLP 2018, arXiv 1809.00782.

The walk runs on the undirected k-hop neighbourhood with p = (1 - r) P^T p + r s, where P moves along a random edge and s is uniform over
the question's entities. A triple's score is the traffic through it, p[head] / degree[head] + p[tail] / degree[tail].
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from raykg.config.schema import Fraction, PositiveFloat, PositiveInt, config
from raykg.kg.retrieval import DEFAULT_BUDGET, Clock, RetrievalBudget, Subgraph, best, checked_nodes
from raykg.kg.retrieval.khop import Config as KHopConfig
from raykg.kg.retrieval.khop import KHop

if TYPE_CHECKING:
    from raykg.kg.graph import KnowledgeGraph

SEARCH = {"hops": [2, 3], "restart": [0.15, 0.5, 0.8]}


@config
class Config:
    """Settings of personalised PageRank."""

    hops: PositiveInt = 2
    hub_degree: PositiveInt = 2000  # as in khop
    restart: Fraction = 0.15  # probability of going back to the start; 0.15 as in the paper's PageRank, higher stays nearer
    tolerance: PositiveFloat = 1e-9  # sum of changes at which the iteration ends
    iterations: PositiveInt = 200  # 0.85^130 is below the tolerance

    def __post_init__(self) -> None:
        """Refuse a walk that never comes back.

        Raises:
            ValueError: restart is 0.
        """
        if self.restart == 0:
            raise ValueError("restart (0) must be above 0: without it the walk forgets the question's entities")


class PersonalisedPageRank:
    """Ranks the triples of the k-hop neighbourhood by the walk's traffic, ties by triple id.

    Abilities: several start nodes; parallel edges count each; budgets as in `KHop`.
    Not supported: weights of relations.
    """

    def __init__(self, config: Config | None = None) -> None:
        self.config = config or Config()

    def retrieve(self, graph: KnowledgeGraph, nodes: Sequence[int], budget: RetrievalBudget = DEFAULT_BUDGET) -> Subgraph:
        """Return the triples around `nodes` with the most traffic.

        Raises:
            RetrievalError: a node is not in the graph.
        """
        clock = Clock(budget.seconds)
        wide = RetrievalBudget(visited=budget.visited, returned=budget.visited, seconds=budget.seconds)
        around = KHop(KHopConfig(hops=self.config.hops, hub_degree=self.config.hub_degree)).retrieve(graph, nodes, wide)
        triples = np.sort(around.triple_ids)
        if not len(triples):
            return around
        members, ends = np.unique(np.concatenate([graph.heads[triples], graph.tails[triples]]), return_inverse=True)
        heads, tails = ends[: len(triples)], ends[len(triples) :]
        seeds = np.flatnonzero(np.isin(members, checked_nodes(graph, nodes)))
        rank, degree, timely = self._walk(heads, tails, len(members), seeds, clock)
        share = rank / degree
        return best(triples, share[heads] + share[tails], around.visited, budget.returned, around.cut if timely else "seconds")

    def _walk(
        self, heads: NDArray[np.int64], tails: NDArray[np.int64], members: int, seeds: NDArray[np.int64], clock: Clock
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], bool]:
        """Iterate until the walk settles; return rank and degree `[members]`, and whether it settled in time."""
        from scipy.sparse import csr_array

        ones = np.ones(2 * len(heads))
        both_ways = csr_array((ones, (np.concatenate([heads, tails]), np.concatenate([tails, heads]))), shape=(members, members))
        degree = np.asarray(both_ways.sum(axis=1), dtype=np.float64)
        start = np.zeros(members)
        start[seeds] = 1.0 / len(seeds)
        rank = start
        for _ in range(self.config.iterations):
            moved = (1 - self.config.restart) * (both_ways @ (rank / degree)) + self.config.restart * start
            change, rank = float(np.abs(moved - rank).sum()), moved
            if change < self.config.tolerance:
                return rank, degree, True
            if clock.over():
                return rank, degree, False
        return rank, degree, True

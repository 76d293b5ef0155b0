"""Retrievers: which triples of a graph belong to a question's entities.

One file per retriever; `retriever: khop` or `retriever: {name: paths, length: 3}` chooses. Each stops at its budget, always at the same
place, and says that it did; only the limit on seconds depends on the machine. What was found is put into the order of a question's words by
`rank_triples`, before a token budget cuts it.

    from raykg.kg.retrieval import RetrievalBudget, rank_triples
    from raykg.kg.retrieval.khop import Config, KHop
    found = KHop(Config(hops=2)).retrieve(graph, [node], RetrievalBudget(returned=5000))
    facts = found.triple_ids[rank_triples(graph, found.triple_ids, question, [node])]
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from raykg.kg.errors import KgError
from raykg.kg.relevance import rank_triples

if TYPE_CHECKING:
    from raykg.kg.graph import KnowledgeGraph

__all__ = ["DEFAULT_BUDGET", "Clock", "RetrievalBudget", "RetrievalError", "Retriever", "Subgraph", "best", "checked_nodes", "rank_triples"]


class RetrievalError(KgError):
    """A retriever was asked for what no graph can give: a node that is not there, a budget that is not positive."""


@dataclass(frozen=True, slots=True)
class RetrievalBudget:
    """Limits of one retrieval; whichever is met first ends the search."""

    visited: int = 200_000  # triples looked at; a film graph's two hops are 1,000 to 50,000
    returned: int = 10_000  # triples given back, the best ones
    seconds: float = 2.0

    def __post_init__(self) -> None:
        """Refuse a budget that allows nothing.

        Raises:
            RetrievalError: a limit is not positive.
        """
        for name in ("visited", "returned", "seconds"):
            if not getattr(self, name) > 0:
                raise RetrievalError(f"budget.{name} ({getattr(self, name)}) must be above 0")


DEFAULT_BUDGET = RetrievalBudget()


@dataclass(frozen=True, slots=True)
class Subgraph:
    """Triples around some nodes, best first."""

    triple_ids: NDArray[np.int64]  # [found]; by falling score, then by id
    scores: NDArray[np.float64]  # [found]
    visited: int  # triples looked at, a triple met twice counts twice
    cut: str | None = None  # the budget that ended the search early: "visited", "returned" or "seconds"


class Retriever(Protocol):
    """What a retriever does, constructed as `Retriever(config)`."""

    def retrieve(self, graph: KnowledgeGraph, nodes: Sequence[int], budget: RetrievalBudget = DEFAULT_BUDGET) -> Subgraph:
        """Return the triples of `graph` that belong to `nodes`, within the budget.

        Raises:
            RetrievalError: a node is not in the graph.
        """


class Clock:
    """Tells when a budget's seconds are over."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def over(self) -> bool:
        """Tell whether the time is up."""
        return time.monotonic() > self._end


def checked_nodes(graph: KnowledgeGraph, nodes: Sequence[int]) -> NDArray[np.int64]:
    """Return the distinct nodes in the order given.

    Raises:
        RetrievalError: a node is not in the graph.
    """
    distinct = np.array(list(dict.fromkeys(int(node) for node in nodes)), dtype=np.int64)
    strange = distinct[(distinct < 0) | (distinct >= graph.num_entities)]
    if len(strange):
        raise RetrievalError(f"node {int(strange[0])}: the graph has nodes 0 to {graph.num_entities - 1}")
    return distinct


def best(triple_ids: NDArray[np.int64], scores: NDArray[np.float64], visited: int, limit: int, cut: str | None) -> Subgraph:
    """Return the `limit` triples with the highest scores, ties by id."""
    order = np.lexsort((triple_ids, -scores))
    if len(order) > limit:
        order, cut = order[:limit], cut or "returned"
    return Subgraph(triple_ids[order], scores[order], visited, cut)

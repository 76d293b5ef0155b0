"""The densest part of a graph: what to train on first, where a small graph shall tell of the whole one.

Paper: Start Small, Think Big: On Hyperparameter Optimization for Large-Scale Knowledge Graph Embeddings, ECML PKDD 2022, arXiv 2207.04979.

A triple lies as deep as the lower core number of its ends (of its head alone, where the tail is a literal); the k-core of a graph is what
is left when nodes with fewer than k edges are taken away until there are none. The deepest triples are kept, those of one depth in an
order that comes from their ids alone: a smaller part lies within every larger one.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from raykg.kg import mirror
from raykg.kg.errors import KgError

if TYPE_CHECKING:
    from raykg.kg.graph import KnowledgeGraph


def densest_part(graph: KnowledgeGraph, share: float, store: Path) -> KnowledgeGraph:
    """Return the densest part of a graph as a version of its own, writing it unless it is there.

    Nodes and relations keep their ids.

    Args:
        graph: the whole.
        share: of its triples, above 0 and at most 1.
        store: for this part alone: `<store>-0.25` of `<store>`.

    Raises:
        KgError: no triple would be left.
    """
    from raykg.kg.build import GraphBuilder
    from raykg.kg.graph import KnowledgeGraph
    from raykg.kg.store import write_atomically

    if share == 1.0:
        return graph
    note = store / f"of-{graph.version}.json"
    mirror.fetch(note)
    if note.exists():
        return KnowledgeGraph.open(store, json.loads(note.read_text(encoding="utf-8"))["version"])
    without = np.setdiff1d(np.arange(graph.num_triples, dtype=np.int64), deepest_triples(graph, share), assume_unique=True)
    if len(without) == graph.num_triples:
        raise KgError(f"graph.share ({share:g}): no triple of {graph.num_triples:,} is left: raise it")
    part = GraphBuilder(store, parent=graph, without=without).finish({"source": f"the densest {share:g} of {graph.version}"})
    mirror.keep(part.root)
    write_atomically(note, json.dumps({"share": share, "version": part.version}) + "\n")
    mirror.keep(store)
    return part


def deepest_triples(graph: KnowledgeGraph, share: float) -> NDArray[np.int64]:
    """Return the ids of the deepest triples, sorted, `round(share * triples)` of them."""
    cores = core_numbers(graph)
    heads, tails = np.asarray(graph.heads), np.asarray(graph.tails)
    depth = np.where(np.asarray(graph.is_literal)[tails], cores[heads], np.minimum(cores[heads], cores[tails]))
    ids = np.arange(graph.num_triples, dtype=np.uint64)
    mixed = (ids + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)  # Fibonacci hashing: an order without a pattern, of ids alone
    order = np.lexsort((mixed, -depth))
    return np.sort(order[: round(share * graph.num_triples)]).astype(np.int64)


def core_numbers(graph: KnowledgeGraph) -> NDArray[np.int64]:
    """Return the core number of each node, `[nodes]`; edges count in both directions, and each of several between two nodes.

    Source: Batagelj and Zaversnik, An O(m) Algorithm for Cores Decomposition of Networks, 2003, arXiv cs/0310049; here all nodes of a
    degree are taken away at once.
    """
    forward, backward = graph.forward, graph.backward
    degrees = (np.diff(forward.offsets) + np.diff(backward.offsets)).astype(np.int64)
    cores = np.zeros(len(degrees), dtype=np.int64)
    alive = np.ones(len(degrees), dtype=np.bool_)
    k = 0
    while alive.any():
        k = max(k, int(degrees[alive].min()))
        leaving = np.flatnonzero(alive & (degrees <= k))
        while len(leaving):
            cores[leaving], alive[leaving] = k, False
            around = np.concatenate([forward.edges(leaving).neighbour, backward.edges(leaving).neighbour])
            around = around[alive[around]]
            np.subtract.at(degrees, around, 1)
            around = np.unique(around)
            leaving = around[degrees[around] <= k]
    return cores

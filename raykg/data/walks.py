"""Walks: the answers of many paths at once, as pairs of question and node, with NumPy.

    walked = walk(table, sources, steps, away, limit=20_000)
    answers = walked.nodes[walked.owner == 3]

Owners are positions of the questions; pairs are sorted by owner and node and distinct. A question that would visit more edges than `limit`
in a hop is given up (`walked.given_up`), so that one hub cannot stop the others.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raykg.data.steps import Hashes, Ints, StepTable

Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Walked:
    """What walks arrived at.

    Attributes:
        owner: question of each pair; int64 `[pairs]`, sorted.
        node: node of each pair; int64 `[pairs]`, sorted within an owner.
        edge_owner: question of each edge that was walked; int64 `[edges]`.
        edge_hash: hash of the triple of each edge; uint64 `[edges]`.
        given_up: bool `[questions]`.
    """

    owner: Ints
    node: Ints
    edge_owner: Ints
    edge_hash: Hashes
    given_up: Bools

    def counts(self) -> Ints:
        """Return the number of answers of each question; int64 `[questions]`."""
        return np.bincount(self.owner, minlength=len(self.given_up))

    def keep(self, wanted: Bools) -> Walked:
        """Return the walks with only some of the pairs."""
        return Walked(self.owner[wanted], self.node[wanted], self.edge_owner, self.edge_hash, self.given_up)

    def with_edges(self, owner: Ints, hashes: Hashes) -> Walked:
        """Return the walks with more edges counted as walked."""
        edge_owner, edge_hash = np.concatenate([self.edge_owner, owner]), np.concatenate([self.edge_hash, hashes])
        return Walked(self.owner, self.node, edge_owner, edge_hash, self.given_up)


def walk(table: StepTable, sources: Ints, steps: Ints, away: Bools, limit: int) -> Walked:
    """Walk from each source along its steps.

    Args:
        table: steps of the graph.
        sources: start of each question, -1 where it has none and so no answers; int64 `[questions]`.
        steps: its steps, padded with -1 at the end; int64 `[questions, hops]`.
        away: whether the source is left out after every hop; bool `[questions]`.
        limit: edges that one question may visit in one hop.
    """
    questions = len(sources)
    owner = np.flatnonzero(sources >= 0).astype(np.int64)
    node = sources[owner].astype(np.int64)
    given_up = np.zeros(questions, dtype=np.bool_)
    edge_owners, edge_hashes = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.uint64)]
    for hop in range(steps.shape[1]):
        step = steps[owner, hop]
        done = step < 0
        group = table.find(node, step)
        visited = np.bincount(owner[group >= 0], weights=table.length[group[group >= 0]], minlength=questions)
        given_up |= visited > limit
        live = (group >= 0) & ~given_up[owner]
        edge, neighbour = table.expand(group[live])
        next_owner, source = owner[live][edge], node[live][edge]
        kept = ~(away[next_owner] & (neighbour == sources[next_owner]))
        next_owner, source, neighbour = next_owner[kept], source[kept], neighbour[kept]
        edge_owners.append(next_owner)
        edge_hashes.append(table.triple_hashes(source, steps[next_owner, hop], neighbour))
        owner, node = distinct_pairs(np.concatenate([owner[done], next_owner]), np.concatenate([node[done], neighbour]), table.num_nodes)
    live = ~given_up[owner]
    return Walked(owner[live], node[live], np.concatenate(edge_owners), np.concatenate(edge_hashes), given_up)


def distinct_pairs(owner: Ints, node: Ints, num_nodes: int) -> tuple[Ints, Ints]:
    """Return the pairs sorted by owner and node, each once."""
    keys = np.unique(owner * num_nodes + node)
    return np.asarray(keys // num_nodes), np.asarray(keys % num_nodes)


def chains(questions: int, *walks: Walked) -> Ints:
    """Return a hash of the set of triples that each question walked over, in any of the walks; int64 `[questions]`, never 0.

    Questions whose walks use the same triples have the same chain, whichever way they went and whatever they ask.
    """
    owner = np.concatenate([walked.edge_owner for walked in walks])
    hashes = np.concatenate([walked.edge_hash for walked in walks])
    order = np.lexsort((hashes, owner))
    owner, hashes = owner[order], hashes[order]
    first = np.ones(len(owner), dtype=np.bool_)
    first[1:] = (owner[1:] != owner[:-1]) | (hashes[1:] != hashes[:-1])
    owner, hashes = owner[first], hashes[first]
    begins = np.searchsorted(owner, np.arange(questions + 1))
    sums = np.concatenate([np.zeros(1, dtype=np.uint64), np.cumsum(hashes, dtype=np.uint64)])  # wraps around, as sums of hashes may
    total = sums[begins[1:]] - sums[begins[:-1]]
    return np.where(total == 0, np.uint64(1), total).view(np.int64)

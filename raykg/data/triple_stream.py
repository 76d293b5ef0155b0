"""A worker's share of every step over a graph's triples, as ids, for loops that learn from bare triples.

    stream = TripleStream(graph=graph, order=Order(graph.num_triples, batch=8192, seed=0), rank=0, world=2, stop_step=10_000)
    for step in stream:
        learn(torch.from_numpy(step.triples))       # int64 [rows, 3]: head, relation, tail
        texts = verbalise(graph, step.triple_ids)   # or as words (raykg.data.verbalise)
    stream = replace(stream, start_step=step.step + 1)      # all that a resumed run needs to know

The triples lie in memory-mapped arrays on every machine that has the graph, and the numbers of a step's rows are computed: nothing is read,
sent or held but the rows of the next steps. No pipeline is needed, as it is for rows that take work to make (`raykg.data.stream`). The
shares of all workers together are the global batch, exactly, however many they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from raykg.data.order import Order, Rows, dealt

if TYPE_CHECKING:
    from raykg.kg.graph import KnowledgeGraph

_AHEAD = 1 << 17  # rows whose places are computed at once: some 10 MB


@dataclass(frozen=True, slots=True)
class TripleBatch:
    """One worker's share of one global batch.

    Attributes:
        step: the global step.
        triple_ids: ids in the graph, `[rows]`.
        triples: head, relation and tail ids of each, int64 `[rows, 3]`.
    """

    step: int
    triple_ids: Rows
    triples: Rows


@dataclass(frozen=True, kw_only=True)
class TripleStream:
    """The steps [start_step, stop_step) of one worker.

    Attributes:
        graph: what the triples are of.
        order: which rows a step has; of as many rows as there are triples.
        rank: this worker.
        world: number of workers.
        start_step: first step.
        stop_step: one beyond the last step.
        among: ids of the triples that are streamed, such as those kept for training, `[triples]`; None: all of the graph.

    Raises:
        ValueError: the order is of another number of rows, or there is no such worker.
    """

    graph: KnowledgeGraph
    order: Order
    rank: int = 0
    world: int = 1
    start_step: int = 0
    stop_step: int
    among: Rows | None = None

    def __post_init__(self) -> None:
        """Refuse an order over anything else."""
        there = self.graph.num_triples if self.among is None else len(self.among)
        if self.order.rows != there:
            raise ValueError(f"the order is of {self.order.rows:,} rows, but there are {there:,} triples: make it of as many")
        if not 0 <= self.rank < self.world:
            raise ValueError(f"rank ({self.rank}) must be one of 0 to {self.world - 1}")

    def __iter__(self) -> Iterator[TripleBatch]:
        """Yield the steps in order."""
        some = max(1, _AHEAD // self.order.batch)
        for first in range(self.start_step, self.stop_step, some):
            steps = self.order.rows_between(first, min(first + some, self.stop_step))
            for place, rows in enumerate(steps):
                yield self._batch(first + place, rows)

    def step(self, step: int) -> TripleBatch:
        """Return one step, equal to what the stream yields for it; it costs the same whichever it is."""
        return self._batch(step, self.order.row_ids(step))

    def _batch(self, step: int, rows: Rows) -> TripleBatch:
        if self.world > 1:
            rows = rows[dealt(np.ones(len(rows), dtype=np.int64), self.rank, self.world)]
        ids = rows if self.among is None else np.asarray(self.among[rows], dtype=np.int64)
        triples = np.empty((len(ids), 3), dtype=np.int64)
        for place, column in enumerate((self.graph.heads, self.graph.relation_ids, self.graph.tails)):
            triples[:, place] = column[ids]
        return TripleBatch(step, ids, triples)

"""Sampling: draws shapes with the entities that go into them, balanced over relations and directions rather than over edges.

A walk's first step is drawn from all steps of the graph, in proportion to the logarithm of the number of nodes that have it, its start
evenly from these nodes, and each further step evenly from those that a node on the way has. So rare relations are asked about nearly as
often as frequent ones, and hubs are no likelier to be the topic than anyone else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from raykg.data.drawing import Draws
from raykg.data.shapes import (
    AWAY,
    COMPARISON,
    COUNT,
    EXCLUSION,
    FILTER,
    INTERSECTION,
    KIND,
    LITERAL,
    MAX_HOPS,
    OPERATION,
    OPERATIONS,
    OTHER,
    PATH,
    STEPS,
    SUPERLATIVE,
    WIDTH,
    Shapes,
)
from raykg.data.steps import Ints, StepTable
from raykg.kg.logical_form import COMPARISONS


@dataclass(slots=True)
class Sample:
    """Shapes with their entities; arrays of one length.

    Attributes:
        shape: int64 `[questions, WIDTH]`.
        topic, other: nodes in the places `?1` and `?2`, -1 where there is none.
        value: node of the literal that a filter compares with, -1 where there is none.
        good: whether anything could be drawn.
    """

    shape: Ints
    topic: Ints
    other: Ints
    value: Ints
    good: NDArray[np.bool_]


class Sampler:
    """Draws samples from one graph.

    Not supported: operands of intersections and exclusions that are longer than one hop.
    """

    def __init__(
        self,
        table: StepTable,
        kinds: NDArray[np.float64],
        hops: NDArray[np.float64],
        *,
        exclude_topic: bool,
        value_joins: bool = True,
        value_relations: Sequence[int] = (),
    ) -> None:
        """Take the weights of `KINDS` and of one, two and three hops; kinds that need numbers are left out where the graph has none."""
        self.table, self.shapes, self.hops = table, Shapes(table), hops
        self.exclude_topic, self.value_joins = exclude_topic, value_joins
        self.to_value = np.isin(np.arange(table.num_steps), 2 * np.asarray(value_relations, dtype=np.int64))  # [steps]
        self.kinds = kinds.copy()
        if not len(self.shapes.numeric):
            self.kinds[[FILTER, SUPERLATIVE, COMPARISON]] = 0
        if not self.kinds.sum():
            self.kinds[PATH] = 1.0

    def sample(self, draws: Draws, steady: Draws, about: Draws | None = None) -> Sample:
        """Draw one question for each index; the same for an index whatever others are drawn with it.

        Args:
            draws: of this attempt.
            steady: the same in all attempts: decides kind and length, so that the mix holds though some kinds are seldom apt.
            about: the same for questions that walk from one topic; default: each has its own.
        """
        count = len(draws.index)
        shape = np.full((count, WIDTH), -1, dtype=np.int64)
        shape[:, KIND] = steady.among(self.kinds, "kind")
        topic, other, value = np.full((3, count), -1, dtype=np.int64)
        sample = Sample(shape, topic, other, value, np.zeros(count, dtype=np.bool_))
        self._walks(sample, draws, steady, about)
        self._pairs(sample, draws)
        self._comparisons(sample, draws)
        shape[:, AWAY] = self.shapes.may_return(shape[:, STEPS]) & self.exclude_topic & (shape[:, KIND] != COMPARISON)
        return sample

    @cached_property
    def _weights(self) -> NDArray[np.float64]:
        """Weight of each step as the first; float64 `[steps]`."""
        return np.log2(1.0 + np.diff(self.table.by_step[1]))

    def _start(self, draws: Draws, name: str, steps: Ints) -> Ints:
        """Return a group for each step, its node drawn evenly from those that have the step."""
        order, offsets = self.table.by_step
        begin = offsets[steps]
        return np.asarray(order[begin + draws.below(offsets[steps + 1] - begin, name)])

    def _walks(self, sample: Sample, draws: Draws, steady: Draws, about: Draws | None) -> None:
        """Fill in walks of one to three hops, and what a literal does with their answers."""
        kind = sample.shape[:, KIND]
        rows = np.isin(kind, (PATH, COUNT, FILTER, SUPERLATIVE))
        wanted = 1 + steady.among(self.hops, "hops")
        wanted = np.where(kind == PATH, wanted, np.minimum(wanted, 2))
        group = self._start(about or draws, "start", (about or draws).among(self._weights, "first step"))
        topic = self.table.node[group]
        if about is not None:  # the topic is common to several questions, the way from it is each one's own
            group = self._leave(topic, draws, 0)
        steps = np.full((len(kind), MAX_HOPS), -1, dtype=np.int64)
        node, apt = topic, np.ones(len(kind), dtype=np.bool_)
        for hop in range(MAX_HOPS):
            here = hop < wanted
            if hop:
                apt &= self.value_joins | ~here | ~(self.table.graph.is_literal[node] | self.to_value[steps[:, hop - 1]])
                group = self._leave(node, draws, hop)
            steps[here, hop] = self.table.step[group[here]]
            node = np.where(here, self.table.pick(group, draws.unit("neighbour", hop)), node)
        sample.topic[rows] = topic[rows]
        sample.shape[rows, STEPS] = steps[rows]
        sample.good[rows] = apt[rows]
        numbers = np.isin(kind, (FILTER, SUPERLATIVE))
        if numbers.any():
            self._numbers(sample, draws, numbers, node)

    def _leave(self, node: Ints, draws: Draws, turn: int) -> Ints:
        """Return a group of each node, drawn evenly from its steps; every node that was arrived at has at least the way back."""
        begin = self.table.offsets[node]
        return np.asarray(begin + draws.below(self.table.offsets[node + 1] - begin, "step", turn))

    def _numbers(self, sample: Sample, draws: Draws, rows: NDArray[np.bool_], node: Ints) -> None:
        """Choose a numeric relation that an answer has, its value there as a threshold, and what to do with it."""
        relation, found = self._numeric_group(node, draws)
        sample.shape[rows, LITERAL] = relation[rows]
        sample.value[rows] = self.table.pick(np.maximum(found, 0), draws.unit("value"))[rows]
        compared = draws.below(len(COMPARISONS), "operation")
        best = len(COMPARISONS) + draws.below(2, "best")
        superlative = sample.shape[:, KIND] == SUPERLATIVE
        sample.shape[rows, OPERATION] = np.where(superlative, best, compared)[rows]
        sample.value[rows & superlative] = -1
        sample.good[rows] &= (found >= 0)[rows]

    def _numeric_group(self, node: Ints, draws: Draws) -> tuple[Ints, Ints]:
        """Return a numeric relation of each node and its group, -1 where the node has none: the first it has, from a random one on."""
        numeric = self.shapes.numeric
        relation, found = np.zeros(len(node), dtype=np.int64), np.full(len(node), -1, dtype=np.int64)
        first = draws.below(len(numeric), "literal")
        for turn in range(len(numeric)):
            tried = numeric[(first + turn) % len(numeric)]
            group = self.table.find(node, 2 * tried)
            new = (found < 0) & (group >= 0)
            relation[new], found[new] = tried[new], group[new]
        return relation, found

    def _pairs(self, sample: Sample, draws: Draws) -> None:
        """Fill in intersections and exclusions: two different ways to one answer."""
        rows = np.isin(sample.shape[:, KIND], (INTERSECTION, EXCLUSION))
        if not rows.any():
            return
        one = self._start(draws, "answer", draws.among(self._weights, "into"))
        answer = self.table.node[one]
        two = self._leave(answer, draws, 1)
        topic, other = self.table.pick(one, draws.unit("topic")), self.table.pick(two, draws.unit("other"))
        sample.topic[rows], sample.other[rows] = topic[rows], other[rows]
        sample.shape[rows, STEPS.start] = (self.table.step[one] ^ 1)[rows]
        sample.shape[rows, OTHER] = (self.table.step[two] ^ 1)[rows]
        sample.good[rows] = (topic != other)[rows]

    def _comparisons(self, sample: Sample, draws: Draws) -> None:
        """Fill in comparisons: two nodes that have a number by the same relation."""
        rows = sample.shape[:, KIND] == COMPARISON
        if not rows.any():
            return
        numeric = self.shapes.numeric
        relation = numeric[draws.below(len(numeric), "literal")]
        one, two = (self.table.node[self._start(draws, name, 2 * relation)] for name in ("topic", "other"))
        sample.topic[rows], sample.other[rows] = one[rows], two[rows]
        sample.shape[rows, LITERAL] = relation[rows]
        sample.shape[rows, OPERATION] = (OPERATIONS.index("max") + draws.below(2, "best"))[rows]
        sample.good[rows] = (one != two)[rows]

"""Shapes: plans without their entities, as rows of integers that NumPy compares, and as logical forms where words are needed.

A shape row is `[kind, away, step 1, step 2, step 3, other step, literal relation, operation]`, padded with -1. It has one or two entities,
and a filter has a value: `?1`, `?2` in the order of the plan.
"""

from __future__ import annotations

from functools import cached_property
from typing import Literal

import numpy as np

from raykg.data.steps import Ints, StepTable
from raykg.kg.logical_form import (
    COMPARISONS,
    Count,
    Entity,
    Exclusion,
    Filter,
    Hop,
    LogicalForm,
    NodeSet,
    Superlative,
    intersection,
    path,
    union,
)

KINDS = ("path", "intersection", "exclusion", "count", "filter", "superlative", "comparison")
"""Kinds of questions that can be generated; a `path` question's kind is its number of hops ("2-hop")."""
PATH, INTERSECTION, EXCLUSION, COUNT, FILTER, SUPERLATIVE, COMPARISON = range(len(KINDS))
KIND, AWAY, STEPS, OTHER, LITERAL, OPERATION = 0, 1, slice(2, 5), 5, 6, 7
WIDTH = 8
MAX_HOPS = 3
OPERATIONS = (*COMPARISONS, "max", "min")

_RETURNS = (
    1 / 20
)  # share of the smaller of two sets of nodes that must lie in both, for a walk between them to count as one that may return


def shape_kind(row: Ints) -> str:
    """Return a shape's kind as the column `kind` has it."""
    return f"{hops(row)}-hop" if row[KIND] == PATH else KINDS[row[KIND]]


def hops(row: Ints) -> int:
    """Return the number of hops of a shape's longest path."""
    return int(max((row[STEPS] >= 0).sum(), 1 if row[OTHER] >= 0 else 0))


class Shapes:
    """Turns shape rows of one graph into logical forms, and knows which walks may come back."""

    def __init__(self, table: StepTable) -> None:
        """Keep the graph's steps; everything else is found when it is asked for."""
        self.table = table
        self._returns: dict[tuple[int, int], bool] = {}

    def form(self, row: Ints) -> LogicalForm:
        """Return the shape as a plan about the entities `?1` and `?2`; a filter's value is 0."""
        kind, away = int(row[KIND]), bool(row[AWAY])
        first: NodeSet = Entity("?1")
        if kind == COMPARISON:
            return path(union(first, Entity("?2")), self._best(row))
        walked = path(first, *(self.table.hop(int(step)) for step in row[STEPS] if step >= 0), away=away)
        if kind in (INTERSECTION, EXCLUSION):
            other = path(Entity("?2"), self.table.hop(int(row[OTHER])))
            return intersection(walked, other) if kind == INTERSECTION else Exclusion(walked, other)
        if kind == COUNT:
            return Count(walked)
        if kind == FILTER:
            relation = self.table.graph.relation_names[int(row[LITERAL])]
            step = Filter(relation, OPERATIONS[int(row[OPERATION])], 0.0)
            return path(walked, step) if not away else path(first, *_hops(walked), step, away=True)
        if kind == SUPERLATIVE:
            return path(walked, self._best(row)) if not away else path(first, *_hops(walked), self._best(row), away=True)
        return walked

    def _best(self, row: Ints) -> Superlative:
        best: Literal["max", "min"] = "max" if OPERATIONS[int(row[OPERATION])] == "max" else "min"
        return Superlative(self.table.graph.relation_names[int(row[LITERAL])], best)

    def may_return(self, steps: Ints) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Tell for each walk whether it could be back at its source after the second hop or later; bool `[walks]`.

        A walk may return where a fair share of the nodes that it can start from are nodes that it can arrive at: person, film, person, also
        from writer to director; but not where two names happen to be shared.
        """
        found = np.zeros(len(steps), dtype=np.bool_)
        for hop in range(1, steps.shape[1]):
            for first, last in {(int(a), int(b)) for a, b in zip(steps[:, 0], steps[:, hop], strict=True) if b >= 0}:
                if self._returning(first, last):
                    found |= (steps[:, 0] == first) & (steps[:, hop] == last)
        return found

    def _returning(self, first: int, last: int) -> bool:
        if (first, last) not in self._returns:
            begin, end = self.table.sources(first), self.table.sources(last ^ 1)
            shared = len(np.intersect1d(begin, end, assume_unique=True))
            self._returns[first, last] = shared > 0 and shared >= _RETURNS * min(len(begin), len(end))
        return self._returns[first, last]

    @cached_property
    def numeric(self) -> Ints:
        """Relations whose tails are numeric literals, nearly all of the first 1,000 that were looked at; int64, sorted."""
        graph, found = self.table.graph, []
        order, offsets = self.table.by_step
        for relation in range(graph.num_relations):
            groups = order[offsets[2 * relation] : offsets[2 * relation + 1]][:1000]
            _, tails = self.table.expand(groups)
            if len(tails) and np.mean(np.isfinite(graph.values[tails])) >= 0.9:
                found.append(relation)
        return np.array(found, dtype=np.int64)


def _hops(walked: NodeSet) -> tuple[Hop, ...]:
    steps = getattr(walked, "steps", ())
    return tuple(step for step in steps if isinstance(step, Hop))

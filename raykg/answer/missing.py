"""Missing facts: the first step of a plan that gives nothing, named as a pattern with a `?`.

    traced = trace(form, graph, GraphEdges(graph), Meter(Budget()))
    missing_patterns(traced, graph)      # (Missing("Alien", "directed by", "?", head_id=17),)

The plan is followed as the executor follows it. A hop that gives nothing names (node, relation, ?), or (?, relation, node) where it goes
back, one pattern for each node it started from. An intersection or exclusion of sets that each hold something names the last hop of each
set: one of these sets lacks a node. A filter that nothing passes names the nodes that have no value at all; where all have one, it names
the last hop before it, which could lead to more nodes, and nothing where there is none.

`SupposedEdges` adds facts that somebody proposes, so that the rest of the plan can be followed with them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from raykg.answer.question import Missing
from raykg.kg.logical_form import Count, Entity, Exclusion, Hop, Intersection, LogicalForm, Path, Step, children
from raykg.kg.logical_form.evaluate import Edges, GraphEdges, Traced

if TYPE_CHECKING:
    from raykg.kg.graph import KnowledgeGraph

Ids = NDArray[np.int64]


def missing_patterns(traced: Traced, graph: KnowledgeGraph, limit: int = 3) -> tuple[Missing, ...]:
    """Return what a traced plan misses, at most `limit` patterns; nothing where the plan gives something.

    The size of an empty set is an answer, so a count misses nothing.
    """
    if len(traced.nodes) or isinstance(traced.form, Count):
        return ()
    return tuple(islice(dict.fromkeys(_blamed(traced, graph, limit)), limit))


def unknown_patterns(form: LogicalForm, unknown: Sequence[str]) -> tuple[Missing, ...]:
    """Return the first hop from each entity of a plan whose name is no node of the graph."""
    found = [] if isinstance(form, Entity) else [one for part in children(form) for one in unknown_patterns(part, unknown)]
    if isinstance(form, Path) and isinstance(form.source, Entity) and form.source.name in unknown and isinstance(form.steps[0], Hop):
        name, hop = form.source.name, form.steps[0]
        found.append(Missing(name, hop.relation, "?") if hop.forward else Missing("?", hop.relation, name))
    return tuple(dict.fromkeys(found))


def ends_in_the_gap(traced: Traced) -> bool:
    """Tell whether the fact that a plan misses would be its answer: a path of which only the last step, a hop, gives nothing."""
    form = traced.form
    if not isinstance(form, Path) or not isinstance(form.steps[-1], Hop):
        return False
    before = [traced.parts[0].nodes, *(stage.nodes for stage in traced.stages[:-1])]
    return all(len(nodes) for nodes in before) and not len(traced.nodes)


class SupposedEdges:
    """All edges of a graph and those of some facts that are not in it; these have the triple ids after the graph's own."""

    def __init__(self, graph: KnowledgeGraph, facts: Sequence[tuple[int, int, int]]) -> None:
        """Hold facts as (head, relation, tail) ids."""
        self._known = GraphEdges(graph)
        self._facts = np.array(facts, dtype=np.int64).reshape(-1, 3)
        self._ids = len(graph.heads) + np.arange(len(self._facts), dtype=np.int64)

    def degree(self, nodes: Ids, relation: int | None, forward: bool) -> int:
        """Return how many edges `edges` would give, or at most would give for any relation."""
        return self._known.degree(nodes, relation, forward) + len(self._facts)

    def edges(self, nodes: Ids, relation: int, forward: bool) -> Edges:
        """Return the edges of `relation` that leave `nodes`, in that direction, supposed ones last."""
        known = self._known.edges(nodes, relation, forward)
        start, end = self._facts[:, 0 if forward else 2], self._facts[:, 2 if forward else 0]
        chosen = (self._facts[:, 1] == relation) & np.isin(start, nodes)
        return Edges(
            np.concatenate([known.start, start[chosen]]),
            np.concatenate([known.end, end[chosen]]),
            np.concatenate([known.triple, self._ids[chosen]]),
        )


def _blamed(traced: Traced, graph: KnowledgeGraph, limit: int) -> Iterator[Missing]:
    """Yield the patterns of a set that is empty."""
    match traced.form:
        case Path(steps=steps):
            before = traced.parts[0].nodes
            if not len(before):
                yield from _blamed(traced.parts[0], graph, limit)
                return
            for place, (step, stage) in enumerate(zip(steps, traced.stages, strict=True)):
                if not len(stage.nodes):
                    found = list(_patterns(step, before, graph, limit))
                    yield from found or _last_hop(traced, graph, limit, place)
                    return
                before = stage.nodes
        case Exclusion():
            left = traced.parts[0]
            yield from _last_hop(left, graph, limit) if len(left.nodes) else _blamed(left, graph, limit)
        case Intersection():
            empty = [part for part in traced.parts if not len(part.nodes)]
            if empty:
                yield from _blamed(empty[0], graph, limit)
                return
            for part in traced.parts:
                yield from _last_hop(part, graph, limit)
        case _:  # a union: any of its sets would do
            for part in traced.parts:
                yield from _blamed(part, graph, limit)


def _last_hop(traced: Traced, graph: KnowledgeGraph, limit: int, end: int | None = None) -> Iterator[Missing]:
    """Yield the patterns by which a set that holds something could hold more; of a path, those of its last hop before step `end`."""
    form = traced.form
    if not isinstance(form, Path):
        for part in traced.parts[:1] if isinstance(form, Exclusion) else traced.parts:
            yield from _last_hop(part, graph, limit)
        return
    hops = [place for place, step in enumerate(form.steps[:end]) if isinstance(step, Hop)]
    if not hops:
        yield from _last_hop(traced.parts[0], graph, limit)
        return
    before = traced.stages[hops[-1] - 1].nodes if hops[-1] else traced.parts[0].nodes
    yield from _patterns(form.steps[hops[-1]], before, graph, limit)


def _patterns(step: Step, nodes: Ids, graph: KnowledgeGraph, limit: int) -> Iterator[Missing]:
    """Yield one pattern for each of the first nodes that a step starts from."""
    relation = graph.relation(step.relation)
    name = graph.relation_names[relation]
    if not isinstance(step, Hop):
        nodes = nodes[graph.forward.degree(nodes, relation) == 0]
    for node in nodes[:limit].tolist():
        if isinstance(step, Hop) and not step.forward:
            yield Missing("?", name, graph.label(node), tail_id=node)
        else:
            yield Missing(graph.label(node), name, "?", head_id=node)

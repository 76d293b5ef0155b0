"""Evaluates sets over edges: the one meaning of the algebra, shared by the executor, the proofs and their verification.

A set is a sorted array of distinct node ids. Every operation works on whole sets with NumPy, and every triple that is looked at is counted
before it is read, so a plan that would visit too much stops before it fills the memory.

`trace` can keep the edges that an operation used; going back through them from an answer gives the triples that prove it (`witnesses`).
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from raykg.kg import literals
from raykg.kg.logical_form.algebra import (
    Count,
    Date,
    Entity,
    Exclusion,
    Filter,
    Hop,
    Intersection,
    LogicalForm,
    LogicalFormError,
    NodeSet,
    Path,
    Step,
    Superlative,
)

if TYPE_CHECKING:
    from raykg.kg.graph import KnowledgeGraph

Ids = NDArray[np.int64]
_COMPARE: dict[str, Callable[[NDArray[np.float64], float], NDArray[np.bool_]]] = {
    "=": np.equal,
    "!=": np.not_equal,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """What one plan may cost."""

    triples: int = 1_000_000  # visited, that is read from the adjacency; about 30 bytes of memory each
    answers: int = 100_000
    seconds: float = 5.0  # of wall time, looked at between operations


class BudgetExceeded(LogicalFormError):
    """A plan that costs more than its budget; `what` names the part: triples, answers or seconds."""

    def __init__(self, what: str, limit: float, reached: float) -> None:
        self.what, self.limit, self.reached = what, limit, reached
        super().__init__(f"budget.{what} ({limit:g}): the plan needs at least {reached:g}, raise it with Budget({what}=...)")

    def __reduce__(self) -> tuple[type["BudgetExceeded"], tuple[str, float, float]]:
        """Survive the way from a Ray worker to the driver."""
        return type(self), (self.what, self.limit, self.reached)


class UnboundEntity(LogicalFormError):
    """A plan's entity that has no node, or one that the graph lacks."""


@dataclass(slots=True)
class Meter:
    """Counts what a plan costs and stops it at the budget."""

    budget: Budget
    visited: int = 0
    started: float = field(default_factory=time.monotonic)

    @property
    def left(self) -> int:
        """Triples that may still be read."""
        return self.budget.triples - self.visited

    def spare(self, triples: int) -> None:
        """Raise `BudgetExceeded` when so many triples may not be read any more."""
        if triples > self.left:
            raise BudgetExceeded("triples", self.budget.triples, self.visited + triples)

    def visit(self, triples: int) -> None:
        """Count triples that were read and look at the clock; raises `BudgetExceeded` like `spare` and `look_at_clock`."""
        self.spare(triples)
        self.visited += triples
        self.look_at_clock()

    def look_at_clock(self) -> None:
        """Raise `BudgetExceeded` when the time is over."""
        passed = time.monotonic() - self.started
        if passed > self.budget.seconds:
            raise BudgetExceeded("seconds", self.budget.seconds, passed)


@dataclass(frozen=True, slots=True)
class Edges:
    """Edges that a step used: from a node of the set before it, by a triple, to a node; for a filter the end is the literal."""

    start: Ids  # [edges]
    end: Ids  # [edges]
    triple: Ids  # [edges]

    def where(self, mask: NDArray[np.bool_]) -> "Edges":
        """Return the edges where the mask holds."""
        return Edges(self.start[mask], self.end[mask], self.triple[mask])


class EdgeSource(Protocol):
    """Where edges come from: the whole graph, or the few triples of a proof."""

    def degree(self, nodes: Ids, relation: int | None, forward: bool) -> int:
        """Return how many edges `edges` would give, or at most would give for any relation, without reading them."""
        ...

    def edges(self, nodes: Ids, relation: int, forward: bool) -> Edges:
        """Return the edges of `relation` that leave `nodes`, in that direction."""
        ...


class GraphEdges:
    """All edges of a graph."""

    def __init__(self, graph: "KnowledgeGraph") -> None:
        self.graph = graph

    def degree(self, nodes: Ids, relation: int | None, forward: bool) -> int:
        """Return how many edges `edges` would give, or at most would give for any relation, without reading them."""
        side = self.graph.forward if forward else self.graph.backward
        return int(side.degree(nodes, relation).sum())

    def edges(self, nodes: Ids, relation: int, forward: bool) -> Edges:
        """Return the edges of `relation` that leave `nodes`, in that direction."""
        side = self.graph.forward if forward else self.graph.backward
        hop = side.hop(nodes, relation)
        return Edges(nodes[hop.source_index], hop.neighbour.astype(np.int64), hop.triple.astype(np.int64, copy=False))


class ListedEdges:
    """The edges of listed triples only."""

    def __init__(self, graph: "KnowledgeGraph", triples: Ids) -> None:
        self.triples = triples
        self.heads, self.relations, self.tails = (
            column[triples].astype(np.int64) for column in (graph.heads, graph.relation_ids, graph.tails)
        )

    def degree(self, nodes: Ids, relation: int | None, forward: bool) -> int:
        """Return how many edges `edges` would give, or at most would give for any relation."""
        return len(self.triples) if relation is None else len(self.edges(nodes, relation, forward).triple)

    def edges(self, nodes: Ids, relation: int, forward: bool) -> Edges:
        """Return the listed triples of `relation` that leave `nodes`, in that direction."""
        start, end = (self.heads, self.tails) if forward else (self.tails, self.heads)
        return Edges(start, end, self.triples).where((self.relations == relation) & np.isin(start, nodes))


@dataclass(frozen=True, slots=True)
class Stage:
    """What one step of a path did: the set after it, the edges that led there, a superlative's best value."""

    nodes: Ids
    edges: Edges
    best: float | None = None


@dataclass(frozen=True, slots=True)
class Traced:
    """A form with the set that it denotes and how that came about; `parts` are its children's, `stages` a path's steps'."""

    form: LogicalForm
    nodes: Ids
    parts: tuple["Traced", ...] = ()
    stages: tuple[Stage, ...] = ()


def trace(form: LogicalForm, graph: "KnowledgeGraph", edges: EdgeSource, meter: Meter, truth: Traced | None = None) -> Traced:
    """Evaluate a form over edges.

    Args:
        form: a bound form; of a count, the counted set is what is traced.
        graph: whose relations, values and literals are meant.
        edges: all edges of the graph, or some.
        meter: stops at the budget.
        truth: the trace of the same form over all edges. Over some edges, what an exclusion, a superlative or a walk away from a set
            leaves out cannot be seen; with the truth, exactly what is left out in truth is left out here.

    Raises:
        BudgetExceeded: the plan costs more than the budget.
        UnboundEntity: an entity has no node, or none of this graph.
        UnknownRelation: the graph lacks a relation.
    """
    return _Tracer(graph, edges, meter).form(form, truth)


def witnesses(traced: Traced, wanted: Ids) -> Ids:
    """Return triples that lead to the wanted nodes of a traced set, sorted by id: for each node one way, through the lowest triple ids.

    Going back from the end of a path, each node keeps the one edge with the lowest triple id; a union follows the first set that has the
    node; an intersection follows all sets; an exclusion its left side. So there are at most as many triples as wanted nodes times steps.
    """
    found: list[Ids] = []
    _collect(traced, wanted, found)
    return np.unique(np.concatenate(found)) if found else np.zeros(0, np.int64)


def _collect(traced: Traced, wanted: Ids, found: list[Ids]) -> None:
    match traced.form:
        case Entity():
            pass
        case Path():
            for stage, step in zip(reversed(traced.stages), reversed(traced.form.steps), strict=True):
                goal = stage.edges.end if isinstance(step, Hop) else stage.edges.start
                used = np.flatnonzero(np.isin(goal, wanted))
                used = used[np.lexsort((stage.edges.triple[used], goal[used]))]
                used = used[np.unique(goal[used], return_index=True)[1]]
                found.append(stage.edges.triple[used])
                wanted = np.unique(stage.edges.start[used])
            _collect(traced.parts[0], wanted, found)
        case Exclusion() | Count():
            _collect(traced.parts[0], wanted, found)
        case Intersection():
            for part in traced.parts:
                _collect(part, wanted, found)
        case _:
            for part in traced.parts:
                here = np.isin(wanted, part.nodes)
                _collect(part, wanted[here], found)
                wanted = wanted[~here]


class _Tracer:
    def __init__(self, graph: "KnowledgeGraph", edges: EdgeSource, meter: Meter) -> None:
        self.graph = graph
        self.edges = edges
        self.meter = meter

    def form(self, form: LogicalForm, truth: Traced | None) -> Traced:
        match form:
            case Entity():
                return Traced(form, self.entity(form))
            case Path():
                return self.path(form, truth)
            case Exclusion():
                left = self.form(form.left, truth and truth.parts[0])
                if truth:
                    return Traced(form, np.intersect1d(left.nodes, truth.nodes, assume_unique=True), (left,))
                right = self.form(form.right, None)
                return Traced(form, np.setdiff1d(left.nodes, right.nodes, assume_unique=True), (left, right))
            case Count():
                inner = self.form(form.of, truth and truth.parts[0])
                return Traced(form, inner.nodes, (inner,))
            case _:
                parts = tuple(self.form(part, truth and truth.parts[place]) for place, part in enumerate(form.of))
                nodes = parts[0].nodes
                for part in parts[1:]:
                    if isinstance(form, Intersection):
                        nodes = np.intersect1d(nodes, part.nodes, assume_unique=True)
                    else:
                        nodes = np.union1d(nodes, part.nodes)
                return Traced(form, nodes, parts)

    def entity(self, entity: Entity) -> Ids:
        if entity.node is None:
            raise UnboundEntity(f"entity {entity.name!r}: is bound to no node, bind it with bind(form, {{name: node}})")
        if not 0 <= entity.node < self.graph.num_entities:
            raise UnboundEntity(
                f"entity {entity.name!r}: node {entity.node} is none of the {self.graph.num_entities} nodes of version {self.graph.version}"
            )
        return np.array([entity.node], dtype=np.int64)

    def path(self, form: Path, truth: Traced | None) -> Traced:
        source = self.form(form.source, truth and truth.parts[0])
        home = (truth.parts[0] if truth else source).nodes if form.away else None
        nodes, stages = source.nodes, []
        for place, step in enumerate(form.steps):
            stage = self.step(step, nodes, home, truth.stages[place] if truth else None)
            stages.append(stage)
            nodes = stage.nodes
        return Traced(form, nodes, (source,), tuple(stages))

    def step(self, step: Step, nodes: Ids, home: Ids | None, truth: Stage | None) -> Stage:
        forward = step.forward if isinstance(step, Hop) else True
        relation = self.graph.relation(step.relation)
        if self.edges.degree(nodes, None, forward) > self.meter.left:  # cheap and too high: the exact number only where it matters
            self.meter.spare(self.edges.degree(nodes, relation, forward))
        edges = self.edges.edges(nodes, relation, forward)
        self.meter.visit(len(edges.triple))
        if isinstance(step, Hop):
            if home is not None:
                edges = edges.where(edges.end != home[0] if len(home) == 1 else ~np.isin(edges.end, home))
            return Stage(np.unique(edges.end), edges)
        if isinstance(step, Filter):
            edges = edges.where(fits(self.graph, edges.end, step))
            return Stage(np.unique(edges.start), edges)
        return self.superlative(step, nodes, edges, truth)

    def superlative(self, step: Superlative, nodes: Ids, edges: Edges, truth: Stage | None) -> Stage:
        edges = edges.where(has_value(self.graph, edges.end))
        values = self.graph.values[edges.end]
        if truth:
            edges = edges.where(np.isin(edges.start, truth.nodes))
            values, best = self.graph.values[edges.end], truth.best
        else:
            best = None if not len(values) else float(values.max() if step.best == "max" else values.min())
        if best is None:
            return Stage(nodes[:0], edges.where(np.zeros(len(values), np.bool_)))
        edges = edges.where(values == best)
        return Stage(np.unique(edges.start), edges, best)


def has_value(graph: "KnowledgeGraph", nodes: Ids) -> NDArray[np.bool_]:
    """Tell which nodes are literals with a numeric value; `[nodes]`."""
    found: NDArray[np.bool_] = graph.is_literal[nodes] & ~np.isnan(graph.values[nodes])
    return found


def fits(graph: "KnowledgeGraph", nodes: Ids, step: Filter) -> NDArray[np.bool_]:
    """Tell which nodes are literals that a filter accepts; `[nodes]`."""
    if isinstance(step.value, str):
        keys = graph.entities["key"].take(pa.array(nodes))
        same = np.asarray(pc.equal(keys, step.value), dtype=np.bool_)
        found: NDArray[np.bool_] = graph.is_literal[nodes] & (same if step.comparison == "=" else ~same)
        return found
    return has_value(graph, nodes) & _COMPARE[step.comparison](graph.values[nodes], number_of(step.value))


def number_of(value: float | Date) -> float:
    """Return the number that a filter compares with; of a date, the fractional year that a graph stores for it."""
    return float(literals.numbers(pa.array([value.text]), "date")[0]) if isinstance(value, Date) else value


def is_monotone(form: LogicalForm) -> bool:
    """Tell whether more triples can only add answers, so that the triples of a proof suffice to check it.

    Exclusions, superlatives and counts are not monotone; a walk away from a set is not, unless the set is a single entity.
    """
    match form:
        case Entity():
            return True
        case Path():
            left_out = form.away and not isinstance(form.source, Entity)
            return not left_out and not any(isinstance(step, Superlative) for step in form.steps) and is_monotone(form.source)
        case Exclusion() | Count():
            return False
        case _:
            return all(is_monotone(part) for part in form.of)


def prefix(form: Path, steps: int) -> NodeSet:
    """Return a path's first steps as a set of its own."""
    taken = form.steps[:steps]
    if not taken:
        return form.source
    if form.away and any(isinstance(step, Hop) for step in taken):
        return Path(form.source, taken, away=True)
    if isinstance(form.source, Path) and not form.source.away:
        return Path(form.source.source, form.source.steps + taken)
    return Path(form.source, taken)

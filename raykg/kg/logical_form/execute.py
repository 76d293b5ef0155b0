"""Executes plans over a graph, within a budget.

form = bind(parse("Alien > directed by"), {"Alien": graph.node("tt0078748")})
execute(form, graph).answers
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from raykg.kg.logical_form.algebra import Count, LogicalForm
from raykg.kg.logical_form.evaluate import Budget, BudgetExceeded, GraphEdges, Ids, Meter, trace

if TYPE_CHECKING:
    from raykg.kg.graph import KnowledgeGraph


@dataclass(frozen=True, slots=True)
class Result:
    """What a plan gives.

    Attributes:
        answers: node ids in ascending order, each once; empty for a count. Ids are given when a graph is first imported and stay the
            same in its later versions, so the first answer, which Hits@1 looks at, does not depend on how the plan was executed.
        count: what a count counted, None for other plans; 0 is an answer.
        visited: triples that were read.
    """

    answers: Ids  # [answers]
    count: int | None
    visited: int

    @property
    def empty(self) -> bool:
        """Tell whether the plan gave nothing; a count always gives something."""
        return self.count is None and not len(self.answers)


def execute(form: LogicalForm, graph: "KnowledgeGraph", budget: Budget | None = None) -> Result:
    """Return the answers of a plan whose entities are bound.

    Raises:
        BudgetExceeded: the plan visits more triples, has more answers or takes longer than the budget (default: `Budget()`) allows.
        UnboundEntity: an entity has no node, or none of this graph.
        UnknownRelation: the graph lacks a relation.
    """
    meter = Meter(budget or Budget())
    nodes = trace(form, graph, GraphEdges(graph), meter).nodes
    meter.look_at_clock()
    if isinstance(form, Count):
        return Result(nodes[:0], len(nodes), meter.visited)
    if len(nodes) > meter.budget.answers:
        raise BudgetExceeded("answers", meter.budget.answers, len(nodes))
    return Result(nodes, None, meter.visited)

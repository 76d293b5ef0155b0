"""Plans over a graph: a small closed algebra, its text form, an executor with a budget, proofs, and a translation to SPARQL.

Example:
    form = parse("Joel Zwick < directed by > in language", graph)
    bound = bind(form, {"Joel Zwick": graph.node("Joel Zwick")})
    result = execute(bound, graph)
    proof = prove(bound, graph, result)
    verify(proof, graph), to_sparql(bound, graph)
"""

from raykg.kg.logical_form.algebra import (
    COMPARISONS,
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
    Union,
    bind,
    children,
    entities,
    intersection,
    path,
    relations,
    union,
    with_children,
    with_entities,
)
from raykg.kg.logical_form.evaluate import Budget, BudgetExceeded, UnboundEntity, is_monotone
from raykg.kg.logical_form.execute import Result, execute
from raykg.kg.logical_form.lexer import ParseError
from raykg.kg.logical_form.proof import Claim, Proof, ProofError, ProofTriple, RelationTerm, Term, fault, prove, verify
from raykg.kg.logical_form.sparql import to_sparql
from raykg.kg.logical_form.text import parse, slots, template, write

__all__ = [
    "COMPARISONS",
    "Budget",
    "BudgetExceeded",
    "Claim",
    "Count",
    "Date",
    "Entity",
    "Exclusion",
    "Filter",
    "Hop",
    "Intersection",
    "LogicalForm",
    "LogicalFormError",
    "NodeSet",
    "ParseError",
    "Path",
    "Proof",
    "ProofError",
    "ProofTriple",
    "RelationTerm",
    "Result",
    "Step",
    "Superlative",
    "Term",
    "UnboundEntity",
    "Union",
    "bind",
    "children",
    "entities",
    "execute",
    "fault",
    "intersection",
    "is_monotone",
    "parse",
    "path",
    "prove",
    "relations",
    "slots",
    "template",
    "to_sparql",
    "union",
    "verify",
    "with_children",
    "with_entities",
    "write",
]

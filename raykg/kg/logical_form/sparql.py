"""Translates plans to SPARQL 1.1.

In SPARQL a node is `<urn:raykg:node:ID>` and a relation `<urn:raykg:relation:ID>`, both by their ids in one version of the graph. Literals
are nodes like entities, so they can be sources and answers; such a node has the type `<urn:raykg:literal>` and, where it has one, its
number by `<urn:raykg:value>` as an xsd:double. Queries hold ids and numbers only: no name of a user or a language model gets into one.

`raykg.kg.logical_form.oxigraph` loads a graph in this shape and runs the queries.
"""

from typing import TYPE_CHECKING

import numpy as np
import pyarrow.compute as pc

from raykg.kg.logical_form.algebra import Count, Entity, Exclusion, Filter, Hop, Intersection, LogicalForm, NodeSet, Path, Step, Superlative
from raykg.kg.logical_form.evaluate import UnboundEntity, number_of

if TYPE_CHECKING:
    from raykg.kg.graph import KnowledgeGraph

NODE = "urn:raykg:node:"
RELATION = "urn:raykg:relation:"
VALUE = "urn:raykg:value"
LITERAL = "urn:raykg:literal"
TYPE = "http://www.w3.org/1999/02/22-rdf-syntax-ns#type"
DOUBLE = "http://www.w3.org/2001/XMLSchema#double"


def to_sparql(form: LogicalForm, graph: "KnowledgeGraph") -> str:
    """Return the SPARQL query of a bound form: it selects `?answer`, or `?count` for a count.

    Raises:
        UnboundEntity: an entity has no node.
        UnknownRelation: the graph lacks a relation.
    """
    translator = _Translator(graph)
    if isinstance(form, Count):
        return f"SELECT (COUNT(DISTINCT ?answer) AS ?count) WHERE {{ {translator.pattern(form.of, '?answer')} }}"
    return f"SELECT DISTINCT ?answer WHERE {{ {translator.pattern(form, '?answer')} }}"


class _Translator:
    """Writes group graph patterns; each binds the variable it is given, its other variables are used nowhere else."""

    def __init__(self, graph: "KnowledgeGraph") -> None:
        self.graph = graph
        self.used = 0

    def fresh(self) -> str:
        self.used += 1
        return f"?v{self.used}"

    def pattern(self, form: NodeSet, variable: str) -> str:
        match form:
            case Entity():
                return f"VALUES {variable} {{ {_node(form)} }}"
            case Path():
                return self.path(form, len(form.steps), variable)
            case Exclusion():
                return f"{self.group(form.left, variable)} MINUS {self.group(form.right, variable)}"
            case _:
                join = " " if isinstance(form, Intersection) else " UNION "
                return join.join(self.group(part, variable) for part in form.of)

    def group(self, form: NodeSet, variable: str) -> str:
        """Return a set as a subquery, so that each of its nodes comes once however many ways lead there."""
        return f"{{ SELECT DISTINCT {variable} WHERE {{ {self.pattern(form, variable)} }} }}"

    def path(self, form: Path, steps: int, variable: str) -> str:
        """Return the pattern of a path's first steps."""
        if not steps:
            return self.pattern(form.source, variable) if isinstance(form.source, Entity) else self.group(form.source, variable)
        step = form.steps[steps - 1]
        if isinstance(step, Hop):
            before = self.fresh()
            subject, object_ = (before, variable) if step.forward else (variable, before)
            pattern = f"{self.path(form, steps - 1, before)} {subject} {self.relation(step)} {object_} ."
            return f"{pattern} {self.elsewhere(form.source, variable)}" if form.away else pattern
        literal = self.fresh()
        before_and_edge = f"{self.path(form, steps - 1, variable)} {variable} {self.relation(step)} {literal} ."
        if isinstance(step, Filter):
            return f"{before_and_edge} {self.filter(step, literal)}"
        return self.superlative(form, steps, step, before_and_edge, literal)

    def elsewhere(self, source: NodeSet, variable: str) -> str:
        if isinstance(source, Entity):
            return f"FILTER({variable} != {_node(source)})"
        return f"MINUS {self.group(source, variable)}"

    def filter(self, step: Filter, literal: str) -> str:
        if isinstance(step.value, str):
            keys, kinds = self.graph.entities["key"], self.graph.entities["datatype"]
            same = np.flatnonzero(np.asarray(pc.and_(pc.equal(keys, step.value), pc.is_valid(kinds))))
            listed = f"{literal} {'IN' if step.comparison == '=' else 'NOT IN'} ({', '.join(f'<{NODE}{node}>' for node in same)})"
            condition = listed if len(same) else str(step.comparison == "!=").lower()  # Oxigraph drops every row at `NOT IN ()`
            return f"{literal} <{TYPE}> <{LITERAL}> . FILTER({condition})"
        value = self.fresh()
        return f'{literal} <{VALUE}> {value} . FILTER({value} {step.comparison} "{number_of(step.value)!r}"^^<{DOUBLE}>)'

    def superlative(self, form: Path, steps: int, step: Superlative, before_and_edge: str, literal: str) -> str:
        value, best, other, other_literal, other_value = (self.fresh() for _ in range(5))
        candidates = (
            f"{self.path(form, steps - 1, other)} {other} {self.relation(step)} {other_literal} . {other_literal} <{VALUE}> {other_value} ."
        )
        greatest = f"{{ SELECT ({step.best.upper()}({other_value}) AS {best}) WHERE {{ {candidates} }} }}"
        return f"{before_and_edge} {literal} <{VALUE}> {value} . {greatest} FILTER({value} = {best})"

    def relation(self, step: Step) -> str:
        return f"<{RELATION}{self.graph.relation(step.relation)}>"


def _node(entity: Entity) -> str:
    if entity.node is None:
        raise UnboundEntity(f"entity {entity.name!r}: is bound to no node, bind it with bind(form, {{name: node}})")
    return f"<{NODE}{int(entity.node)}>"

"""Plans over a graph: a small closed algebra, its text form and its parser.

Example:
    form = parse("Joel Zwick < directed by > in language")
    write(form), entities(form), template(form)
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
from raykg.kg.logical_form.lexer import ParseError
from raykg.kg.logical_form.text import parse, slots, template, write

__all__ = [
    "COMPARISONS",
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
    "Step",
    "Superlative",
    "Union",
    "bind",
    "children",
    "entities",
    "intersection",
    "parse",
    "path",
    "relations",
    "slots",
    "template",
    "union",
    "with_children",
    "with_entities",
    "write",
]

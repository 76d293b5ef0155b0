"""The algebra of plans: a small closed set of operations on sets of nodes.

A plan (`LogicalForm`) denotes a set of nodes of one graph, or the size of such a set:

    Entity                      the set that holds one node
    Path(source, steps)         start from a set and take steps: `Hop`, `Filter`, `Superlative`
    Path(..., away=True)        the same, but the source's nodes are left out after every hop (the convention of MetaQA)
    Intersection, Union         of two or more sets
    Exclusion(left, right)      what is in `left` and not in `right`
    Count(of)                   how many nodes a set has; only the outermost operation

Forms are frozen and hashable, and each meaning that differs only by brackets has one form: the functions `path`, `intersection` and
`union` flatten what they are given, the classes refuse what is not flat. `raykg.kg.logical_form.text` writes and reads them.

    >>> from raykg.kg.logical_form import Entity, Hop, path, write
    >>> write(path(Entity("Joel Zwick"), Hop("directed by", forward=False), Hop("in language")))
    'Joel Zwick < directed by > in language'
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

from raykg.config.errors import RaykgError

COMPARISONS: tuple[str, ...] = ("=", "!=", "<", "<=", ">", ">=")
MAX_DEPTH = 32  # of nested sets; real plans need 3, and a hostile one must not exhaust the stack
_DATE = re.compile(r"-?[0-9]{4,9}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])")


class LogicalFormError(RaykgError):
    """A plan that cannot be built, read, executed or proved."""


@dataclass(frozen=True, slots=True)
class Entity:
    """The set that holds one node: the one called `name`; `node` is its id once it is bound to a graph.

    Literals are nodes too, so `Entity("1999")` can be a source. The node takes no part in the text form.
    """

    name: str
    node: int | None = None


@dataclass(frozen=True, slots=True)
class Hop:
    """One hop from every node of a set: to the tails of `relation`, or to its heads when not `forward`."""

    relation: str
    forward: bool = True


@dataclass(frozen=True, slots=True)
class Date:
    """A calendar date, `YYYY-MM-DD`, that literals are compared with."""

    text: str

    def __post_init__(self) -> None:
        if not _DATE.fullmatch(self.text):
            raise LogicalFormError(f"date {self.text!r}: expected YYYY-MM-DD")


@dataclass(frozen=True, slots=True)
class Filter:
    """Keep the nodes that have, by `relation`, a literal for which `literal comparison value` holds.

    A number or date is compared with the literals' numeric values; literals without one never fit. A text knows only `=` and `!=` and
    is compared with the literals' text. One fitting literal is enough, also for `!=`; entities in the literal's place never fit.
    """

    relation: str
    comparison: str
    value: float | Date | str

    def __post_init__(self) -> None:
        if self.comparison not in COMPARISONS:
            raise LogicalFormError(f"comparison {self.comparison!r}: expected one of {' '.join(COMPARISONS)}")
        if isinstance(self.value, str):
            if self.comparison not in ("=", "!="):
                raise LogicalFormError(f"comparison {self.comparison!r} with the text {self.value!r}: a text knows only = and !=")
        elif not isinstance(self.value, Date):
            if not math.isfinite(self.value):
                raise LogicalFormError(f"value {self.value!r}: expected a finite number")
            object.__setattr__(self, "value", float(self.value))


@dataclass(frozen=True, slots=True)
class Superlative:
    """Keep the nodes whose numeric literal by `relation` is the greatest (`max`) or the least (`min`); all ties are kept.

    Nodes without a numeric value are left out. Of several values of a node its greatest (`max`) or least (`min`) counts.
    """

    relation: str
    best: Literal["max", "min"]

    def __post_init__(self) -> None:
        if self.best not in ("max", "min"):
            raise LogicalFormError(f"superlative {self.best!r}: expected max or min")


Step: TypeAlias = Hop | Filter | Superlative


@dataclass(frozen=True, slots=True)
class Path:
    """Steps taken from a set. With `away`, the nodes of `source` are left out of the set after every hop.

    Raises:
        LogicalFormError: no step; `away` without a hop; a source that is itself a plain path of which this is the continuation.
    """

    source: "NodeSet"
    steps: tuple[Step, ...]
    away: bool = False
    depth: int = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        if not self.steps:
            raise LogicalFormError("path: expected at least one step")
        if self.away and not any(isinstance(step, Hop) for step in self.steps):
            raise LogicalFormError("path: a walk with ~ needs at least one hop")
        if not self.away and isinstance(self.source, Path) and not self.source.away:
            raise LogicalFormError("path: its source is a plain path; build it with path(), which joins the steps")
        object.__setattr__(self, "depth", _depth((self.source,)))


@dataclass(frozen=True, slots=True)
class _Several:
    """Two or more sets under one associative operation."""

    of: tuple["NodeSet", ...]
    depth: int = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        word = type(self).__name__.lower()
        if len(self.of) < 2:
            raise LogicalFormError(f"{word}: expected at least two sets, found {len(self.of)}")
        if any(type(part) is type(self) for part in self.of):
            raise LogicalFormError(f"{word}: holds another {word}; build it with {word}(), which flattens")
        object.__setattr__(self, "depth", _depth(self.of))


class Intersection(_Several):
    """What is in all of two or more sets."""

    __slots__ = ()


class Union(_Several):
    """What is in any of two or more sets."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Exclusion:
    """What is in `left` and not in `right`."""

    left: "NodeSet"
    right: "NodeSet"
    depth: int = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "depth", _depth((self.left, self.right)))


@dataclass(frozen=True, slots=True)
class Count:
    """How many nodes a set has; 0 is an answer."""

    of: "NodeSet"

    def __post_init__(self) -> None:
        _depth((self.of,))


NodeSet: TypeAlias = Entity | Path | Intersection | Union | Exclusion
LogicalForm: TypeAlias = NodeSet | Count


def path(source: NodeSet, *steps: Step, away: bool = False) -> NodeSet:
    """Return the path from `source`, joined to it when both are plain; without steps the source itself."""
    if not steps and not away:
        return source
    if not away and isinstance(source, Path) and not source.away:
        return Path(source.source, source.steps + steps)
    return Path(source, steps, away)


def intersection(*sets: NodeSet) -> NodeSet:
    """Return the intersection of the sets, flattened; of one set, that set."""
    flat = tuple(part for one in sets for part in (one.of if isinstance(one, Intersection) else (one,)))
    return flat[0] if len(flat) == 1 else Intersection(flat)


def union(*sets: NodeSet) -> NodeSet:
    """Return the union of the sets, flattened; of one set, that set."""
    flat = tuple(part for one in sets for part in (one.of if isinstance(one, Union) else (one,)))
    return flat[0] if len(flat) == 1 else Union(flat)


def children(form: LogicalForm) -> tuple[NodeSet, ...]:
    """Return the sets that a form is directly made of, in text order."""
    match form:
        case Entity():
            return ()
        case Path(source=source):
            return (source,)
        case Exclusion(left=left, right=right):
            return (left, right)
        case Count(of=of):
            return (of,)
        case _:
            return form.of


def with_children(form: LogicalForm, parts: Sequence[NodeSet]) -> LogicalForm:
    """Return the form with `parts` in the place of `children(form)`, flattened where that joins operations."""
    match form:
        case Entity():
            return form
        case Path():
            return path(parts[0], *form.steps, away=form.away)
        case Exclusion():
            return Exclusion(parts[0], parts[1])
        case Count():
            return Count(parts[0])
        case Intersection():
            return intersection(*parts)
        case _:
            return union(*parts)


def entities(form: LogicalForm) -> list[Entity]:
    """Return the entities of a form in text order; one that stands twice is listed twice."""
    if isinstance(form, Entity):
        return [form]
    return [entity for part in children(form) for entity in entities(part)]


def relations(form: LogicalForm) -> list[str]:
    """Return the relations of a form's steps, sources before the steps that leave them."""
    inner = [relation for part in children(form) for relation in relations(part)]
    return inner + [step.relation for step in form.steps] if isinstance(form, Path) else inner


def bind(form: LogicalForm, mapping: Mapping[str, int]) -> LogicalForm:
    """Return the form with the node id of every name in `mapping`; other entities stay as they are."""
    if isinstance(form, Entity):
        return replace(form, node=int(mapping[form.name])) if form.name in mapping else form
    return with_children(form, [_as_set(bind(part, mapping)) for part in children(form)])


def with_entities(form: LogicalForm, fillers: Sequence[Entity]) -> LogicalForm:
    """Return the form with its entities replaced, in text order, by `fillers`.

    Raises:
        LogicalFormError: the number of fillers differs from the number of entities.
    """
    places = len(entities(form))
    if len(fillers) != places:
        raise LogicalFormError(f"entities: the plan has {places} places, {len(fillers)} fillers were given")
    rest = iter(fillers)

    def fill(part: LogicalForm) -> LogicalForm:
        if isinstance(part, Entity):
            return next(rest)
        return with_children(part, [_as_set(fill(child)) for child in children(part)])

    return fill(form)


def _as_set(form: LogicalForm) -> NodeSet:
    if isinstance(form, Count):
        raise LogicalFormError("count: may only be the outermost operation")
    return form


def _depth(parts: Sequence[NodeSet]) -> int:
    for part in parts:
        if isinstance(part, Count):
            raise LogicalFormError("count: may only be the outermost operation")
    depth = 1 + max(0 if isinstance(part, Entity) else part.depth for part in parts)
    if depth > MAX_DEPTH:
        raise LogicalFormError(f"plan: sets nested deeper than {MAX_DEPTH}")
    return depth

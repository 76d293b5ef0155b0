"""The text form of plans: what a language model writes, and the one strict parser that reads it.

    Joel Zwick < directed by > in language            a path: ` > relation` goes to the tails, ` < relation` to the heads
    ~Woody Allen < directed by > starred actors       a walk that never comes back: the source is left out after every hop
    A < starred actors & B < directed by              intersection; `|` is union; ` - ` is exclusion, left minus right
    (A < starred actors | A < directed by) - B < written by      different operations need parentheses, and so does a second ` - `
    (Alien | Heat) [max runtime]                      a set in parentheses may be a path's source; [max ...], [min ...]: superlatives
    Tom Hanks < starred actors [release year >= 1990] a filter by a literal: = != < <= > >=
    count(Tom Hanks < starred actors)                 count, around the whole plan

Bare names and operators with spaces around them are what SmolLM2's tokenizer spends the fewest tokens on. A name that would be read
differently (see `raykg.kg.logical_form.lexer.fault`) stands in double quotes: `"AC - DC"`; so do a relation that begins with `max ` or
`min ` in a filter, and a text that looks like a number or a date in a filter (`[title = "1984"]`).

Each form has one canonical text: `parse(write(form)) == form`, and `write(parse(text)) == text` for every text that `write` made. The
parser also takes needless parentheses, quotes and zeros, and drops them. It takes no other spacing.
"""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, TypeVar

from raykg.kg.errors import UnknownRelation
from raykg.kg.logical_form.algebra import (
    MAX_DEPTH,
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
    intersection,
    path,
    union,
)
from raykg.kg.logical_form.lexer import COUNT, Kind, ParseError, Token, fault, quote, tokens

if TYPE_CHECKING:
    from raykg.kg.graph import KnowledgeGraph

_T = TypeVar("_T")
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_DATE = re.compile(r"-?[0-9]{4,9}-[0-9]{2}-[0-9]{2}")


def write(form: LogicalForm) -> str:
    """Return the canonical text of a form."""
    return _write(form, lambda entity: _name(entity.name), _value)


def template(form: LogicalForm) -> str:
    """Return the text of a form with slots `?1`, `?2`, ... for its entities and the values of its filters.

    Plans of one shape share a template; the same entity or value has the same slot. `slots` says what stands in them.
    """
    numbers: dict[str, int] = {}

    def slot(text: str) -> str:
        return f"?{numbers.setdefault(text, len(numbers) + 1)}"

    return _write(form, lambda entity: slot(_name(entity.name)), lambda value: slot(_value(value)))


def slots(form: LogicalForm) -> list[str]:
    """Return what stands in the slots of `template(form)`, in their order, each as the plan writes it."""
    found: dict[str, None] = {}

    def keep(text: str) -> str:
        found.setdefault(text)
        return text

    _write(form, lambda entity: keep(_name(entity.name)), lambda value: keep(_value(value)))
    return list(found)


def parse(text: str, graph: "KnowledgeGraph | None" = None) -> LogicalForm:
    """Return the form that a text denotes; with a graph, only relations of that graph are read, and a relation's key becomes its name.

    Raises:
        ParseError: the text is no plan, or names a relation that the graph lacks; it says where, and what was expected.
    """
    return _Parser(text, graph).whole()


def number_text(value: float) -> str:
    """Return the shortest text of a finite number: `1990`, `7.5`, `1e+20`."""
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)


def _write(form: LogicalForm, entity: Callable[[Entity], str], value: Callable[[float | Date | str], str]) -> str:
    def operand(part: NodeSet) -> str:
        return whole(part) if isinstance(part, Entity | Path) else f"({whole(part)})"

    def source(part: NodeSet) -> str:
        return whole(part) if isinstance(part, Entity) else f"({whole(part)})"

    def whole(part: LogicalForm) -> str:
        match part:
            case Entity():
                return entity(part)
            case Path():
                return ("~" if part.away else "") + source(part.source) + "".join(_step(step, value) for step in part.steps)
            case Exclusion():
                return f"{operand(part.left)} - {operand(part.right)}"
            case Count():
                return f"{COUNT}{whole(part.of)})"
            case _:
                return (" & " if isinstance(part, Intersection) else " | ").join(operand(one) for one in part.of)

    return whole(form)


def _step(step: Step, value: Callable[[float | Date | str], str]) -> str:
    match step:
        case Hop():
            return (" > " if step.forward else " < ") + _name(step.relation)
        case Superlative():
            return f" [{step.best} {_name(step.relation)}]"
        case Filter():
            clash = f"{step.relation} ".startswith(("max ", "min "))  # would read as a superlative
            return f" [{quote(step.relation) if clash else _name(step.relation)} {step.comparison} {value(step.value)}]"


def _name(name: str) -> str:
    return quote(name) if fault(name) else name


def _value(value: float | Date | str) -> str:
    if isinstance(value, Date):
        return value.text
    if isinstance(value, str):
        return quote(value) if _NUMBER.fullmatch(value) or _DATE.fullmatch(value) else _name(value)
    return number_text(value)


class _Parser:
    """Reads one plan by recursive descent; `algebra.MAX_DEPTH` bounds the recursion."""

    def __init__(self, text: str, graph: "KnowledgeGraph | None") -> None:
        self.text = text
        self.graph = graph
        self.rest = tokens(text)
        self.token = next(self.rest)
        self.open = 0

    def whole(self) -> LogicalForm:
        if self.token.kind is not Kind.COUNT:
            form: LogicalForm = self.set()
        else:
            self.take()
            inner, start = self.set(), self.token.start
            form = self.built(start, lambda: Count(inner))
            self.expect(Kind.CLOSE, "')'")
        self.expect(Kind.END, "the end: every ')' here is already matched")
        return form

    def set(self) -> NodeSet:
        parts = [self.operand()]
        sign = self.token.value
        while self.token.kind is Kind.SETS:
            if self.token.value != sign:
                raise ParseError(self.text, self.token.start, f"' {sign} ': mixing it with ' {self.token.value} ' needs parentheses")
            if sign == "-" and len(parts) == 2:
                raise ParseError(self.text, self.token.start, "parentheses around one of the exclusions")
            self.take()
            parts.append(self.operand())
        if len(parts) == 1:
            return parts[0]
        start = self.token.start
        match sign:
            case "-":
                return self.built(start, lambda: Exclusion(parts[0], parts[1]))
            case "&":
                return self.built(start, lambda: intersection(*parts))
            case _:
                return self.built(start, lambda: union(*parts))

    def operand(self) -> NodeSet:
        start = self.token.start
        away = self.token.kind is Kind.AWAY
        if away:
            self.take()
        source = self.source()
        steps: list[Step] = []
        while self.token.kind in (Kind.OUT, Kind.IN, Kind.BRACKET):
            steps.append(self.step())
        if away and not any(isinstance(step, Hop) for step in steps):
            raise ParseError(self.text, self.token.start, f"a hop: the walk that ~ begins at position {start} has none")
        return self.built(start, lambda: path(source, *steps, away=away))

    def source(self) -> NodeSet:
        if self.token.kind is Kind.NAME:
            return Entity(self.take().value)
        if self.token.kind is not Kind.OPEN:
            raise ParseError(self.text, self.token.start, "an entity or '('")
        self.open += 1
        if self.open > MAX_DEPTH:
            raise ParseError(self.text, self.token.start, f"parentheses nested at most {MAX_DEPTH} deep")
        self.take()
        inner = self.set()
        self.expect(Kind.CLOSE, "')'")
        self.open -= 1
        return inner

    def step(self) -> Step:
        kind = self.take().kind
        if kind is not Kind.BRACKET:
            return Hop(self.relation(), forward=kind is Kind.OUT)
        if self.token.kind is Kind.BEST:
            best: Literal["max", "min"] = "max" if self.take().value == "max" else "min"
            step: Step = Superlative(self.relation(), best)
        else:
            relation = self.relation()
            comparison = self.take().value
            step = self.filter(relation, comparison)
        self.expect(Kind.UNBRACKET, "]")
        return step

    def filter(self, relation: str, comparison: str) -> Filter:
        token = self.take()
        value: float | Date | str = token.value
        if not token.quoted and _NUMBER.fullmatch(token.value):
            value = float(token.value)
        elif not token.quoted and _DATE.fullmatch(token.value):
            value = self.built(token.start, lambda: Date(token.value))
        return self.built(token.start, lambda: Filter(relation, comparison, value))

    def relation(self) -> str:
        token = self.take()
        if self.graph is None:
            return token.value
        try:
            return self.graph.relation_names[self.graph.relation(token.value)]
        except UnknownRelation as error:
            raise ParseError(self.text, token.start, f"a relation of the graph: {error}") from None

    def built(self, position: int, make: Callable[[], _T]) -> _T:
        """Build a part of the form; what the algebra refuses is a mistake at `position`."""
        try:
            return make()
        except LogicalFormError as error:
            raise ParseError(self.text, position, f"another plan: {error}") from None

    def take(self) -> Token:
        token = self.token
        if token.kind is not Kind.END:
            self.token = next(self.rest)
        return token

    def expect(self, kind: Kind, expected: str) -> None:
        if self.token.kind is not kind:
            raise ParseError(self.text, self.token.start, expected)
        self.take()

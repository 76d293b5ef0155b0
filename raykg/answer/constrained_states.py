"""Where in a plan its text may stand: the alternatives that `raykg.answer.constrained_grammar` steps through.

Each alternative knows four things: `step`, the alternatives after one more character; `closing`, a short text that completes the plan;
`accepts`, whether it is one already; and `letters`, which characters beyond ASCII may come, None where any may.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum, auto
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

from raykg.kg.logical_form.algebra import MAX_DEPTH
from raykg.kg.logical_form.lexer import COUNT, OPERATORS

if TYPE_CHECKING:
    from raykg.answer.constrained_grammar import PlanGrammar
    from raykg.answer.constrained_names import NameList, Place

NESTED = (MAX_DEPTH - 2) // 2 - 1  # each level of parentheses adds at most a path and an operation; so does the level without any
NAME_NESTED = 8

_LONGEST_NUMBER = 40  # the longest text of a float has 24 characters
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_NUMBER_BEGUN = re.compile(r"-?([0-9]+(\.[0-9]*)?([eE][+-]?[0-9]{0,3})?)?")
_DATE = re.compile(r"(-?[0-9]{4,9})(-[0-9-]*)")
_DAYS = tuple(f"-{month:02}-{day:02}" for month in range(1, 13) for day in range(1, 32))
_NUMERIC = frozenset("-+.0123456789eE")
_NOT_BARE = re.compile(r'["\[\]\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]')
_NOT_QUOTED = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_SIGN_PARTS = frozenset(sign[:end] for sign in OPERATORS for end in range(1, len(sign) + 1))
_COUNT_WORD = COUNT.removesuffix("(")


class Then(Enum):
    """What may follow."""

    START = auto()  # the plan begins: count(
    AFTER = auto()  # after a set or step: an operator, [ or )
    INSIDE = auto()  # after [: max or min
    COMPARE = auto()  # after the relation of a filter
    UNBRACKET = auto()  # ]
    END = auto()  # after count(...): nothing


@dataclass(frozen=True, slots=True)
class Frame:
    """One level of a plan: the whole, what stands in `count(...)`, or what stands in parentheses."""

    outer: Frame | None = None
    count: bool = False
    depth: int = 0  # parentheses around it
    sign: str = ""  # the operation of this level, once it has one
    full: bool = False  # an exclusion has its right side
    away: bool = False  # a ~ still waits for its hop
    asks: bool = True  # a relation was read, or none is needed


State: TypeAlias = "tuple[Alternative, ...]"


@dataclass(frozen=True, slots=True)
class Begin:
    """A set begins: a name, `~` or `(`; at the beginning of the text also a space and `count(`."""

    frame: Frame
    first: bool = False
    spaced: bool = False
    walk: bool = False  # ~ was read

    def step(self, grammar: PlanGrammar, character: str) -> State:
        """Return the alternatives after one more character."""
        if character == " ":
            return (replace(self, spaced=True),) if self.first and not self.spaced else ()
        if character == "~":
            return (Begin(replace(self.frame, away=True), walk=True),) if not self.walk and grammar.relations.texts else ()
        if character == "(":
            return (Begin(Frame(self.frame, depth=self.frame.depth + 1, asks=self.frame.asks)),) if self.frame.depth < NESTED else ()
        counting = Keyword(Then.START, self.frame).step(grammar, character) if self.first else ()
        return counting + grammar.entity(self.frame, character)

    def closing(self, grammar: PlanGrammar) -> str:
        """Return a short text that completes the plan."""
        return grammar.shortest_name + grammar.closed(Then.AFTER, self.frame)

    def accepts(self) -> bool:
        """Tell whether the text so far is a plan."""
        return False

    def letters(self, grammar: PlanGrammar) -> Iterable[str] | None:
        """Return the characters beyond ASCII that may come, among others; None where any may."""
        return None if grammar.names is None else grammar.names.letters(grammar.names.root)


@dataclass(frozen=True, slots=True)
class Keyword:
    """Something out of a short list comes; `text` of it was read."""

    then: Then
    frame: Frame
    text: str = ""

    def step(self, grammar: PlanGrammar, character: str) -> State:
        """Return the alternatives after one more character."""
        text = self.text + character
        options = grammar.options(self.then, self.frame)
        if text in options:
            return options[text]
        return (replace(self, text=text),) if any(option.startswith(text) for option in options) else ()

    def closing(self, grammar: PlanGrammar) -> str:
        """Return a short text that completes the plan."""
        if not self.text:
            return grammar.closed(self.then, self.frame)
        options = grammar.options(self.then, self.frame).items()
        ways = (word.removeprefix(self.text) + grammar.closing(state) for word, state in options if word.startswith(self.text))
        return min(ways, key=len)

    def accepts(self) -> bool:
        """Tell whether the text so far is a plan."""
        return not self.text and (self.then is Then.END or (self.then is Then.AFTER and _whole(self.frame)))

    def letters(self, grammar: PlanGrammar) -> Iterable[str] | None:
        """Return the characters beyond ASCII that may come, among others; None where any may."""
        return ()


@dataclass(frozen=True, slots=True)
class Bare:
    """A free name without quotes, or the value of a filter with `=` or `!=`."""

    then: Then
    frame: Frame
    depth: int = 0  # open parentheses within the name
    word: str | None = ""  # the word so far, while it may become an operator
    solid: bool = False  # the last character is no space
    head: int = 0  # letters of "count" that the name consists of; -1 once it is something else; 0 before the first letter
    value: str | None = None  # the value so far, while it may become a number or a date

    def step(self, grammar: PlanGrammar, character: str) -> State:
        """Return the alternatives after one more character."""
        ended = Keyword(self.then, self.frame).step(grammar, character) if self.ends() else ()
        further = self.further(character)
        return ended if further is None else (further, *ended)

    def further(self, character: str) -> Bare | None:
        """Return the name with one more character, None where it cannot have it."""
        begins = self.head == 0
        if _NOT_BARE.match(character) or (begins and (character in "~(" or character.isspace())):
            return None
        depth, word = self.depth, None
        if character == " ":
            if self.word in OPERATORS:
                return None  # read as an operator, or as a mistake
            word = ""
        elif character == "(":
            if self.head == len(_COUNT_WORD) or depth == NAME_NESTED:
                return None
            depth += 1
        elif character == ")":
            if not depth:
                return None
            depth -= 1
        elif self.word is not None and self.word + character in _SIGN_PARTS:
            word = self.word + character
        head = self.head + 1 if 0 <= self.head < len(_COUNT_WORD) and character == _COUNT_WORD[self.head] else -1
        value = None if self.value is None or character not in _NUMERIC else self.value + character
        if value is not None and len(value) > _LONGEST_NUMBER:
            return None
        return Bare(self.then, self.frame, depth, word, not character.isspace(), head, value)

    def ends(self) -> bool:
        """Tell whether the name may end here."""
        return self.solid and not self.depth and self.word not in OPERATORS and (self.value is None or _is_value(self.value))

    def closing(self, grammar: PlanGrammar) -> str:
        """Return a short text that completes the plan."""
        if self.ends():
            return grammar.closed(self.then, self.frame)
        return (")" * self.depth or "a") + grammar.closed(self.then, self.frame)

    def accepts(self) -> bool:
        """Tell whether the text so far is a plan."""
        return self.then is Then.AFTER and _whole(self.frame) and self.ends()

    def letters(self, grammar: PlanGrammar) -> Iterable[str] | None:
        """Return the characters beyond ASCII that may come, among others; None where any may."""
        return None


@dataclass(frozen=True, slots=True)
class Quoted:
    """A free name in quotes, after the first one."""

    then: Then
    frame: Frame
    escape: str = ""  # what was read of an escape

    def step(self, grammar: PlanGrammar, character: str) -> State:
        """Return the alternatives after one more character."""
        if not self.escape:
            if character == '"':
                return (Keyword(self.then, self.frame),)
            if character == "\\":
                return (replace(self, escape="\\"),)
            return () if _NOT_QUOTED.match(character) else (self,)
        if self.escape == "\\":
            if character == "u":
                return (replace(self, escape="\\u"),)
            return (replace(self, escape=""),) if character in '"\\nrt' else ()
        if character not in "0123456789abcdefABCDEF" or (self.escape in ("\\ud", "\\uD") and character not in "01234567"):
            return ()  # half of a surrogate pair is no text
        return (replace(self, escape="" if len(self.escape) == 5 else self.escape + character),)

    def closing(self, grammar: PlanGrammar) -> str:
        """Return a short text that completes the plan."""
        rest = {"": "", "\\": "n"}.get(self.escape, "1" * (6 - len(self.escape)))
        return rest + '"' + grammar.closed(self.then, self.frame)

    def accepts(self) -> bool:
        """Tell whether the text so far is a plan."""
        return False

    def letters(self, grammar: PlanGrammar) -> Iterable[str] | None:
        """Return the characters beyond ASCII that may come, among others; None where any may."""
        return () if self.escape else None


@dataclass(frozen=True, slots=True)
class Listed:
    """A name out of a list, as it is written: bare, or with its quotes."""

    then: Then
    frame: Frame
    names: NameList
    place: Place

    def step(self, grammar: PlanGrammar, character: str) -> State:
        """Return the alternatives after one more character."""
        ended = Keyword(self.then, self.frame).step(grammar, character) if self.names.ends(self.place) else ()
        place = self.names.child(self.place, character)
        return ended if place is None else (replace(self, place=place), *ended)

    def closing(self, grammar: PlanGrammar) -> str:
        """Return a short text that completes the plan."""
        return self.names.rest(self.place) + grammar.closed(self.then, self.frame)

    def accepts(self) -> bool:
        """Tell whether the text so far is a plan."""
        return self.then is Then.AFTER and _whole(self.frame) and self.names.ends(self.place)

    def letters(self, grammar: PlanGrammar) -> Iterable[str] | None:
        """Return the characters beyond ASCII that may come, among others; None where any may."""
        return self.names.letters(self.place)


@dataclass(frozen=True, slots=True)
class Number:
    """The number or date of a filter with `<`, `<=`, `>` or `>=`."""

    frame: Frame
    text: str = ""

    def step(self, grammar: PlanGrammar, character: str) -> State:
        """Return the alternatives after one more character."""
        if character == "]":
            return (Keyword(Then.AFTER, self.frame),) if _number_rest(self.text) == "" else ()
        text = self.text + character
        return () if _number_rest(text) is None else (Number(self.frame, text),)

    def closing(self, grammar: PlanGrammar) -> str:
        """Return a short text that completes the plan."""
        return (_number_rest(self.text) or "") + grammar.closed(Then.UNBRACKET, self.frame)

    def accepts(self) -> bool:
        """Tell whether the text so far is a plan."""
        return False

    def letters(self, grammar: PlanGrammar) -> Iterable[str] | None:
        """Return the characters beyond ASCII that may come, among others; None where any may."""
        return ()


@dataclass(frozen=True, slots=True)
class Value:
    """The value of a filter with `=` or `!=` begins."""

    frame: Frame

    def step(self, grammar: PlanGrammar, character: str) -> State:
        """Return the alternatives after one more character."""
        return free(Then.UNBRACKET, self.frame, character, value="")

    def closing(self, grammar: PlanGrammar) -> str:
        """Return a short text that completes the plan."""
        return "0" + grammar.closed(Then.UNBRACKET, self.frame)

    def accepts(self) -> bool:
        """Tell whether the text so far is a plan."""
        return False

    def letters(self, grammar: PlanGrammar) -> Iterable[str] | None:
        """Return the characters beyond ASCII that may come, among others; None where any may."""
        return None


Alternative: TypeAlias = Begin | Keyword | Bare | Quoted | Listed | Number | Value


def free(then: Then, frame: Frame, character: str, value: str | None = None) -> State:
    """Return the state after the first character of a name that may be anything."""
    if character == '"':
        return (Quoted(then, frame),)
    begun = Bare(then, frame, value=value).further(character)
    return () if begun is None else (begun,)


def _whole(frame: Frame) -> bool:
    """Tell whether a plan may end at a level."""
    return frame.outer is None and not frame.away and frame.asks


def _is_value(text: str) -> bool:
    """Tell whether a bare text may be the value of a filter: not a number beyond all bounds, and no date that does not exist."""
    if _NUMBER.fullmatch(text):
        return math.isfinite(float(text))
    date = _DATE.fullmatch(text)
    return date is None or not re.fullmatch(r"-[0-9]{2}-[0-9]{2}", date.group(2)) or date.group(2) in _DAYS


@lru_cache(maxsize=4096)
def _number_rest(text: str) -> str | None:
    """Return a shortest text that makes a number or date of the text, None where nothing does."""
    if len(text) <= _LONGEST_NUMBER and _NUMBER_BEGUN.fullmatch(text):
        return next((rest for rest in ("", "0") if _NUMBER.fullmatch(text + rest) and math.isfinite(float(text + rest))), None)
    date = _DATE.fullmatch(text)
    return None if date is None else next((day[len(date.group(2)) :] for day in _DAYS if day.startswith(date.group(2))), None)

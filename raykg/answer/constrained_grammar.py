"""The grammar of plans, read one character at a time: what a constraint needs to know of a plan that is still being written.

    grammar = PlanGrammar.of(graph)
    state = grammar.start
    for character in "Alien > directed by":
        state = grammar.step(state, character)     # () where no plan goes on like this
    grammar.accepts(state), grammar.closing(state)  # True, "": what would complete it

Every text that is accepted is read by `raykg.kg.logical_form.parse` with the same graph (relations by name or by key), and no state is a
dead end. The other way round a few oddities that `write` never makes are left out: escapes for what needs none, raw control characters in
quotes, parentheses nested deeper than `NESTED` (or `NAME_NESTED` within a name), numbers of more than 40 characters.

A state is a tuple of alternatives, nearly always one and at most a few: after `Alien -` the name may go on (`Alien -x`) or an exclusion may
begin. Where the lexer is deterministic the alternatives never contradict it, since a bare name holds no operator as a word of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from raykg.answer.constrained_names import NameList, lower
from raykg.answer.constrained_states import Begin, Frame, Keyword, Listed, Number, State, Then, Value, free
from raykg.kg.logical_form.algebra import COMPARISONS
from raykg.kg.logical_form.lexer import COUNT, fault, quote

if TYPE_CHECKING:
    from raykg.kg.graph import KnowledgeGraph


class PlanGrammar:
    """Plans over some relations, with free names or names out of a list.

    Attributes:
        relations: relations as a hop may write them.
        filtered: relations as a filter may write them.
        names: what entities may be called; None: anything.
        asking: whether a plan needs a relation: one without asks nothing.
        start: the state before the first character.
    """

    def __init__(self, relations: NameList, filtered: NameList, names: NameList | None = None, asking: bool = False) -> None:
        """Hold the lists; `of` makes them."""
        self.relations, self.filtered, self.names, self.asking = relations, filtered, names, asking
        self.start: State = (Begin(Frame(asks=not asking or not relations.texts), first=True),)
        self.shortest_name = "a" if names is None else names.rest(names.root)
        self._options: dict[tuple[Then, Frame], dict[str, State]] = {}

    @classmethod
    def of(cls, graph: KnowledgeGraph, asking: bool = False) -> PlanGrammar:
        """Return the grammar of the plans that `parse` reads with a graph; `asking`: without those that name no relation."""
        found = dict.fromkeys([*graph.relation_names, *graph.relations["key"].to_pylist()])
        bare = [name for name in found if fault(name) is None]
        quoted = [quote(name) for name in found]
        filtered = [name for name in bare if not f"{name} ".startswith(("max ", "min "))]
        return cls(NameList(bare + quoted), NameList(filtered + quoted), asking=asking)

    def copying(self, names: Iterable[str]) -> PlanGrammar:
        """Return the same grammar with entities called by some names only, in upper or lower case; without names the grammar itself."""
        found = list(names)
        bare = [name for name in found if fault(name) is None and fault(lower(name)) is None]
        written = NameList([*bare, *map(quote, found)], any_case=True)
        return PlanGrammar(self.relations, self.filtered, written, self.asking) if found else self

    def only(self, spellable: Callable[[str], bool]) -> PlanGrammar:
        """Return the grammar without the listed names that a tokenizer cannot write."""
        names = None if self.names is None else self.names.only(spellable)
        if names is not None and not names.texts:
            names = None
        return PlanGrammar(self.relations.only(spellable), self.filtered.only(spellable), names, self.asking)

    def step(self, state: State, character: str) -> State:
        """Return the state after one more character; empty where no plan goes on like this."""
        if len(state) == 1:
            return state[0].step(self, character)
        return tuple(dict.fromkeys(after for alternative in state for after in alternative.step(self, character)))

    def accepts(self, state: State) -> bool:
        """Tell whether the text so far is a plan."""
        return any(alternative.accepts() for alternative in state)

    def closing(self, state: State) -> str:
        """Return a short text that completes the plan."""
        return min((alternative.closing(self) for alternative in state), key=len)

    def letters(self, state: State) -> set[str] | None:
        """Return the characters beyond ASCII that may come, among others; None where any may."""
        found: set[str] = set()
        for alternative in state:
            letters = alternative.letters(self)
            if letters is None:
                return None
            found.update(letters)
        return found

    def closed(self, then: Then, frame: Frame) -> str:
        """Return a short text that completes a plan of which nothing but `then` and the levels around it is open."""
        match then:
            case Then.COMPARE:
                return " = 0" + self.closed(Then.UNBRACKET, frame)
            case Then.UNBRACKET:
                return "]" + self.closed(Then.AFTER, frame)
            case Then.INSIDE:
                return f"max {self.relations.rest(self.relations.root)}" + self.closed(Then.UNBRACKET, frame)
            case Then.AFTER:
                last = frame.outer is None or frame.count
                hop = f" > {self.relations.rest(self.relations.root)}" if frame.away or (last and not frame.asks) else ""
                if frame.outer is None:
                    return hop
                outer = replace(frame.outer, asks=bool(hop) or frame.asks)
                return f"{hop})" + self.closed(Then.END if frame.count else Then.AFTER, outer)
            case _:
                return ""

    def entity(self, frame: Frame, character: str) -> State:
        """Return the state after the first character of an entity's name."""
        if self.names is not None:
            return Listed(Then.AFTER, frame, self.names, self.names.root).step(self, character)
        return free(Then.AFTER, frame, character)

    def options(self, then: Then, frame: Frame) -> dict[str, State]:
        """Return the words and signs that may come, and the state after each."""
        key = (then, frame)
        if key not in self._options:
            self._options[key] = self._options_of(then, frame)
        return self._options[key]

    def _options_of(self, then: Then, frame: Frame) -> dict[str, State]:
        match then:
            case Then.START:
                return {COUNT: (Begin(Frame(frame, count=True, asks=frame.asks)),)}
            case Then.INSIDE:
                return {word: (Listed(Then.UNBRACKET, frame, self.relations, self.relations.root),) for word in ("max ", "min ")}
            case Then.COMPARE:
                return {f" {sign} ": (Value(frame) if sign in ("=", "!=") else Number(frame),) for sign in COMPARISONS}
            case Then.UNBRACKET:
                return {"]": (Keyword(Then.AFTER, frame),)}
            case Then.AFTER:
                return self._after(frame)
            case _:
                return {}

    def _after(self, frame: Frame) -> dict[str, State]:
        options: dict[str, State] = {}
        if self.relations.texts:
            hopped, tested = replace(frame, away=False, asks=True), replace(frame, asks=True)
            hop = (Listed(Then.AFTER, hopped, self.relations, self.relations.root),)
            test: State = (Keyword(Then.INSIDE, tested),)
            if self.filtered.texts:
                test = (Listed(Then.COMPARE, tested, self.filtered, self.filtered.root), *test)
            options |= {" > ": hop, " < ": hop, " [": test}
        if frame.away:
            return options
        for sign in "&|-":
            if frame.sign in ("", sign) and not frame.full:
                options[f" {sign} "] = (Begin(replace(frame, sign=sign, full=sign == "-")),)
        if frame.outer is not None and (frame.asks or not frame.count):
            outer = replace(frame.outer, asks=frame.asks)
            options[")"] = (Keyword(Then.END if frame.count else Then.AFTER, outer),)
        return options

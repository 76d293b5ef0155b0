r"""A constraint on tokens: while a model writes, only tokens are allowed after which the text can still become a plan.

    constraint = PlanConstraint(PlanGrammar.of(graph), Vocabulary(tokenizer), ends={tokenizer.eos_token_id}, stop="\n")
    row = constraint.start(max_new_tokens)
    token, row = constraint.best(row, logits, left=max_new_tokens)  # the best token that is allowed, usually the best of all

So a text that is no plan, a relation that the graph lacks and a plan cut in two cannot be written. The end token and tokens with `stop` in
them are allowed where the text is a plan. When few tokens are left, only those stay allowed after which the rest suffices to close what is
open; one is always allowed.

Cheap, because nothing is computed for tokens that nobody wants: a token is checked when it is the best, then the next best, and only if
`GUESSES` of them are not allowed all allowed tokens of the state are collected. States are numbers; what leads from one to another byte by
byte, and a state's allowed tokens, are remembered.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from raykg.answer.question import AnswerError

if TYPE_CHECKING:
    from torch import Tensor

    from raykg.answer.constrained_grammar import PlanGrammar
    from raykg.answer.constrained_states import State
    from raykg.answer.constrained_vocabulary import Vocabulary

GUESSES = 16
TRIES = 512  # allowed tokens that are tried, best first, when few tokens are left
DONE = 0
_NO = -1
_SIGNS = '()[]<>&|-~=!"\\ amxincountu0123456789'


class Row(NamedTuple):
    """How far one text is: a state of its constraint, and the tokens that complete it in time where another way might not."""

    state: int
    closing: tuple[int, ...] | None = None

    @property
    def done(self) -> bool:
        """Whether the text has ended."""
        return self.state == DONE


class PlanConstraint:
    """Which tokens may follow, for one grammar and one tokenizer.

    Abilities: any number of texts at once, each with its own `Row`; greedy choice (`best`) and beams (`several`).
    Not supported: a stop text that a plan could hold; models without an end token.
    """

    def __init__(self, grammar: PlanGrammar, vocabulary: Vocabulary, ends: Iterable[int], stop: str | None = None) -> None:
        """Bind a grammar to the tokens of a model.

        Raises:
            AnswerError: no end token; a stop text that could stand in a plan; or the tokens cannot write the signs of a plan.
        """
        self.grammar = grammar if vocabulary.whole else grammar.only(vocabulary.spells)
        self.vocabulary = vocabulary
        self.ends = tuple(sorted(ends))
        if not self.ends:
            raise AnswerError("model: it has no end-of-sequence token, which ends a plan: set one in generation_config.json")
        if stop is not None and (not stop or stop[0] >= " "):
            raise AnswerError(f"stop ({stop!r}) could stand within a plan: it must begin with a control character such as a line break")
        if not vocabulary.spells(_SIGNS):
            raise AnswerError("tokenizer: no tokens write some sign of a plan: set constrained to false")
        self._stop = None if stop is None else stop.encode()
        self._states: list[tuple[State, bytes]] = [((), b"")]  # what was read, and bytes of an unfinished character; the first is `DONE`
        self._numbers: dict[tuple[State, bytes], int] = {self._states[0]: DONE}
        self._steps: dict[tuple[int, int], int] = {}  # (state, byte) -> state or `_NO`
        self._after: dict[tuple[int, int], int] = {}  # (state, token) -> state or `_NO`
        self._closings: dict[int, tuple[int, ...] | None] = {}
        self._allowed: dict[int, list[int]] = {}
        self._first = self._number(self.grammar.start, b"")

    @property
    def remembered(self) -> int:
        """How many steps are remembered: a measure of the memory taken."""
        return len(self._steps) + len(self._after) + sum(map(len, self._allowed.values()))

    def start(self, limit: int) -> Row:
        """Return the row of an empty text that may get `limit` tokens.

        Raises:
            AnswerError: no plan is so short.
        """
        shortest = self._closing(self._first)
        if shortest is None or len(shortest) > limit:
            needed = "more" if shortest is None else len(shortest)
            raise AnswerError(f"max_new_tokens ({limit}) is too few for a plan: the shortest one takes {needed}")
        return Row(self._first)

    def follow(self, row: Row, token: int, left: int) -> Row | None:
        """Return the row after one more token, None where it is not allowed.

        Args:
            row: the text so far.
            token: what is asked about.
            left: how many tokens the text may still get, this one among them.
        """
        after = self._advance(row.state, token)
        if after == _NO:
            return None
        closing = () if after == DONE else self._closing(after)
        if closing is not None and len(closing) < left:
            return Row(after)
        path = self._path(row)
        return Row(after, path[1:]) if path[:1] == (token,) else None

    def best(self, row: Row, scores: Tensor, left: int) -> tuple[int, Row]:
        """Return the allowed token with the highest score, and the row after it; `scores` has one number per token, `[vocabulary]`."""
        found = next(self._by_score(row, scores, left, GUESSES), None)
        return self._last_resort(row) if found is None else found

    def several(self, row: Row, scores: Tensor, left: int, count: int) -> list[tuple[int, Row]]:
        """Return at most `count` allowed tokens with their rows, by falling score; at least one."""
        found = list(itertools.islice(self._by_score(row, scores, left, count + GUESSES * GUESSES), count))
        return found or [self._last_resort(row)]

    def allowed(self, row: Row, left: int) -> list[int]:
        """Return every token that is allowed, in the order of their numbers."""
        found = (token for token in self._tokens(row.state) if self.follow(row, token, left) is not None)
        return sorted(found)

    def completes(self, tokens: Iterable[int]) -> bool:
        """Tell whether tokens, up to the first end token, write a whole plan."""
        state = self._first
        for token in tokens:
            state = self._advance(state, token)
            if state in (DONE, _NO):
                break
        return state == DONE or (state != _NO and self._accepts(state))

    def _by_score(self, row: Row, scores: Tensor, left: int, guesses: int) -> Iterator[tuple[int, Row]]:
        """Yield allowed tokens by falling score: the first guesses out of all tokens, the others out of those that the state allows."""
        given = set()
        guessed = scores.topk(min(guesses, len(scores))).indices.tolist()
        for token in guessed:
            after = self.follow(row, token, left)
            if after is not None:
                given.add(token)
                yield token, after
        candidates = [token for token in self._tokens(row.state) if token not in given and token < len(scores)]
        if candidates:
            order = scores[candidates].topk(min(TRIES, len(candidates))).indices.tolist()
            for place in order:
                after = self.follow(row, candidates[place], left)
                if after is not None:
                    yield candidates[place], after

    def _last_resort(self, row: Row) -> tuple[int, Row]:
        """Return the first token of the way that completes the text in time."""
        path = self._path(row)
        return (path[0], Row(self._advance(row.state, path[0]), path[1:])) if path else (self.ends[0], Row(DONE))

    def _path(self, row: Row) -> tuple[int, ...]:
        return (self._closing(row.state) or ()) if row.closing is None else row.closing

    def _tokens(self, state: int) -> list[int]:
        """Return the tokens that a state allows when there are enough left."""
        if state not in self._allowed:
            found = [] if state == DONE else self.vocabulary.follow(state, self._step)
            found += [token for token in (*self.ends, *self._stops()) if self._advance(state, token) == DONE]
            self._allowed[state] = [token for token in dict.fromkeys(found) if self._advance(state, token) != _NO]
        return self._allowed[state]

    def _stops(self) -> list[int]:
        return [] if self._stop is None else self.vocabulary.holding(self._stop)

    def _advance(self, state: int, token: int) -> int:
        key = (state, token)
        if key not in self._after:
            self._after[key] = self._advance_by_bytes(state, token)
        return self._after[key]

    def _advance_by_bytes(self, state: int, token: int) -> int:
        if token in self.ends:
            return DONE if state == DONE or self._accepts(state) else _NO
        piece = self.vocabulary.pieces[token] if 0 <= token < len(self.vocabulary.pieces) else None
        if not piece or state == DONE:
            return _NO
        before, stop, _ = piece.partition(self._stop) if self._stop is not None else (piece, b"", b"")
        for byte in before:
            after = self._step(state, byte)
            if after is None:
                return _NO
            state = after
        if stop:
            return DONE if self._accepts(state) else _NO
        return _NO if self._closing(state) is None else state

    def _step(self, state: int, byte: int) -> int | None:
        key = (state, byte)
        if key not in self._steps:
            self._steps[key] = self._step_by_character(*self._states[state], byte)
        after = self._steps[key]
        return None if after == _NO else after

    def _step_by_character(self, state: State, pending: bytes, byte: int) -> int:
        pending += bytes([byte])
        if len(pending) < _length(pending[0]):
            possible = any(self.grammar.step(state, character) for character in self._characters(state, pending))
            return self._number(state, pending) if possible else _NO
        try:
            after = self.grammar.step(state, pending.decode())
        except UnicodeDecodeError:
            return _NO
        return self._number(after, b"") if after else _NO

    def _characters(self, state: State, pending: bytes) -> Iterator[str]:
        """Yield characters that begin with some bytes and that may be allowed."""
        letters = self.grammar.letters(state)
        if letters is not None:
            yield from sorted(letter for letter in letters if letter.encode().startswith(pending))
            return
        between = _length(pending[0]) - len(pending) - 1
        for inner in itertools.product((0x80, 0x90, 0xA0, 0xB0), repeat=between):
            for last in range(0x80, 0xC0):
                try:
                    yield (pending + bytes([*inner, last])).decode()
                except UnicodeDecodeError:
                    break  # the bytes before the last one are wrong

    def _accepts(self, state: int) -> bool:
        read, pending = self._states[state]
        return not pending and self.grammar.accepts(read)

    def _closing(self, state: int) -> tuple[int, ...] | None:
        """Return few tokens that complete a plan, None where no tokens do."""
        if state not in self._closings:
            self._closings[state] = self._close(*self._states[state])
        return self._closings[state]

    def _close(self, state: State, pending: bytes) -> tuple[int, ...] | None:
        if not pending:
            return self.vocabulary.spell(self.grammar.closing(state).encode())
        for character in self._characters(state, pending):
            after = self.grammar.step(state, character)
            rest = character.encode()[len(pending) :]
            if after and (found := self.vocabulary.spell(rest + self.grammar.closing(after).encode())) is not None:
                return found
        return None

    def _number(self, state: State, pending: bytes) -> int:
        number = self._numbers.setdefault((state, pending), len(self._states))
        if number == len(self._states):
            self._states.append((state, pending))
        return number


def _length(first: int) -> int:
    """Return how many bytes a character has by its first one; 1 for a byte that begins none."""
    return 1 if first < 0xC2 or first > 0xF4 else 2 if first < 0xE0 else 3 if first < 0xF0 else 4

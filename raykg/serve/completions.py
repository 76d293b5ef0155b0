"""Plain text generation, told as it is written: what `/v1/completions` streams.

    writing = Writing(tokenizer, ends, tokens, WritingSettings(max_tokens=16), tell=queue.put)
    decoder.add(writing.lines)
    ...                            # pieces of text that is certain: no half characters, nothing that may yet turn out to begin a stop

The model alone writes here, without the graph; answers come from strategies. Greedy by default, or sampled with temperature, top-p and a
seed; the same seed and replica settings give the same text. The texts are lines of the replica's one batch (`raykg.answer.decoding`), so
that they and the answers of strategies are written side by side.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from raykg.answer.decoding import Line

if TYPE_CHECKING:
    from torch import Tensor

_MOST_TEXTS = 1 << 10  # of one prompt: each has a seed of its own


@dataclass(frozen=True, kw_only=True, slots=True)
class WritingSettings:
    """How to continue a prompt; `logprobs` is how many alternatives are told for each token, None for no probabilities."""

    max_tokens: int = 16
    n: int = 1
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    logprobs: int | None = None


@dataclass(frozen=True, slots=True)
class Piece:
    """What one row gained.

    Attributes:
        row: which of the `n` texts.
        text: new text that is certain.
        tokens: (text of the token, its log probability, the best alternatives) of what was written, where asked for.
        finish: `stop` or `length` with the last piece of a row.
    """

    row: int
    text: str
    tokens: tuple[tuple[str, float, dict[str, float]], ...] = ()
    finish: str | None = None


class Writing:
    """One request's texts in the making.

    Abilities: `n` texts of one prompt, which is computed once; stops that span tokens; log probabilities.
    Not supported: log probabilities of the prompt (`echo`); penalties; beams.

    Attributes:
        lines: what a decoder writes; the same for all texts where they are greedy, and so the same.
        written: tokens so far, of all texts.
    """

    def __init__(
        self,
        tokenizer: Any,  # noqa: ANN401
        ends: frozenset[int],
        prompt: Sequence[int],
        settings: WritingSettings,
        tell: Callable[[list[Piece]], None],
    ) -> None:
        """Hold a prompt of at least one token that the model has positions for; `tell` is called with what each step adds."""
        self.settings = settings
        self.written = 0
        self._tell = tell
        seed = secrets.randbits(62) if settings.seed is None else settings.seed
        self._copies = settings.n if settings.temperature == 0.0 else 1
        rows = range(settings.n if self._copies == 1 else 1)
        self.lines = [_WritingLine(self, tokenizer, ends, prompt, row, seed) for row in rows]

    def wrote(self, piece: Piece) -> None:
        """Tell a piece, of each of the texts that are the same."""
        self.written += self._copies
        self._tell([Piece(piece.row + copy, piece.text, piece.tokens, piece.finish) for copy in range(self._copies)])


class _WritingLine(Line):
    """One text of a request."""

    def __init__(self, writing: Writing, tokenizer: Any, ends: frozenset[int], prompt: Sequence[int], row: int, seed: int) -> None:  # noqa: ANN401
        super().__init__(prompt)
        self.row = row
        self.settings = writing.settings
        self._writing = writing
        self._tokenizer = tokenizer
        self._ends = ends
        self._seed = (seed * _MOST_TEXTS + row) % 2**63
        self._random: Any = None
        self._told: list[tuple[str, float, dict[str, float]]] = []
        self._sent = 0  # characters

    def choose(self, best: int, scores: Tensor) -> int:
        """Return the best token, or draw one."""
        import torch

        token = best
        if self.settings.temperature > 0.0:
            if self._random is None:
                self._random = torch.Generator(scores.device)
                self._random.manual_seed(self._seed)
            token = int(torch.multinomial(self._shares(scores), 1, generator=self._random))
        if self.settings.logprobs is not None and token not in self._ends:
            self._told.append(self._logprobs(torch.log_softmax(scores.float(), -1), token, self.settings.logprobs))
        return token

    def wrote(self, token: int, probability: float) -> bool:
        """Add a token, and tell what has become certain by it."""
        self.tokens.append(token)
        piece = self._advance(token)
        self._writing.wrote(piece)
        return piece.finish is not None

    def _shares(self, scores: Tensor) -> Tensor:
        """Return the probability of each token, `[vocabulary]`."""
        import torch

        shares = torch.softmax(scores.float() / max(self.settings.temperature, 1e-3), -1)
        if self.settings.top_p < 1.0:
            ordered, places = shares.sort(descending=True)
            beyond = ordered.cumsum(-1) - ordered >= self.settings.top_p  # the token that crosses the threshold stays
            shares = shares.scatter(-1, places, ordered.masked_fill(beyond, 0.0))
        return shares

    def _logprobs(self, told: Tensor, token: int, alternatives: int) -> tuple[str, float, dict[str, float]]:
        best = told.topk(alternatives)
        others = {self._text([other]): round(value, 6) for value, other in zip(best.values.tolist(), best.indices.tolist(), strict=True)}
        return self._text([token]), round(float(told[token]), 6), others

    def _advance(self, token: int) -> Piece:
        if token in self._ends:
            return self._piece(self._text(self.tokens[:-1]), "stop")
        text = self._text(self.tokens)
        stops = [place for place in (text.find(stop) for stop in self.settings.stop) if place >= 0]
        if stops:
            return self._piece(text[: min(stops)], "stop")
        if len(self.tokens) >= self.settings.max_tokens:
            return self._piece(text, "length")
        return self._piece(text[: len(text) - self._uncertain(text)], None)

    def _piece(self, text: str, finish: str | None) -> Piece:
        new = text[self._sent :]
        self._sent += len(new)
        told, self._told = tuple(self._told), []
        return Piece(self.row, new, told, finish)

    def _uncertain(self, text: str) -> int:
        """Return how many last characters may still change: half a character, or what begins a stop."""
        half = len(text) - len(text.rstrip("\ufffd"))
        begins = max((length for stop in self.settings.stop for length in range(1, len(stop)) if text.endswith(stop[:length])), default=0)
        return max(half, begins)

    def _text(self, tokens: list[int]) -> str:
        return str(self._tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False))

"""Plain text generation, one token at a time: what `/v1/completions` streams.

    writing = Writing(model, tokenizer, ends, tokens, WritingSettings(max_tokens=16))
    while pieces := writing.step():
        ...                        # text that is certain: no half characters, nothing that may yet turn out to begin a stop

The model alone writes here, without the graph; answers come from strategies. Greedy by default, or sampled with temperature, top-p and a
seed; the same seed and replica settings give the same text. Each step is one pass of the model, so that answers in between do not wait for
a whole text.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


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


@dataclass(slots=True)
class _Row:
    number: int
    tokens: list[int] = field(default_factory=list)
    told: list[tuple[str, float, dict[str, float]]] = field(default_factory=list)
    sent: int = 0  # characters


class Writing:
    """One request's texts in the making.

    Abilities: `n` texts of one prompt over one computed prefix; stops that span tokens; log probabilities.
    Not supported: log probabilities of the prompt (`echo`); penalties; beams.
    """

    def __init__(self, model: Any, tokenizer: Any, ends: frozenset[int], prompt: Sequence[int], settings: WritingSettings) -> None:  # noqa: ANN401
        """Hold a prompt of at least one token that the model has positions for."""
        import torch

        self.settings = settings
        self.written = 0  # tokens
        self._model = model
        self._tokenizer = tokenizer
        self._ends = ends
        self._greedy = settings.temperature == 0.0
        self._rows = [_Row(number) for number in range(1 if self._greedy else settings.n)]
        self._device = next(model.parameters()).device
        self._step = torch.tensor([list(prompt)], device=self._device)  # [rows, tokens]
        self._cache: Any = None
        self._random = torch.Generator(self._device)
        self._random.manual_seed(secrets.randbits(63) if settings.seed is None else settings.seed % 2**63)

    def step(self) -> list[Piece]:
        """Write one more token in each row that is not finished; an empty list when all are."""
        import torch

        if not self._rows:
            return []
        with torch.inference_mode():
            logits = self._logits()  # [rows, vocabulary]
            chosen = self._choose(logits)
            told = None if self.settings.logprobs is None else torch.log_softmax(logits.float(), -1)
        pieces: list[Piece] = []
        keep: list[int] = []
        for place, (row, token) in enumerate(zip(self._rows, chosen.tolist(), strict=True)):
            self.written += self.settings.n if self._greedy else 1
            if told is not None and token not in self._ends:
                row.told.append(self._tell(told[place], token))
            piece = self._advance(row, token)
            pieces.append(piece)
            if piece.finish is None:
                keep.append(place)
        self._keep(keep, chosen)
        copies = range(1, self.settings.n if self._greedy else 1)
        pieces += [Piece(copy, piece.text, piece.tokens, piece.finish) for copy in copies for piece in pieces[:1]]
        return pieces

    def _logits(self) -> Tensor:
        from transformers import DynamicCache

        first = self._cache is None
        if first:
            self._cache = DynamicCache(config=self._model.config)
        output = self._model(input_ids=self._step, past_key_values=self._cache, use_cache=True, logits_to_keep=1)
        logits: Tensor = output.logits[:, -1]
        if first and len(self._rows) > 1:
            self._cache.batch_repeat_interleave(len(self._rows))
            logits = logits.expand(len(self._rows), -1)
        return logits

    def _choose(self, logits: Tensor) -> Tensor:
        import torch

        if self._greedy:
            return logits.argmax(-1)
        shares = torch.softmax(logits.float() / max(self.settings.temperature, 1e-3), -1)
        if self.settings.top_p < 1.0:
            ordered, places = shares.sort(-1, descending=True)
            beyond = ordered.cumsum(-1) - ordered >= self.settings.top_p  # the token that crosses the threshold stays
            shares = shares.scatter(-1, places, ordered.masked_fill(beyond, 0.0))
        return torch.multinomial(shares, 1, generator=self._random)[:, 0]

    def _tell(self, told: Tensor, token: int) -> tuple[str, float, dict[str, float]]:
        best = told.topk(self.settings.logprobs or 0)
        alternatives = {
            self._text([other]): round(value, 6) for value, other in zip(best.values.tolist(), best.indices.tolist(), strict=True)
        }
        return self._text([token]), round(float(told[token]), 6), alternatives

    def _advance(self, row: _Row, token: int) -> Piece:
        """Add a token to a row and return what has become certain by it."""
        if token in self._ends:
            return self._piece(row, self._text(row.tokens), "stop")
        row.tokens.append(token)
        text = self._text(row.tokens)
        stops = [place for place in (text.find(stop) for stop in self.settings.stop) if place >= 0]
        if stops:
            return self._piece(row, text[: min(stops)], "stop")
        if len(row.tokens) >= self.settings.max_tokens:
            return self._piece(row, text, "length")
        return self._piece(row, text[: len(text) - self._uncertain(text)], None)

    def _piece(self, row: _Row, text: str, finish: str | None) -> Piece:
        new = text[row.sent :]
        row.sent += len(new)
        tokens, row.told = tuple(row.told), []
        return Piece(row.number, new, tokens, finish)

    def _uncertain(self, text: str) -> int:
        """Return how many last characters may still change: half a character, or what begins a stop."""
        half = len(text) - len(text.rstrip("\ufffd"))
        begins = max((length for stop in self.settings.stop for length in range(1, len(stop)) if text.endswith(stop[:length])), default=0)
        return max(half, begins)

    def _keep(self, keep: list[int], chosen: Tensor) -> None:
        import torch

        if len(keep) < len(self._rows):
            self._rows = [self._rows[place] for place in keep]
            index = torch.tensor(keep, device=self._device, dtype=torch.long)
            chosen = chosen[index]
            if keep:
                self._cache.batch_select_indices(index)
        self._step = chosen[:, None]

    def _text(self, tokens: list[int]) -> str:
        return str(self._tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False))

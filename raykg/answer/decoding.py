"""The decode loop: texts in the making that join and leave a running batch at any step.

    decoder = Decoder(model, capacity=16, pad=0, prefixes=Prefixes(64 << 20))
    decoder.add(lines)
    while decoder.busy:
        for line in decoder.step(): ...          # those that ended

A step is one pass of the model: newcomers read their prompts together, or everybody who is in writes one token more. A batch is never
closed: a text that ends makes room at once, where a batch of transformers' `generate` lasts as long as its slowest row. What a prompt
shares with one that was read before is not computed again (`raykg.answer.prefixes`).

Deterministic but for float rounding: a text does not depend on its neighbours, because padding is masked and positions are counted from a
text's own first token. Rounding can only decide near-ties.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from raykg.answer.prefixes import SHORTEST, Prefixes, shared_by_several

if TYPE_CHECKING:
    from torch import Tensor

_TRIM = 16  # padding that all rows have in common before it is cut off: cutting copies the cache


class Line(ABC):
    """A text in the making; it takes the best token unless it chooses otherwise.

    Attributes:
        prompt: token ids, at least one.
        tokens: token ids that were written.
        adapter: which of the model's adapters writes it; None for the model as it is.
        abandoned: nobody waits for it any more; it leaves at the next step.
    """

    adapter: str | None = None

    def __init__(self, prompt: Sequence[int]) -> None:
        self.prompt = tuple(prompt)
        self.tokens: list[int] = []
        self.abandoned = False

    def choose(self, best: int, scores: Tensor) -> int:
        """Return the next token.

        Args:
            best: the one with the highest score.
            scores: of every token, `[vocabulary]`.
        """
        return best

    @abstractmethod
    def wrote(self, token: int, probability: float) -> bool:
        """Take note of the next token and its probability among all; return whether the text ends with it."""


class Decoder:
    """Runs lines on one causal language model, at most `capacity` at a time.

    Abilities: models with plain growing caches (Llama, Qwen2, GPT-2 ...) let lines join at any step and share prefixes; others, such as
    those with sliding windows, take a new batch when the one before is done. Lines of different adapters run together on a model that
    takes `adapter_names`, one for each row (`raykg.models.adapters`); what is known of prompts is known for each adapter apart.
    Not supported: several threads at once.
    """

    def __init__(
        self,
        model: Any,  # noqa: ANN401  transformers and PEFT share no typed class
        capacity: int,
        prefixes: Prefixes | None = None,
        *,
        keep_prompts: bool = False,
        pad: int = 0,
    ) -> None:
        """Hold a model in evaluation mode.

        Args:
            model: a causal model of transformers.
            capacity: most lines that run together.
            prefixes: where first parts of prompts are kept; without it nothing is.
            keep_prompts: whether whole prompts are kept, for those that come later, or only what prompts read together share.
            pad: any token id.
        """
        self.model = model
        self.capacity = capacity
        self.steps = 0  # passes of the model
        self.read = 0  # prompt tokens that were computed
        self.reused = 0  # prompt tokens that were not, because they had been before
        self._pad = pad
        self._joins = all(kind == "DynamicLayer" for kind in _layer_kinds(model))
        self._prefixes = prefixes if self._joins else None
        self._keep_prompts = keep_prompts
        self._waiting: deque[Line] = deque()
        self._lines: list[Line] = []
        self._rows: _Rows | None = None

    @property
    def busy(self) -> bool:
        """Whether a line runs or waits."""
        return bool(self._lines or self._waiting)

    @property
    def lines(self) -> list[Line]:
        """Every line that runs or waits."""
        return [*self._lines, *self._waiting]

    def add(self, lines: Iterable[Line]) -> None:
        """Let lines join as soon as there is room, in this order."""
        self._waiting.extend(lines)

    def clear(self) -> None:
        """Forget every line."""
        self._waiting.clear()
        self._lines, self._rows = [], None

    def step(self) -> list[Line]:
        """Run the model once; return the lines that ended, the abandoned ones among them."""
        import torch

        gone = self._drop_abandoned()
        with torch.inference_mode():
            newcomers = self._newcomers()
            if newcomers:
                return gone + self._enter(newcomers)
            return gone + (self._write() if self._rows is not None else [])

    def _newcomers(self) -> list[Line]:
        """Return the lines whose turn it is: all that wait where they fit; of a crowd, so many at a time that reading is worth a pass."""
        room = self.capacity - len(self._lines)
        if room < min(len(self._waiting), max(1, self.capacity // 4)) or (self._lines and not self._joins):
            return []
        return [self._waiting.popleft() for _ in range(min(room, len(self._waiting)))]

    def _drop_abandoned(self) -> list[Line]:
        gone = [line for line in self.lines if line.abandoned]
        if gone:
            self._waiting = deque(line for line in self._waiting if not line.abandoned)
            self._leave([place for place, line in enumerate(self._lines) if not line.abandoned])
        return gone

    def _enter(self, lines: Sequence[Line]) -> list[Line]:
        """Read prompts and write the first token of each; those of very different length apart, for padding costs as much as tokens do."""
        if self._prefixes is not None:
            for adapter in dict.fromkeys(line.adapter for line in lines):
                for prefix in shared_by_several([line.prompt for line in lines if line.adapter == adapter]):
                    if self._prefixes.known(prefix, adapter) + SHORTEST <= len(prefix):
                        self._read([prefix], [adapter], keep=True)
        ended: list[Line] = []
        for some in _alike(lines, [self._known(line) for line in lines]):
            rows, logits = self._read([line.prompt for line in some], [line.adapter for line in some], keep=self._keep_prompts)
            chosen, going = _advance(some, logits)
            ended += [line for place, line in enumerate(some) if place not in going]
            if going:
                rows.choose(going, chosen)
                self._rows = rows if self._rows is None else self._rows.joined(rows)
                self._lines += [some[place] for place in going]
        return ended

    def _known(self, line: Line) -> int:
        return 0 if self._prefixes is None else self._prefixes.known(line.prompt, line.adapter)

    def _read(self, prompts: Sequence[Sequence[int]], adapters: Sequence[str | None], *, keep: bool) -> tuple[_Rows, Tensor]:
        """Compute the caches of prompts; returns the rows and the logits after each prompt, `[prompts, vocabulary]`."""
        import torch

        owned = list(zip(prompts, adapters, strict=True))
        found = [None if self._prefixes is None else self._prefixes.find(*one) for one in owned]
        known = [0 if one is None else one[0] for one in found]
        rows = _Rows(self.model, known, found)
        width = max(known)
        longest = max(len(prompt) - have for prompt, have in zip(prompts, known, strict=True))
        inputs = [[self._pad] * (longest - len(prompt) + have) + list(prompt[have:]) for prompt, have in zip(prompts, known, strict=True)]
        real = [[0] * (longest - len(prompt) + have) + [1] * (len(prompt) - have) for prompt, have in zip(prompts, known, strict=True)]
        rows.mask = torch.cat([rows.mask, torch.tensor(real, device=rows.mask.device)], dim=1)
        positions = (rows.mask.cumsum(-1) - 1).clamp_min(0)[:, width:]
        logits = rows.run(self.model, torch.tensor(inputs, device=rows.mask.device), positions, adapters)
        self.steps += 1
        self.read += sum(map(len, prompts)) - sum(known)
        self.reused += sum(known)
        if keep and self._prefixes is not None:
            for place, ((prompt, adapter), have) in enumerate(zip(owned, known, strict=True)):
                if len(prompt) - have >= SHORTEST:
                    self._prefixes.keep(prompt, rows.states(place), adapter)
        return rows, logits

    def _write(self) -> list[Line]:
        """Write one token more in every line that runs."""
        rows = self._rows
        if rows is None:
            return []
        rows.grow()
        logits = rows.run(self.model, rows.chosen, rows.positions, [line.adapter for line in self._lines])
        self.steps += 1
        chosen, going = _advance(self._lines, logits)
        ended = [line for place, line in enumerate(self._lines) if place not in going]
        rows.chosen = chosen[:, None]
        self._leave(sorted(going))
        return ended

    def _leave(self, going: list[int]) -> None:
        """Keep only some rows."""
        if len(going) == len(self._lines):
            return
        self._lines = [self._lines[place] for place in going]
        if not going:
            self._rows = None
        elif self._rows is not None:
            self._rows.choose(going, self._rows.chosen[:, 0])
            if self._joins:
                self._rows.trim()


class _Rows:
    """The tensors of a running batch.

    Attributes:
        mask: which columns of the cache are a row's own, `[rows, columns]`.
        positions: of each row's newest token, `[rows, 1]`.
        chosen: each row's next input, `[rows, 1]`.
    """

    mask: Tensor
    positions: Tensor
    chosen: Tensor

    def __init__(self, model: Any, known: Sequence[int], found: Sequence[tuple[int, Any] | None]) -> None:  # noqa: ANN401
        """Begin rows with the states of `known` tokens each, right-aligned."""
        import torch
        from transformers import DynamicCache

        device = next(model.parameters()).device
        width = max(known)
        self.cache: Any = DynamicCache(config=model.config)  # its layers' types say that they may hold nothing
        self.mask = torch.tensor([[0] * (width - have) + [1] * have for have in known], device=device, dtype=torch.long)
        if width:
            first = next(one[1] for one in found if one is not None)
            for layer, (keys, values) in enumerate(first):
                blank_keys = keys.new_zeros(len(known), keys.shape[0], width, keys.shape[-1])
                blank_values = values.new_zeros(len(known), values.shape[0], width, values.shape[-1])
                for place, one in enumerate(found):
                    if one is not None:
                        have, states = one
                        blank_keys[place, :, width - have :] = states[layer][0][:, :have]
                        blank_values[place, :, width - have :] = states[layer][1][:, :have]
                self.cache.update(blank_keys, blank_values, layer)

    def run(self, model: Any, inputs: Tensor, positions: Tensor, adapters: Sequence[str | None]) -> Tensor:  # noqa: ANN401
        """Run the model on more tokens of each row; returns the logits after the last one, `[rows, vocabulary]`."""
        self.positions = positions[:, -1:]
        more = {"adapter_names": list(adapters)} if any(adapters) else {}  # a model without adapters does not know the word
        logits: Tensor = model(
            input_ids=inputs, attention_mask=self.mask, position_ids=positions, past_key_values=self.cache, use_cache=True,
            logits_to_keep=1, **more,
        ).logits[:, -1]  # fmt: skip
        return logits

    def grow(self) -> None:
        """Make place for one token more in each row."""
        import torch

        self.mask = torch.cat([self.mask, self.mask.new_ones(len(self.mask), 1)], dim=1)
        self.positions = self.positions + 1

    def choose(self, places: Sequence[int], chosen: Tensor) -> None:
        """Keep only some rows; `chosen` holds the next token of every row, `[rows]`."""
        import torch

        index = torch.tensor(list(places), device=self.mask.device)
        if len(places) < len(self.mask):
            self.cache.batch_select_indices(index)
        self.mask, self.positions, self.chosen = self.mask[index], self.positions[index], chosen[index][:, None]

    def trim(self) -> None:
        """Cut off the columns that are padding in every row."""
        spare = int(self.mask.argmax(-1).min())
        if spare >= _TRIM:
            self.mask = self.mask[:, spare:]
            for layer in self.cache.layers:
                layer.keys, layer.values = layer.keys[:, :, spare:].contiguous(), layer.values[:, :, spare:].contiguous()

    def joined(self, newer: _Rows) -> _Rows:
        """Put another batch's rows below these, padding the narrower one on the left."""
        import torch

        width = max(self.mask.shape[1], newer.mask.shape[1])
        self._widen(width)
        newer._widen(width)
        for mine, other in zip(self.cache.layers, newer.cache.layers, strict=True):
            mine.keys, mine.values = torch.cat([mine.keys, other.keys]), torch.cat([mine.values, other.values])
        self.mask = torch.cat([self.mask, newer.mask])
        self.positions = torch.cat([self.positions, newer.positions])
        self.chosen = torch.cat([self.chosen, newer.chosen])
        return self

    def states(self, place: int) -> list[tuple[Tensor, Tensor]]:
        """Return a copy of a row's keys and values, for each layer `[heads, tokens, size]` twice."""
        own = self.mask[place].nonzero()[:, 0]
        return [(layer.keys[place][:, own], layer.values[place][:, own]) for layer in self.cache.layers]

    def _widen(self, width: int) -> None:
        from torch.nn.functional import pad

        more = width - self.mask.shape[1]
        if more:
            self.mask = pad(self.mask, (more, 0))
            for layer in self.cache.layers:
                layer.keys, layer.values = pad(layer.keys, (0, 0, more, 0)), pad(layer.values, (0, 0, more, 0))


def _advance(lines: Sequence[Line], logits: Tensor) -> tuple[Tensor, list[int]]:
    """Let every line choose its next token; returns the tokens `[lines]` and the places of the lines that go on."""
    chosen: Tensor = logits.argmax(-1)
    for place, (line, best) in enumerate(zip(lines, chosen.tolist(), strict=True)):
        token = line.choose(best, logits[place])
        if token != best:
            chosen[place] = token
    precise = logits.float()
    probabilities = (precise.gather(-1, chosen[:, None])[:, 0] - precise.logsumexp(-1)).exp()
    told = zip(lines, chosen.tolist(), probabilities.tolist(), strict=True)
    return chosen, [place for place, (line, token, probability) in enumerate(told) if not line.wrote(token, probability)]


def _alike(lines: Sequence[Line], known: Sequence[int]) -> Iterator[list[Line]]:
    """Yield the lines in groups whose unknown prompt tokens differ by less than a factor of two and a few."""
    new = [len(line.prompt) - have for line, have in zip(lines, known, strict=True)]
    order = sorted(range(len(lines)), key=lambda place: (-new[place], place))
    group: list[int] = []
    for place in order:
        if group and new[group[0]] > 2 * new[place] + 8:
            yield [lines[one] for one in group]
            group = []
        group.append(place)
    yield [lines[one] for one in group]


def _layer_kinds(model: Any) -> list[str]:  # noqa: ANN401
    from transformers import DynamicCache

    cache = DynamicCache(config=model.config)
    return [type(layer).__name__ for layer in cache.layers] or ["DynamicLayer"]

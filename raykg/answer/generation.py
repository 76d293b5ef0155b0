"""Greedy and beam generation for prompts that come together.

`transformers.generate` keeps a finished row in the batch until the slowest row is done, and computes a prefix that several prompts share (a
few-shot prompt, a subgraph's facts) once per row. The loop of `raykg.answer.decoding` drops a row at its end, gives its place to the next
prompt, and computes a shared prefix once. The texts are the same; a text does not depend on its neighbours.

With grammars (`raykg.answer.constrained`), only plans can be written. A text that is a plan anyway stays the same.

Example:
    texts = Generator(model, tokenizer).generate([plan_prompt("who directed Alien?")], max_new_tokens=24, stop=STOP)
    texts[0].confidence
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from raykg.answer.decoding import Decoder, Line
from raykg.answer.prefixes import Prefixes
from raykg.answer.question import AnswerError

if TYPE_CHECKING:
    from torch import Tensor

    from raykg.answer.constrained import PlanConstraint
    from raykg.answer.constrained_grammar import PlanGrammar
    from raykg.answer.constrained_vocabulary import Vocabulary

PREFIXES = 64 << 20  # bytes of what the prompts of one call share
_GRAMMARS = 64  # whose steps are remembered
_STEPS = 2_000_000  # remembered in all; each takes about 100 bytes


class Written(str):
    """A text that a model wrote.

    Attributes:
        confidence: the mean probability of its tokens, the ending one among them, as the model saw them: no constraint changes it. None
            where somebody else's engine wrote it and tells none.
    """

    confidence: float | None

    def __new__(cls, text: str = "", confidence: float | None = 0.0) -> Written:
        """Return the text with its confidence."""
        written = super().__new__(cls, text)
        written.confidence = confidence
        return written


@dataclass(frozen=True, slots=True)
class TooLong:
    """Stands for the text of a prompt that the model has no positions for; the model was not asked."""

    tokens: int  # of the prompt
    allowed: int  # the model's positions less the new tokens

    def __str__(self) -> str:
        """Say what is wrong and what to do."""
        return f"the question is too long: its prompt has {self.tokens} tokens, at most {self.allowed} fit: shorten it"


class _PlanLine(Line):
    """A text that may be bound to a grammar."""

    def __init__(
        self, generator: Generator, prompt: Sequence[int], limit: int, stop: str | None, constraint: PlanConstraint | None
    ) -> None:
        super().__init__(prompt)
        self.generator, self.limit, self.stop, self.constraint = generator, limit, stop, constraint
        self.row = None if constraint is None else constraint.start(limit)
        self.probabilities = 0.0  # summed

    def choose(self, best: int, scores: Tensor) -> int:
        """Return the best token, or where the constraint forbids that, the best that is allowed."""
        if self.constraint is None or self.row is None:
            return best
        left = self.limit - len(self.tokens)
        after = self.constraint.follow(self.row, best, left)
        if after is None:
            best, after = self.constraint.best(self.row, scores, left)
        self.row = after
        return best

    def wrote(self, token: int, probability: float) -> bool:
        """Take note of a token."""
        self.tokens.append(token)
        self.probabilities += probability
        return self.generator.is_end(self.tokens, self.limit, self.stop)


class Generator:
    """Continues prompts with a causal language model, greedily or with beams.

    Abilities: any transformers causal model with a dynamic cache (Llama, Qwen2, GPT-2 ...), PEFT-wrapped or not, on the device where its
    weights lie; the model's training mode is left as it was found.
    Not supported: sampling; encoder-decoder models.
    """

    def __init__(self, model: Any, tokenizer: Any, batch: int = 32) -> None:  # noqa: ANN401  transformers and PEFT share no typed class
        """Hold a model and its tokenizer; `batch` is the most rows that run together."""
        if batch < 1:
            raise AnswerError(f"batch ({batch}) must be at least 1")
        self.model = model
        self.tokenizer = tokenizer
        self.batch = batch
        self.rows = 0  # prompts answered so far
        self.prompt_tokens = 0
        self.new_tokens = 0
        ends = model.generation_config.eos_token_id if getattr(model, "generation_config", None) is not None else None
        ends = [] if ends is None else [ends] if isinstance(ends, int) else list(ends)
        self._ends = frozenset(ends) | ({tokenizer.eos_token_id} - {None})
        self._constraints: dict[tuple[PlanGrammar, str | None], PlanConstraint] = {}

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """Return what the tokens write; a tenth of a second, once."""
        from raykg.answer.constrained_vocabulary import Vocabulary

        return Vocabulary(self.tokenizer)

    def generate(
        self, prompts: Sequence[str], max_new_tokens: int = 32, stop: str | None = None, grammars: Sequence[PlanGrammar] | None = None
    ) -> list[Written | TooLong]:
        """Return the greedy continuation of each prompt, cut before its first `stop`, in the prompts' order.

        A prompt that the model has no positions for gets `TooLong` in the place of a text; the others are answered all the same.

        Args:
            prompts: what is continued.
            max_new_tokens: tokens of a continuation.
            stop: a text that ends a continuation.
            grammars: one per prompt; only their plans are written, and none is cut by `max_new_tokens`.

        Raises:
            AnswerError: a prompt is empty, or the new tokens alone leave no room in the model's positions; with grammars, a tokenizer or
                stop text that they do not go with, or fewer new tokens than the shortest plan takes.
        """
        places, encoded, texts = self._encode(prompts, max_new_tokens)
        constraints = self._constrained(grammars, stop)
        bound = [constraints[place] if constraints else None for place in places]
        lines = [_PlanLine(self, tokens, max_new_tokens, stop, one) for tokens, one in zip(encoded, bound, strict=True)]
        self.run(lines)
        for place, line in zip(places, lines, strict=True):
            texts[place] = self._written(line.tokens, stop, line.probabilities / len(line.tokens))
        return texts

    def run(self, lines: Sequence[Line]) -> None:
        """Write lines to their ends, the longest prompts first, so that prompts of like length are read together."""
        decoder = Decoder(self.model, self.batch, Prefixes(PREFIXES), pad=self._pad)
        decoder.add(sorted(lines, key=lambda line: -len(line.prompt)))
        with answering(self.model):
            while decoder.busy:
                for line in decoder.step():
                    self.new_tokens += len(line.tokens)

    def generate_beams(
        self, prompts: Sequence[str], max_new_tokens: int, stop: str | None, beams: int, grammars: Sequence[PlanGrammar] | None = None
    ) -> list[list[Written]]:
        """Return the `beams` best continuations of each prompt, best first, without repeats; none for a prompt that is too long.

        With grammars, fewer than `beams` where a grammar has no more plans.

        Raises:
            AnswerError: as `generate`.
        """
        import torch
        from transformers import LogitsProcessorList

        from raykg.answer.constrained_beams import BeamWatch

        places, encoded, _ = self._encode(prompts, max_new_tokens)
        constraints = self._constrained(grammars, stop)
        texts: list[list[Written]] = [[] for _ in prompts]
        device = next(self.model.parameters()).device
        with answering(self.model):
            for rows in _by_length(encoded, max(1, self.batch // beams)):
                inputs, mask = _left_pad([encoded[row] for row in rows], self._pad)
                bound = [constraints[places[row]] for row in rows] if constraints else None
                watch = BeamWatch(bound, beams, self._ends, max_new_tokens, len(inputs[0]))
                written = self.model.generate(
                    input_ids=torch.tensor(inputs, device=device), attention_mask=torch.tensor(mask, device=device),
                    max_new_tokens=max_new_tokens, num_beams=beams, num_return_sequences=beams, do_sample=False, early_stopping=True,
                    pad_token_id=self._pad, eos_token_id=sorted(self._ends) or None, temperature=None, top_p=None, top_k=None,
                    logits_processor=LogitsProcessorList([watch]),
                )[:, len(inputs[0]):].tolist()  # fmt: skip
                self.new_tokens += sum(len(tokens) for tokens in written)
                for place, row in enumerate(rows):
                    found = [self._cut(tokens, stop) for tokens in written[place * beams : (place + 1) * beams]]
                    whole = [tokens for tokens in found if bound is None or bound[place].completes(tokens)]
                    candidates = [self._written(tokens, stop, watch.confidence(place, tokens)) for tokens in whole]
                    texts[places[row]] = list(dict.fromkeys(candidates))
        return texts

    @property
    def positions(self) -> int | None:
        """How many tokens the model has places for; None where it does not say."""
        found: int | None = getattr(self.model.config, "max_position_embeddings", None)
        return found

    @property
    def ends(self) -> frozenset[int]:
        """The tokens that end a text."""
        return self._ends

    @property
    def _pad(self) -> int:
        return next(iter(sorted(self._ends)), 0) if self.tokenizer.pad_token_id is None else int(self.tokenizer.pad_token_id)

    def _encode(self, prompts: Sequence[str], max_new_tokens: int) -> tuple[list[int], list[list[int]], list[Written | TooLong]]:
        """Return the places of the prompts that fit, their tokens, and for each place "" or why its prompt does not fit."""
        encoded: list[list[int]] = self.tokenizer(list(prompts), add_special_tokens=False)["input_ids"] if prompts else []
        if not all(encoded):
            raise AnswerError(f"prompt {encoded.index([])} is empty: give a text")
        limit = self.positions
        allowed = None if limit is None else limit - max_new_tokens
        if allowed is not None and allowed < 1:
            raise AnswerError(f"max_new_tokens ({max_new_tokens}) must be below the model's {limit} positions: a prompt needs room too")
        texts: list[Written | TooLong] = [
            Written() if allowed is None or len(tokens) <= allowed else TooLong(len(tokens), allowed) for tokens in encoded
        ]
        places = [place for place, text in enumerate(texts) if isinstance(text, Written)]
        fitting = [encoded[place] for place in places]
        self.rows += len(fitting)
        self.prompt_tokens += sum(map(len, fitting))
        return places, fitting, texts

    def _constrained(self, grammars: Sequence[PlanGrammar] | None, stop: str | None) -> list[PlanConstraint] | None:
        """Return the constraint of each grammar; those of the last grammars are kept with what they remember."""
        from raykg.answer.constrained import PlanConstraint

        if grammars is None:
            return None
        if len(self._constraints) > _GRAMMARS or sum(one.remembered for one in self._constraints.values()) > _STEPS:
            self._constraints.clear()
        for grammar in grammars:
            if (grammar, stop) not in self._constraints:
                self._constraints[grammar, stop] = PlanConstraint(grammar, self.vocabulary, self._ends, stop)
        return [self._constraints[grammar, stop] for grammar in grammars]

    def _written(self, tokens: list[int], stop: str | None, confidence: float) -> Written:
        return Written(self._text(tokens, stop), confidence)

    def is_end(self, tokens: list[int], limit: int, stop: str | None) -> bool:
        """Tell whether a text of at most `limit` tokens ends with its last one."""
        return tokens[-1] in self._ends or len(tokens) >= limit or bool(stop and stop in self._text(tokens, None))

    def _cut(self, tokens: list[int], stop: str | None) -> list[int]:
        """Return the tokens up to the one that ends the text."""
        return next((tokens[:end] for end in range(1, len(tokens)) if self.is_end(tokens[:end], len(tokens), stop)), tokens)

    def _text(self, tokens: list[int], stop: str | None) -> str:
        end = next((place for place, token in enumerate(tokens) if token in self._ends), len(tokens))
        text: str = self.tokenizer.decode(tokens[:end], skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text if stop is None else text.partition(stop)[0]


@contextmanager
def answering(model: Any) -> Iterator[None]:  # noqa: ANN401
    """Switch to inference and back to the mode the model was in: evaluation during training must not change training."""
    import torch

    training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        model.train(training)


def _by_length(encoded: Sequence[Sequence[int]], batch: int) -> Iterator[list[int]]:
    """Yield row numbers in batches of similar length, longest first."""
    order = sorted(range(len(encoded)), key=lambda row: (-len(encoded[row]), row))
    for start in range(0, len(order), batch):
        yield order[start : start + batch]


def _left_pad(rows: Sequence[Sequence[int]], pad: int) -> tuple[list[list[int]], list[list[int]]]:
    """Return input ids and their mask, both `[rows, longest]`."""
    longest = max(map(len, rows))
    inputs = [[pad] * (longest - len(row)) + list(row) for row in rows]
    return inputs, [[0] * (longest - len(row)) + [1] * len(row) for row in rows]

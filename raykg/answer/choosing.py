"""Choosing by number: of the numbered lines at the end of a prompt, which one the model finds likeliest.

    chooser = ModelChooser(generator)
    chooser.choose([Crossroads(question, "Alien", nodes, options)])[0].place

The numbers are the only texts that are scored: the model is never asked to write, so it can choose nothing that is not offered. A number
is scored to its end, line break included, so that 1 does not win the votes of 10 to 19.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from raykg.answer.generation import TooLong
from raykg.data.prompts import STOP, one_line

if TYPE_CHECKING:
    from raykg.answer.generation import Generator
    from raykg.answer.question import Question

STOP_HERE = "stop here"


@dataclass(frozen=True, slots=True)
class Option:
    """One way on from some nodes: along a relation or back, and where it leads."""

    origin: int  # topic that the walk began at
    relation: str
    forward: bool
    nodes: NDArray[np.int64]
    words: str


@dataclass(frozen=True, slots=True)
class Crossroads:
    """Where a walk is and how it can go on.

    Attributes:
        question: what is asked.
        walked: the way so far, in words.
        nodes: where the walk is.
        options: the ways on; None is to stop here.
    """

    question: Question
    walked: str
    nodes: NDArray[np.int64]
    options: tuple[Option | None, ...]


class Picked(NamedTuple):
    """A choice: its place in the options, and how likely the model found it among them."""

    place: int
    probability: float


class Chooser(Protocol):
    """Whoever picks one of the options."""

    def choose(self, crossroads: Sequence[Crossroads]) -> list[Picked | TooLong]:
        """Return one choice for each crossroads, in order."""
        ...


class ModelChooser:
    """Lets a causal language model pick, by the likelihood of each option's number.

    Abilities: any number of options; any tokenizer, numbers of several tokens too.
    Not supported: batches over crossroads (their options run as one).
    """

    def __init__(self, generator: Generator) -> None:
        """Hold the model and its tokenizer."""
        self.model = generator.model
        self.tokenizer = generator.tokenizer

    def choose(self, crossroads: Sequence[Crossroads]) -> list[Picked | TooLong]:
        """Return the likeliest option of each crossroads, ties to the first; `TooLong` where its prompt does not fit the model."""
        return [self._pick(one) for one in crossroads]

    def _pick(self, crossroads: Crossroads) -> Picked | TooLong:
        numbers = [f" {number}{STOP}" for number in range(len(crossroads.options))]
        encoded: list[list[int]] = self.tokenizer([prompt(crossroads), *numbers], add_special_tokens=False)["input_ids"]
        asked, ends = encoded[0], encoded[1:]
        limit = getattr(self.model.config, "max_position_embeddings", None)
        if limit is not None and len(asked) + max(map(len, ends)) > limit:
            return TooLong(len(asked), limit - max(map(len, ends)))
        scores = continuation_scores(self.model, asked, ends)
        likely = np.exp(scores - scores.max())
        best = int(scores.argmax())
        return Picked(best, float(likely[best] / likely.sum()))


def prompt(crossroads: Crossroads) -> str:
    """Return what the model reads: question, way so far, numbered options."""
    lines = [f"Q: {one_line(crossroads.question.text)}", f"Way: {one_line(crossroads.walked)}"]
    words = (STOP_HERE if option is None else option.words for option in crossroads.options)
    return "\n".join([*lines, *(f"{number} {one_line(text)}" for number, text in enumerate(words)), "Next:"])


def continuation_scores(model: Any, prompt: Sequence[int], ends: Sequence[Sequence[int]]) -> NDArray[np.float64]:  # noqa: ANN401
    """Return the log-likelihood of each end after a prompt, all tokens of it; `[ends]`. The prompt is computed once.

    Args:
        model: a causal model of transformers.
        prompt: token ids, at least one.
        ends: token ids of each continuation, at least one each.
    """
    import torch
    from transformers import DynamicCache

    device = next(model.parameters()).device
    training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            cache = DynamicCache(config=model.config)
            seen = model(input_ids=torch.tensor([list(prompt)], device=device), past_key_values=cache, use_cache=True, logits_to_keep=1)
            first = seen.logits[0, -1].double().log_softmax(-1)
            scores = [float(first[end[0]]) for end in ends]
            longest = max(map(len, ends)) - 1
            if longest:
                cache.batch_repeat_interleave(len(ends))
                rows = [[*end[:-1], *([end[0]] * (longest + 1 - len(end)))] for end in ends]  # what follows an end is not looked at
                logits = model(input_ids=torch.tensor(rows, device=device), past_key_values=cache, use_cache=True).logits
                later = logits.double().log_softmax(-1)  # [ends, tokens, vocabulary]
                for row, end in enumerate(ends):
                    scores[row] += sum(float(later[row, place, token]) for place, token in enumerate(end[1:]))
            return np.array(scores)
    finally:
        model.train(training)

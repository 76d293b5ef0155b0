"""Choosing: of the ways on from where a walk is, which one the model finds likeliest.

    chooser = ModelChooser(generator, "plan")
    chooser.choose([Crossroads(question, "Alien", nodes, options)])[0].place

What is offered is scored and nothing is written, so nothing can be chosen that is not offered. Three things can be scored:

    number   the option's number, after a prompt that lists all options with numbers, as in KSL. A number is scored to its end, line break
             included, so that 1 does not win the votes of 10 to 19.
    words    the option's words after the question, the mean over their tokens: long names are no disadvantage.
    plan     the plan that the walk would be with this step, after the prompt of plans; to stop is the end of the text. For models that
             were trained on plans: they judge steps in the language that they learnt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from raykg.answer.generation import TooLong
from raykg.data.prompts import STOP, completion, one_line, plan_prompt

if TYPE_CHECKING:
    from raykg.answer.generation import Generator
    from raykg.answer.question import Question

By = Literal["number", "words", "plan"]
STOP_HERE = "stop here"
_MARKS = ("", "~")  # a plan of several hops may leave its topic out; a walk does so in any case, so both count


@dataclass(frozen=True, slots=True)
class Option:
    """One way on from some nodes: along a relation or back, and where it leads.

    Attributes:
        origin: topic that the walk began at.
        words: the option for people, and for models that choose by numbers or words.
        lead, step: the plan of the walk so far, and what the option adds to it: "Alien" and " > directed by".
    """

    origin: int
    relation: str
    forward: bool
    nodes: NDArray[np.int64]
    words: str
    lead: str = ""
    step: str = ""


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
    """Lets a causal language model pick, by the likelihood of each option's number, words or plan.

    Abilities: any number of options; any tokenizer, numbers of several tokens too.
    Not supported: batches over crossroads (their options run as one); by `plan`, telling a relation from one whose name goes on with more
    words: the shorter one has the votes of both.
    """

    def __init__(self, generator: Generator, by: By = "number") -> None:
        """Hold the model and its tokenizer, and what is scored."""
        self.model = generator.model
        self.tokenizer = generator.tokenizer
        self.by = by

    def choose(self, crossroads: Sequence[Crossroads]) -> list[Picked | TooLong]:
        """Return the likeliest option of each crossroads, ties to the first; `TooLong` where its prompt does not fit the model."""
        score = {"number": self._by_number, "words": self._by_words, "plan": self._by_plan}[self.by]
        found = [score(one) for one in crossroads]
        return [scores if isinstance(scores, TooLong) else _likeliest(scores) for scores in found]

    def _by_number(self, crossroads: Crossroads) -> NDArray[np.float64] | TooLong:
        numbers = [f" {number}{STOP}" for number in range(len(crossroads.options))]
        return self._scores(self._tokens(prompt(crossroads))[0], self._tokens(*numbers))

    def _by_words(self, crossroads: Crossroads) -> NDArray[np.float64] | TooLong:
        ends = self._tokens(*(f" {one_line(words)}{STOP}" for words in _words(crossroads)))
        scores = self._scores(self._tokens(bare_prompt(crossroads))[0], ends)
        return scores if isinstance(scores, TooLong) else scores / np.array([len(end) for end in ends])

    def _by_plan(self, crossroads: Crossroads) -> NDArray[np.float64] | TooLong:
        """Return the log-likelihood of each option's plan, of both ways to write it together; plans that begin alike run together."""
        asked, last = self._tokens(plan_prompt(crossroads.question.text))[0], self.tokenizer.eos_token_id
        options = crossroads.options
        total = np.full(len(options), -np.inf)
        for lead in dict.fromkeys(option.lead for option in options if option is not None):
            places = [place for place, option in enumerate(options) if option is None or option.lead == lead]
            for mark in _MARKS:
                begun = completion(mark + lead)
                plans = [[*self._tokens(begun)[0], last] if option is None else self._tokens(begun + option.step)[0]
                         for option in (options[place] for place in places)]  # fmt: skip
                scores = self._scores(asked, plans)
                if isinstance(scores, TooLong):
                    return scores
                total[places] = np.logaddexp(total[places], scores)
        return total

    def _scores(self, asked: list[int], ends: list[list[int]]) -> NDArray[np.float64] | TooLong:
        """Return the log-likelihood of each end; what all begin with is computed once."""
        longest, shared = max(map(len, ends)), min(_shared(ends), min(map(len, ends)) - 1)
        limit = getattr(self.model.config, "max_position_embeddings", None)
        if limit is not None and len(asked) + longest > limit:
            return TooLong(len(asked), limit - longest)
        if not shared:
            return continuation_scores(self.model, asked, ends)
        begun = continuation_scores(self.model, asked, [ends[0][:shared]])
        return begun + continuation_scores(self.model, asked + ends[0][:shared], [end[shared:] for end in ends])

    def _tokens(self, *texts: str) -> list[list[int]]:
        found: list[list[int]] = self.tokenizer(list(texts), add_special_tokens=False)["input_ids"]
        return found


def prompt(crossroads: Crossroads) -> str:
    """Return what a model reads that chooses by number: question, way so far, numbered options."""
    lines = [f"Q: {one_line(crossroads.question.text)}", f"Way: {one_line(crossroads.walked)}"]
    return "\n".join([*lines, *(f"{number} {one_line(text)}" for number, text in enumerate(_words(crossroads))), "Next:"])


def bare_prompt(crossroads: Crossroads) -> str:
    """Return what a model reads that chooses by words: question and way so far."""
    return f"Q: {one_line(crossroads.question.text)}\nWay: {one_line(crossroads.walked)}\nNext:"


def _words(crossroads: Crossroads) -> list[str]:
    return [STOP_HERE if option is None else option.words for option in crossroads.options]


def _likeliest(scores: NDArray[np.float64]) -> Picked:
    likely = np.exp(scores - scores.max())
    best = int(scores.argmax())
    return Picked(best, float(likely[best] / likely.sum()))


def _shared(rows: Sequence[Sequence[int]]) -> int:
    """Return how many tokens all rows begin with."""
    return next((place for place, tokens in enumerate(zip(*rows, strict=False)) if len(set(tokens)) > 1), min(map(len, rows)))


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

"""Another engine writes in the model's place: `raykg.answer.generation` without weights.

    generator = RemoteGenerator(EngineConfig(endpoint="http://127.0.0.1:8001/v1"), "films", tokenizer)
    generator.generate([plan_prompt("who directed Alien?")], max_new_tokens=24, stop=STOP, grammars=[grammar])

Each prompt is a request of its own, as many at a time as the engine wants; it makes batches of them as it likes. Plans are written under a
grammar where the engine takes one (`raykg.answer.constrained_text`). Nothing depends on that: what comes back is parsed as strictly as what
a model here writes, and what is no plan is an answer without one.

An engine cannot do all: `walk` and beams look at scores, and a second model is compared with the first one's weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

from raykg.answer.constrained_text import grammar_text
from raykg.answer.continuous import Turns, Work
from raykg.answer.endpoint import Completed, Endpoint
from raykg.answer.generation import Generator, TooLong, Written
from raykg.answer.question import AnswerError

if TYPE_CHECKING:
    from raykg.answer.constrained_grammar import PlanGrammar
    from raykg.answer.engine_config import EngineConfig
    from raykg.config.choice import Chosen

_TEXTS = 256  # of grammars, kept: the free one is asked for with every question


class WeightsElsewhere:
    """Stands in the place of a model whose weights are with an engine; who asks it for more is told."""

    generation_config = None

    def __init__(self, engine: str) -> None:
        """Hold the engine's name for people."""
        self._engine = engine

    def __getattr__(self, name: str) -> NoReturn:
        """Refuse.

        Raises:
            AnswerError: always.
        """
        raise AnswerError(f"engine {self._engine}: {name!r} of the model is asked for, but its weights are not here: {_WITHOUT}")


_WITHOUT = "ask with plan_execute, read, cogmg, auto or closed_book, without beams and without a second model, or leave the engine out"


class RemoteGenerator(Generator):
    """Continues prompts, greedily, by asking an engine.

    Abilities: prompts as tokens or as text; grammars as xgrammar or llama.cpp read them; many threads, which take turns and wait side by
    side (`turn`, as in `raykg.answer.continuous`); callers that leave.
    Not supported: beams; scores of given texts; cutting plans so that they end in time: one that `max_new_tokens` cuts in two is no plan.

    Attributes:
        endpoint: what is asked.
        steps: texts that the engine wrote.
    """

    def __init__(self, config: EngineConfig, name: str, tokenizer: Any, positions: int | None = None, batch: int = 32) -> None:  # noqa: ANN401
        """Hold what asking needs; the engine is asked for the first time when there is something to write.

        Args:
            config: where the engine is.
            name: of the model, where the config has none.
            tokenizer: the model's.
            positions: of the model, as its config says.
            batch: as in `Generator`, for those who ask how many prompts go together.

        Raises:
            AnswerError: the environment lacks the engine's key.
        """
        self.endpoint = Endpoint(config, name)
        super().__init__(WeightsElsewhere(str(self.endpoint)), tokenizer, batch)
        self.config = config
        self.steps = 0
        self._positions = config.positions or positions
        self._introduced = False
        self._turns = Turns()
        self._grammars: dict[tuple[PlanGrammar, str | None], str] = {}

    @property
    def positions(self) -> int | None:
        """How many tokens fit: as configured, or once it was asked as the engine says, or as the model's config says."""
        return self._positions

    @property
    def prompt_reads(self) -> tuple[int, int]:
        """How many prompt tokens were sent, and how many of them were known here, which is none."""
        return self.prompt_tokens, 0

    @contextmanager
    def turn(self, work: Work | None = None) -> Iterator[None]:
        """Work while no other thread does, but for the time that the engine writes; when `work` is abandoned that is broken off.

        Raises:
            AbandonedError: it was abandoned before its turn came.
        """
        with self._turns.taken(work):
            yield

    def generate(
        self, prompts: Sequence[str], max_new_tokens: int = 32, stop: str | None = None, grammars: Sequence[PlanGrammar] | None = None
    ) -> list[Written | TooLong]:
        """Return the greedy continuation of each prompt, cut before its first `stop`, in the prompts' order.

        Raises:
            AnswerError: a prompt is empty, or the new tokens alone leave no room in the model's positions.
            EngineError: the engine cannot be reached, refuses, or says what cannot be understood.
        """
        self._introduce()
        places, encoded, texts = self._encode(prompts, max_new_tokens)
        bodies = [
            self._body(prompts[place], tokens, max_new_tokens, stop, None if grammars is None else grammars[place])
            for place, tokens in zip(places, encoded, strict=True)
        ]
        written = self._asked(bodies) if bodies else []
        self.steps += len(written)
        self.new_tokens += sum(one.tokens for one in written)
        for place, one in zip(places, written, strict=True):
            texts[place] = Written(one.text if stop is None else one.text.partition(stop)[0], one.confidence)
        return texts

    def generate_beams(
        self, prompts: Sequence[str], max_new_tokens: int, stop: str | None, beams: int, grammars: Sequence[PlanGrammar] | None = None
    ) -> list[list[Written]]:
        """Refuse: engines search no beams under a grammar.

        Raises:
            AnswerError: always.
        """
        raise AnswerError(f"beams ({beams}): engine {self.endpoint} writes one text for each prompt: {_WITHOUT}")

    def close(self) -> None:
        """Close the connections."""
        self.endpoint.close()

    def _introduce(self) -> None:
        """Ask the engine about the model, once: better now than with every prompt."""
        if self._introduced:
            return
        with self._turns.lent():
            said = self.endpoint.described().get("max_model_len")  # vLLM's
        if self.config.positions is None and isinstance(said, int) and said > 0:
            self._positions = said
        self._introduced = True

    def _body(self, prompt: str, tokens: list[int], limit: int, stop: str | None, grammar: PlanGrammar | None) -> dict[str, Any]:
        body: dict[str, Any] = {
            "prompt": tokens if self.config.prompts == "tokens" else prompt,
            "max_tokens": limit,
            "temperature": 0,
            "logprobs": 1,
        }
        if stop is not None:
            body["stop"] = [stop]
        if grammar is None or self.config.grammar == "none":
            return body
        if (grammar, stop) not in self._grammars:
            if len(self._grammars) >= _TEXTS:
                self._grammars.clear()
            self._grammars[grammar, stop] = grammar_text(grammar, stop)
        text = self._grammars[grammar, stop]
        return body | ({"grammar": text} if self.config.grammar == "llama_cpp" else {"structured_outputs": {"grammar": text}})

    def _asked(self, bodies: Sequence[dict[str, Any]]) -> list[Completed]:
        work = self._turns.work
        asking = self.endpoint.ask(bodies)
        if work is not None:
            work.ends_by(asking.cancel)
        try:
            with self._turns.lent():
                return asking.result()
        except CancelledError:
            if work is not None:
                work.check()
            raise


def refuse_weights(chosen: Chosen) -> None:
    """Refuse a strategy that needs the weights here, or one that asks such a strategy.

    Raises:
        AnswerError: it walks, searches beams, or compares a second model with the first.
    """
    fields = chosen.config.__dataclass_fields__
    if chosen.name == "walk":
        raise AnswerError(f"strategy walk: looks at the model's scores, and an engine elsewhere gives texts: {_WITHOUT}")
    plan = chosen.config.plan if "plan" in fields else chosen.config
    if "beams" in plan.__dataclass_fields__ and plan.beams > 1:
        raise AnswerError(f"strategy {chosen.name}: beams ({plan.beams}) must be 1, an engine elsewhere writes one text for each prompt")
    if "second" in fields and chosen.config.second is not None:
        what = "is compared with the weights of the first, which are with an engine elsewhere"
        raise AnswerError(f"strategy {chosen.name}: second ({chosen.config.second.reference}) {what}: leave it out")
    for inner in chosen.config.strategies if "strategies" in fields else ():
        refuse_weights(inner)

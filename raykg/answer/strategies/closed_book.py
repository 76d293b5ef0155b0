"""Closed book: the model answers from its weights alone.

Source: Roberts, Raffel, Shazeer: How Much Knowledge Can You Pack Into the Parameters of a Language Model?, EMNLP 2020, arXiv 2002.08910.

The baseline that says what a graph is worth: no retrieval, no execution. Answers stand in the order in which the model wrote them; nothing
is linked, so evaluation compares them by name. Topics make no difference.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from raykg.answer.phases import phase
from raykg.answer.prompting import CLOSED_BOOK_EXAMPLES, INSTRUCTION, worded
from raykg.answer.question import Answer, Question
from raykg.config.schema import PositiveInt, config
from raykg.data.prompts import STOP, closed_book_prompt, parse_read_answer

if TYPE_CHECKING:
    from raykg.answer.generation import Generator, TooLong
    from raykg.kg.graph import KnowledgeGraph
    from raykg.kg.linking import Linker

SEARCH: dict[str, list[int]] = {}


@config
class Config:
    """How a model is asked without a book."""

    max_tokens: PositiveInt = 48
    """New tokens of an answer; a longer list of answers is cut."""
    prompt: Literal["bare", "few_shot", "chat"] = "bare"
    """`bare`: the words of fine-tuning; for a model that was not fine-tuned, the same after an instruction and five examples: `few_shot` as
    plain text, `chat` as turns of its chat template."""


class ClosedBook:
    """Answers from the model's weights.

    Abilities: batches; several answers.
    Not supported: proofs, node ids, citations.
    """

    name = "closed_book"

    def __init__(self, config: Config, graph: KnowledgeGraph, linker: Linker, generator: Generator) -> None:
        """Hold what answering needs; the linker is not used."""
        self.config = config
        self.graph = graph
        self.generator = generator

    def prompt(self, question: Question) -> str:
        """Return what the model reads."""
        bare = closed_book_prompt(question.text)
        return worded(self.config.prompt, self.generator.tokenizer, bare, INSTRUCTION, CLOSED_BOOK_EXAMPLES)

    @staticmethod
    def prompt_words(config: Config) -> str:
        """Return what the model reads, with `{question}` in the place of a question's own."""
        return worded(config.prompt, None, closed_book_prompt("{question}"), INSTRUCTION, CLOSED_BOOK_EXAMPLES)

    def answer(self, questions: Sequence[Question]) -> list[Answer]:
        """Return one answer per question, in order; one that is too long for the model is `too_long`."""
        started = time.perf_counter()
        with phase("generate"):
            texts = self.generator.generate([self.prompt(question) for question in questions], self.config.max_tokens, STOP)
        share = (time.perf_counter() - started) / max(1, len(questions))
        return [self._read(text, share) for text in texts]

    def _read(self, text: str | TooLong, seconds: float) -> Answer:
        if not isinstance(text, str):
            return Answer(strategy=self.name, status="too_long", error=str(text), seconds=seconds, version=self.graph.version)
        said = parse_read_answer(text, 0)
        return Answer(
            strategy=self.name,
            status="answered" if said.answers else "empty",
            answers=said.answers,
            bad_citations=len(said.bad_citations),
            error=None if said.answers else "the model named nothing",
            raw=text,
            seconds=seconds,
            version=self.graph.version,
        )

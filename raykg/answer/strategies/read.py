"""Read: facts around the question's entities are retrieved, and the model answers from them with citations.

Source: Lewis et al.: Retrieval-Augmented Generation for Knowledge-Intensive NLP Tasks, NeurIPS 2020, arXiv 2005.11401 (facts for passages).

The context holds at most `facts_tokens` tokens of numbered facts. What the model cites beyond them is taken out and counted in
`bad_citations`. Answers stand in the order of writing and carry no node ids; a question none of whose names is in the graph is `unlinked`,
and the model is not asked.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from raykg.answer.phases import phase
from raykg.answer.prompting import READ_EXAMPLES, READ_INSTRUCTION, worded
from raykg.answer.question import Answer, Question
from raykg.answer.topics import topic_nodes
from raykg.config.schema import PositiveInt, config
from raykg.data.prompts import STOP, parse_read_answer, read_prompt

if TYPE_CHECKING:
    from raykg.answer.generation import Generator, TooLong
    from raykg.data.ground import Facts
    from raykg.kg.graph import KnowledgeGraph
    from raykg.kg.linking import Linker

SEARCH: dict[str, list[int]] = {"facts_tokens": [32, 64, 128]}


@config
class Config:
    """How facts are chosen and read."""

    max_tokens: PositiveInt = 48
    """New tokens of an answer with its citations."""
    facts_tokens: PositiveInt = 64
    """Room for the facts, in the model's tokens; the same as in training, or the model reads what it never saw."""
    order: Literal["relevance", "stable"] = "relevance"
    """How the chosen facts stand: the best first; or in an order that depends on the facts alone (`stable`), so that what the model reads
    for questions about the same subgraph begins alike, and a service computes it once. Training shuffles facts: a fine-tuned model reads
    both."""
    mentions: PositiveInt = 3
    """Names in the question that are looked at, when topics are linked."""
    prompt: Literal["bare", "few_shot", "chat"] = "bare"
    """`bare`: the words of fine-tuning; for a model that was not fine-tuned, the same after an instruction and five examples: `few_shot` as
    plain text, `chat` as turns of its chat template."""


class Read:
    """Answers from retrieved facts.

    Abilities: batches; several answers; citations as triple ids; topics given or linked.
    Not supported: node ids of answers; proofs (a cited triple shows where an answer was read, not that it follows).
    """

    name = "read"

    def __init__(self, config: Config, graph: KnowledgeGraph, linker: Linker, generator: Generator) -> None:
        """Hold what answering needs."""
        self.config = config
        self.graph = graph
        self.linker = linker
        self.generator = generator

    @staticmethod
    def prompt_words(config: Config) -> str:
        """Return what the model reads, with `{question}` and `{facts}` in the place of a question's own."""
        return worded(config.prompt, None, read_prompt("{question}", ["{facts}"]), READ_INSTRUCTION, READ_EXAMPLES)

    def answer(self, questions: Sequence[Question]) -> list[Answer]:
        """Return one answer per question, in order; one that is too long for the model is `too_long`."""
        started = time.perf_counter()
        with phase("link"):
            nodes = [self.topics(question) for question in questions]
        with phase("retrieve"):
            facts = [self.facts(question.text, found) for question, found in zip(questions, nodes, strict=True)]
        asked = [row for row, found in enumerate(nodes) if found]
        prompts = [self.prompt(questions[row], facts[row].texts) for row in asked]
        with phase("generate"):
            texts = iter(self.generator.generate(prompts, self.config.max_tokens, STOP))
        why = "no name in the question is in the graph"
        unlinked = Answer(strategy=self.name, status="unlinked", error=why, version=self.graph.version)
        answers = [self._read(next(texts), one) if found else unlinked for one, found in zip(facts, nodes, strict=True)]
        share = (time.perf_counter() - started) / max(1, len(questions))
        return [replace(answer, seconds=share) for answer in answers]

    def topics(self, question: Question) -> list[int]:
        """Return the nodes a question is about: given, or the best candidate of each of its best mentions."""
        return topic_nodes(question, self.linker, self.config.mentions)

    def facts(self, question: str, nodes: Sequence[int]) -> Facts:
        """Return the facts that the model reads, within the token budget."""
        from raykg.data.ground import Facts, facts_for_question

        found = facts_for_question(self.graph, question, nodes, self.generator.tokenizer, self.config.facts_tokens)
        if self.config.order == "relevance":
            return found
        places = found.triple_ids.argsort(kind="stable")
        return Facts(tuple(found.texts[place] for place in places), found.triple_ids[places])

    def prompt(self, question: Question, facts: Sequence[str]) -> str:
        """Return what the model reads."""
        bare = read_prompt(question.text, facts)
        return worded(self.config.prompt, self.generator.tokenizer, bare, READ_INSTRUCTION, READ_EXAMPLES)

    def _read(self, text: str | TooLong, facts: Facts) -> Answer:
        if not isinstance(text, str):
            return Answer(strategy=self.name, status="too_long", error=str(text), version=self.graph.version)
        said = parse_read_answer(text, len(facts.texts))
        return Answer(
            strategy=self.name,
            status="answered" if said.answers else "empty",
            answers=said.answers,
            citations=tuple(int(facts.triple_ids[number - 1]) for number in said.citations),
            bad_citations=len(said.bad_citations),
            error=None if said.answers else "the model named nothing",
            raw=text,
            version=self.graph.version,
        )

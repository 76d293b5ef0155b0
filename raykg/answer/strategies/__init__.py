"""One file per way to answer; the folder is the registry (`raykg list answer.strategies`).

A file has a docstring whose first line names the way and whose next line cites it (`Paper:` or `Source:`), a `Config`, a `SEARCH`, and one
public class, the strategy. It is made from its config, a graph, a linker over that graph and a generator, and answers questions in
batches:

    strategy = chosen.method()(chosen.config, graph, linker, generator)
    answers = strategy.answer([Question("who directed Alien?")])
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from raykg.answer.question import Answer, Question

if TYPE_CHECKING:
    from raykg.answer.generation import Generator
    from raykg.config.choice import Chosen
    from raykg.kg.graph import KnowledgeGraph
    from raykg.kg.linking import Linker


class Strategy(Protocol):
    """One way to answer questions over one graph with one model."""

    name: str
    config: Any
    graph: KnowledgeGraph

    @staticmethod
    def prompt_words(config: Any) -> str:  # noqa: ANN401 - the strategy's own Config
        """Return what its model reads, with `{question}` and `{facts}` in the places of a question's own, for reports."""
        ...

    def answer(self, questions: Sequence[Question]) -> list[Answer]:
        """Return one answer per question, in order; a question that cannot be answered gets a status, never an exception."""
        ...


def make_strategy(chosen: Chosen, graph: KnowledgeGraph, linker: Linker, generator: Generator) -> Strategy:
    """Import the chosen file and return its strategy."""
    strategy: Strategy = chosen.method()(chosen.config, graph, linker, generator)
    return strategy

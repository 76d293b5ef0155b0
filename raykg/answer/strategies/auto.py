"""Auto: several strategies by policy, each asked what the ones before it could not answer.

Source: the order of CogMG (arXiv 2406.17231), plan, then retrieval, then completion, as one policy over the strategies of this folder.

An answer counts where the graph supports it: by a proof, or by a cited triple that holds it (`raykg.answer.support`). Where a plan ran and
found nothing, reading is passed over: what the graph lacks cannot be read in it. Where no strategy has
one, the question stays without an answer, and what the strategies know about it is kept: which facts are missing, what a model or a
passage says. `Answer.strategy` names the strategy that answered, or the one whose "I do not know" says most.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

from raykg.answer.question import Answer, AnswerError, Question
from raykg.config.schema import Choice, Chosen, chosen, config, field

if TYPE_CHECKING:
    from raykg.answer.generation import Generator
    from raykg.answer.strategies import Strategy
    from raykg.kg.graph import KnowledgeGraph
    from raykg.kg.linking import Linker

STRATEGIES = "raykg.answer.strategies"
SEARCH: dict[str, list[bool]] = {"allow_unverified": [False, True]}


def default_policy() -> tuple[Chosen, ...]:
    """Return plan_execute, read and cogmg with their default settings."""
    return tuple(chosen(STRATEGIES, name) for name in ("plan_execute", "read", "cogmg"))


@config
class Config:
    """Who is asked, in which order."""

    strategies: tuple[Annotated[Chosen, Choice("raykg.answer.strategies")], ...] = field(default_factory=default_policy)
    """The strategies; each is asked what the former ones did not answer."""
    not_after_a_miss: tuple[str, ...] = ("read",)
    """Strategies that are not asked where a plan ran and found nothing: the graph lacks the fact, and a reader of that graph would answer
    with what stands beside it."""
    allow_unverified: bool = False
    """Whether what a model or a passage says counts as an answer where the graph has none; it stays marked as unverified."""

    def __post_init__(self) -> None:
        """Refuse a policy that asks nobody or itself."""
        if not self.strategies:
            raise ValueError("strategies (none) must name at least one")
        if any(one.name == "auto" for one in self.strategies):
            raise ValueError("strategies (auto) must not name auto itself")


class Auto:
    """Answers with the first strategy whose answer the graph supports.

    Abilities: any strategies in any order; batches: each strategy is asked once, with all that is still open.
    Not supported: votes between strategies.
    """

    name = "auto"

    def __init__(
        self, config: Config, graph: KnowledgeGraph, linker: Linker, generator: Generator, strategies: Sequence[Strategy] | None = None
    ) -> None:
        """Make the strategies; `strategies` are asked in the place of the config's.

        Raises:
            AnswerError: a strategy cannot be made, such as one whose file of passages is missing.
        """
        from raykg.answer.strategies import make_strategy

        self.config = config
        self.graph = graph
        self.strategies = list(strategies or (make_strategy(one, graph, linker, generator) for one in config.strategies))

    @staticmethod
    def prompt_words(config: Config) -> str:
        """Return what the model reads for each strategy."""
        return "\n\n".join(f"{one.name}:\n{one.method().prompt_words(one.config)}" for one in config.strategies)

    def answer(self, questions: Sequence[Question]) -> list[Answer]:
        """Return one answer per question, in order."""
        tried: list[list[Answer]] = [[] for _ in questions]
        open_rows = list(range(len(questions)))
        spent = [0.0] * len(questions)
        for strategy in self.strategies:
            asked = [row for row in open_rows if not self._is_spared(strategy.name, tried[row])]
            if not asked:
                continue
            started = time.perf_counter()
            answers = strategy.answer([questions[row] for row in asked])
            if len(answers) != len(asked):
                raise AnswerError(f"strategy {strategy.name}: gave {len(answers)} answers to {len(asked)} questions")
            share = (time.perf_counter() - started) / len(asked)
            for row, answer in zip(asked, answers, strict=True):
                tried[row].append(self._settled(answer))
                spent[row] += share
            open_rows = [row for row in open_rows if not tried[row] or tried[row][-1].status != "answered"]
        return [replace(self._best(found), seconds=seconds) for found, seconds in zip(tried, spent, strict=True)]

    def _is_spared(self, name: str, tried: Sequence[Answer]) -> bool:
        """Tell whether a strategy is not asked because a plan ran and found nothing."""
        return name in self.config.not_after_a_miss and any(one.plan is not None and one.status == "empty" for one in tried)

    def _settled(self, answer: Answer) -> Answer:
        from raykg.answer.support import settled

        return settled(answer, self.graph)

    def _best(self, found: Sequence[Answer]) -> Answer:
        """Return the answer that counts, or the "I do not know" that says most, with what all of them know."""
        if found[-1].status == "answered":
            return found[-1]
        told = max(found, key=lambda one: (bool(one.missing), bool(one.unverified)))  # the first of those that say most
        unverified = tuple(dict.fromkeys(text for one in (told, *found) for text in one.unverified))
        told = replace(told, unverified=unverified)
        if self.config.allow_unverified and unverified:
            return replace(told, status="answered", answers=unverified, error=None)
        return told

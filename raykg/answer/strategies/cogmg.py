"""CogMG: plan and execute; where the graph lacks a fact, name it, let the model propose it, and check it elsewhere.

Paper: CogMG: Collaborative Augmentation Between Large Language Model and Knowledge Graph, ACL 2024 (demo), arXiv 2406.17231.

The steps after a plan that ran and found nothing (or that names something the graph does not have, if the question names it too):

    name the missing fact (`raykg.answer.missing`) -> propose its other side (`raykg.answer.proposing`)
    -> check it against passages (`raykg.answer.testimony`), and with another model (`raykg.answer.second_model`)
    -> follow the rest of the plan with the proposed facts -> `unverified` answers and `proposals` for a reviewer

The answer stays `empty`: what the graph does not say is no answer of the graph, whoever says it. Unlike in the paper's demo code a count of
0 is an answer and no miss, and nothing that the model writes is evaluated. A question that the graph answers costs nothing more.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from raykg.answer.phases import phase
from raykg.answer.question import Answer, Missing, Proposed, Question
from raykg.answer.second_model import SecondModelConfig
from raykg.answer.strategies import plan_execute
from raykg.config.schema import PositiveInt, Text, config, field

if TYPE_CHECKING:
    from raykg.answer.generation import Generator
    from raykg.answer.second_model import Completing
    from raykg.kg.graph import KnowledgeGraph
    from raykg.kg.linking import Linker
    from raykg.kg.logical_form import LogicalForm
    from raykg.kg.logical_form.evaluate import Traced

SEARCH: dict[str, list[int]] = {"proposals": [1, 3], "read": [3, 5, 10]}


@config
class Config:
    """How plans are made and misses are mended."""

    plan: plan_execute.Config = field(default_factory=plan_execute.Config)
    """How plans are written, linked and run."""
    passages: Text | None = None
    """File of texts that may say what the graph lacks: .txt with one on each line, or .jsonl."""
    read: PositiveInt = 5
    """Passages that are read for one missing fact."""
    second: SecondModelConfig | None = None
    """Another model, asked about names for which no passage speaks. Without passages and without it, nothing checks the model."""
    patterns: PositiveInt = 3
    """Missing facts that are named for one question, such as one for each film whose director is missing."""
    proposals: PositiveInt = 3
    """Names proposed for one missing fact."""
    rounds: PositiveInt = 2
    """Gaps of one plan that are filled one after another."""
    max_tokens: PositiveInt = 24
    """New tokens of a proposal."""
    prompt: Literal["bare", "few_shot", "chat"] = "few_shot"
    """How the model is asked for a fact: `bare`, or after an instruction and examples as plain text (`few_shot`) or as chat turns."""


@dataclass(slots=True)
class _Miss:
    """A question whose plan gave nothing, as far as it is mended."""

    row: int
    form: LogicalForm | None  # bound; None where a name is no node
    open: tuple[Missing, ...]  # patterns of this round
    last: bool  # whether the fact that is missing would be the answer
    missing: list[Missing]
    proposals: list[Proposed]
    unverified: tuple[str, ...] = ()


class Cogmg:
    """Answers by plans, and proposes the facts that plans miss.

    Abilities: all of `plan_execute`; the exact missing pattern; proposals with their evidence; plans with several gaps; a second model.
    Not supported: facts whose relation the graph does not have; relearning (a reviewer accepts, the live graph answers).
    """

    name = "cogmg"

    def __init__(
        self, config: Config, graph: KnowledgeGraph, linker: Linker, generator: Generator, second: Completing | None = None
    ) -> None:
        """Hold what answering needs; `second` is asked in the place of the config's second model.

        Raises:
            AnswerError: the file of passages cannot be read, or the second model cannot be loaded or is the first one.
        """
        from raykg.answer.passages import open_passages
        from raykg.answer.proposing import Proposer
        from raykg.answer.second_model import SecondModel
        from raykg.answer.testimony import Witness

        self.config = config
        self.graph = graph
        self.planner = plan_execute.PlanExecute(config.plan, graph, linker, generator)
        passages = None if config.passages is None else open_passages(Path(config.passages))
        witness = None if passages is None else Witness(graph, linker, passages, config.read)
        if second is None and config.second is not None:
            second = SecondModel.open(config.second, generator, config.proposals)
        self.proposer = Proposer(graph, linker, generator, witness, config.proposals, config.max_tokens, config.prompt, second)

    @staticmethod
    def prompt_words(config: Config) -> str:
        """Return what the model reads for a plan, and after a miss for a fact."""
        from raykg.answer.recall import prompt_words

        fact = prompt_words(config.prompt, "{head} {relation} ?")
        return f"{plan_execute.PlanExecute.prompt_words(config.plan)}\n\nand for a missing fact:\n\n{fact}"

    def answer(self, questions: Sequence[Question]) -> list[Answer]:
        """Return one answer per question, in order; after a miss an `empty` or `unlinked` one that says what is missing."""
        started = time.perf_counter()
        answers = [replace(answer, strategy=self.name) for answer in self.planner.answer(questions)]
        found = (self._miss(row, questions[row], answer) for row, answer in enumerate(answers))
        misses = [miss for miss in found if miss is not None]
        for _ in range(self.config.rounds):
            self._mend([miss for miss in misses if miss.open])
        for miss in misses:
            answers[miss.row] = replace(
                answers[miss.row],
                missing=tuple(miss.missing),
                unverified=miss.unverified,
                proposals=tuple(dict.fromkeys(miss.proposals)),
            )
        share = (time.perf_counter() - started) / max(1, len(questions))
        return [replace(answer, seconds=share) for answer in answers]

    def _miss(self, row: int, question: Question, answer: Answer) -> _Miss | None:
        """Return what a question's plan misses, None where it misses nothing that can be named."""
        from raykg.answer.missing import ends_in_the_gap, missing_patterns, unknown_patterns
        from raykg.kg.linking import fold
        from raykg.kg.logical_form import Path as PathForm
        from raykg.kg.logical_form import bind, entities, parse

        if answer.status not in ("empty", "unlinked") or answer.plan is None:
            return None
        form = parse(answer.plan, self.graph)
        names = list(dict.fromkeys(entity.name for entity in entities(form)))
        links = dict(zip(names, self.planner.link(names, question), strict=True))
        unknown = [name for name in names if not links[name]]
        if unknown:
            asked = [name for name in unknown if f" {fold(name)} " in f" {fold(question.text)} "]
            patterns = unknown_patterns(form, asked)[: self.config.patterns]
            last = isinstance(form, PathForm) and len(form.steps) == 1
            return _Miss(row, None, patterns, last, list(patterns), []) if patterns else None
        bound = bind(form, {name: links[name][0].node for name in names})
        traced = self._traced(bound, [])
        patterns = () if traced is None else missing_patterns(traced, self.graph, self.config.patterns)
        if traced is None or not patterns:
            return None
        return _Miss(row, bound, patterns, ends_in_the_gap(traced), list(patterns), [])

    def _mend(self, misses: Sequence[_Miss]) -> None:
        """Propose what is open, and follow the plans with it."""
        from raykg.answer.missing import ends_in_the_gap, missing_patterns

        with phase("propose"):
            proposed = iter(self.proposer.propose([pattern for miss in misses for pattern in miss.open]))
        for miss in misses:
            new = [fact for _ in miss.open for fact in next(proposed)]
            miss.proposals += new
            if miss.last:
                ahead = miss.open[0].tail == "?"
                miss.unverified = tuple(dict.fromkeys(fact.tail if ahead else fact.head for fact in new))
            traced = None if miss.form is None or not new else self._traced(miss.form, miss.proposals)
            miss.open = ()
            if traced is None:
                continue
            if len(traced.nodes):
                labels = self.graph.labels(traced.nodes[: self.config.plan.answers])
                miss.unverified = tuple(dict.fromkeys((*labels, *miss.unverified)))
                continue
            patterns = missing_patterns(traced, self.graph, self.config.patterns)
            miss.open = tuple(pattern for pattern in patterns if pattern not in miss.missing)
            miss.missing += miss.open
            miss.last = ends_in_the_gap(traced)

    def _traced(self, form: LogicalForm, facts: Sequence[Proposed]) -> Traced | None:
        """Follow a plan over the graph and proposed facts; None where that is over the budget."""
        from raykg.answer.missing import SupposedEdges
        from raykg.kg.logical_form import Budget, BudgetExceeded
        from raykg.kg.logical_form.evaluate import Meter, trace

        known = [
            (fact.head_id, self.graph.relation(fact.relation), fact.tail_id)
            for fact in facts
            if fact.head_id is not None and fact.tail_id is not None
        ]
        plan = self.config.plan
        meter = Meter(Budget(triples=plan.triples, answers=plan.answers, seconds=plan.seconds))
        try:
            return trace(form, self.graph, SupposedEdges(self.graph, known), meter)
        except BudgetExceeded:
            return None

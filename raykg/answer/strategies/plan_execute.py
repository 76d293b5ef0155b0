"""Plan and execute: the model writes a plan, the graph answers it.

Paper: CogMG: Collaborative Augmentation Between Large Language Model and Knowledge Graph, ACL 2024 (demo), arXiv 2406.17231.

As in CogMG a fine-tuned model turns the question into a program and an executor runs it; unlike in its demo code nothing the model wrote is
ever evaluated as code, the plan is parsed strictly, and a count of 0 is an answer. The steps, and the status of a question that ends there:

    generate (`too_long`) -> parse (`unparsable`) -> link each name (`unlinked`)
    -> execute within a budget (`over_budget`, `empty`) -> prove -> check the proof (`empty` where it does not hold)

With `constrained`, the model can write nothing but plans with relations of the graph (`raykg.answer.constrained`), so `unparsable` does not
happen. Answers carry the model's confidence in the plan: the mean probability of its tokens, before the constraint.

A name links to several candidates. Combinations of candidates are tried best first (the sum of their scores), at most `combinations` of
them, and the first that gives anything is the answer. With topics given, names link among the topics only, so that a slip of the model's
copying is repaired; with topics linked, a name that the question does not hold is taken for the most similar name that it does hold.
Answers stand in the executor's order, ascending by node id.
"""

from __future__ import annotations

import heapq
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal, cast

from raykg.answer.phases import phase
from raykg.answer.question import Answer, Question
from raykg.config.schema import NonNegativeInt, PositiveFloat, PositiveInt, config
from raykg.data.prompts import STOP, one_line, plan_prompt

if TYPE_CHECKING:
    from raykg.answer.constrained_grammar import PlanGrammar
    from raykg.answer.generation import Generator, TooLong
    from raykg.kg.graph import KnowledgeGraph
    from raykg.kg.linking import Candidate, Linker
    from raykg.kg.logical_form import Budget, LogicalForm, NodeSet, Proof, Result

Names = Literal["free", "question", "linked"]

_POSSESSIVE = re.compile(r"['\u2019]s\b")

SEARCH: dict[str, list[int]] = {"beams": [1, 4], "candidates": [1, 5, 10]}


@config
class Config:
    """How plans are written, linked and run."""

    max_tokens: PositiveInt = 64
    """New tokens of a plan; on MetaQA the median is below 12."""
    constrained: bool = True
    """Whether the model can write nothing but plans over the graph's relations."""
    names: Names = "free"
    """What a constrained plan may call entities: anything; only what stands in the question; only the names that the linker finds there."""
    exclude_topic: bool = False
    """Whether a walk of several hops leaves its topic out (`~`) though the plan forgets to: right for models that learnt from questions of
    that convention, as MetaQA's and those of `generated` with its `exclude_topic` are; a walk that cannot come back is the same without."""
    beams: PositiveInt = 1
    """With more than one, questions whose greedy plan gives nothing are planned again with so many beams; costs as many times the work."""
    beam_names: Names = "linked"
    """`names` for the plans of beams. A search can go back where a name cannot be written as it was begun, a greedy text cannot."""
    candidates: PositiveInt = 5
    """Nodes a name may mean."""
    combinations: PositiveInt = 16
    """Most combinations of candidates that are executed for one plan."""
    triples: PositiveInt = 1_000_000
    """Triples that one execution may visit."""
    answers: PositiveInt = 100_000
    """Answers that one execution may give."""
    seconds: PositiveFloat = 5.0
    """Wall time for all executions of one question."""
    proved: NonNegativeInt = 20
    """Answers that the proof covers, the first ones; 0 makes no proof."""


class PlanExecute:
    """Answers by executing the plan that a fine-tuned model writes.

    Abilities: batches; names shared by several nodes; topics given or linked; counts; proofs; further beams for plans that fail.
    Not supported: questions that no plan can express; their status says so.
    """

    name = "plan_execute"

    def __init__(self, config: Config, graph: KnowledgeGraph, linker: Linker, generator: Generator) -> None:
        """Hold what answering needs."""
        self.config = config
        self.graph = graph
        self.linker = linker
        self.generator = generator

    @staticmethod
    def prompt_words(config: Config) -> str:
        """Return what the model reads, with `{question}` in the place of a question's own."""
        return plan_prompt("{question}")

    def answer(self, questions: Sequence[Question]) -> list[Answer]:
        """Return one answer per question, in order."""
        started = time.perf_counter()
        prompts = [plan_prompt(question.text) for question in questions]
        grammars = self._grammars(questions, self.config.names)
        with phase("generate"):
            texts = self.generator.generate(prompts, self.config.max_tokens, STOP, grammars)
        answers = [self._written(question, text) for question, text in zip(questions, texts, strict=True)]
        failed = [row for row, answer in enumerate(answers) if answer.status not in ("answered", "too_long")]
        if self.config.beams > 1 and failed:
            asked, bound = [prompts[row] for row in failed], self._grammars([questions[row] for row in failed], self.config.beam_names)
            with phase("generate"):
                beams = self.generator.generate_beams(asked, self.config.max_tokens, STOP, self.config.beams, bound)
            for row, candidates in zip(failed, beams, strict=True):
                tried = (self._written(questions[row], text) for text in candidates)
                answers[row] = next((answer for answer in tried if answer.status == "answered"), answers[row])
        share = (time.perf_counter() - started) / max(1, len(questions))
        return [replace(answer, seconds=share) for answer in answers]

    def run(self, plan: str, question: Question | None = None) -> Answer:
        """Return the answer to a plan that is given as text; names link among the question's topics where it has any."""
        return self._ground(question or Question(""), plan)

    @cached_property
    def _grammar(self) -> PlanGrammar:
        from raykg.answer.constrained_grammar import PlanGrammar

        return PlanGrammar.of(self.graph, asking=True)

    def _grammars(self, questions: Sequence[Question], kind: Names) -> list[PlanGrammar] | None:
        """Return what may be written for each question; names are free where it holds none that is short enough."""
        if not self.config.constrained:
            return None
        if kind == "free":
            return [self._grammar] * len(questions)
        bound = [self._grammar.copying(self._names(question, kind)) for question in questions]
        return [one if len(one.closing(one.start).encode()) <= self.config.max_tokens else self._grammar for one in bound]

    def _names(self, question: Question, kind: Names) -> list[str]:
        """Return what a plan may call entities: topics that are given, and stretches of the question or the names that it holds."""
        from raykg.answer.constrained_names import stretches

        text = one_line(question.text)
        found = [mention.text for mention in self.linker.mentions(text)] if kind == "linked" and text else []
        return [*(found or stretches(text)), *(question.topics or ())]

    def _written(self, question: Question, text: str | TooLong) -> Answer:
        from raykg.answer.generation import Written

        if isinstance(text, str):
            return replace(self._ground(question, text), confidence=text.confidence if isinstance(text, Written) else None)
        return Answer(strategy=self.name, status="too_long", error=str(text), version=self.graph.version)

    def _ground(self, question: Question, text: str) -> Answer:
        """Parse, link, execute and prove one plan."""
        from raykg.kg.logical_form import ParseError, entities, parse, relations, write

        answer = Answer(strategy=self.name, status="unparsable", plan=text.strip(), raw=text, version=self.graph.version)
        try:
            form = parse(text.strip(), self.graph)
        except ParseError as error:
            return replace(answer, error=str(error))
        form = leave_topics_out(form) if self.config.exclude_topic else form
        answer = replace(answer, plan=write(form))
        if not relations(form):
            return replace(answer, error="the plan names no relation, so it asks nothing")
        names = list(dict.fromkeys(entity.name for entity in entities(form)))
        with phase("link"):
            found = self.link(names, question)
        unknown = [name for name, candidates in zip(names, found, strict=True) if not candidates]
        if unknown:
            where = "the graph" if question.topics is None else "the topics given"
            return replace(answer, status="unlinked", error=f"{unknown[0]!r}: nothing in {where} is called so")
        return self._execute(form, names, found, answer)

    def link(self, names: Sequence[str], question: Question) -> list[list[Candidate]]:
        """Return the candidates of each name; of topics, where they are given."""
        limit = self.config.candidates
        if question.topics is None:
            return self._link_in_text(names, question.text)
        topics = question.topic_ids
        nodes = [[node] for node in topics] if topics else [[one.node for one in self.linker.link(name, limit)] for name in question.topics]
        among = [node for group in nodes for node in group]
        found = [self.linker.link(name, limit, among=among) for name in names]
        missed = [place for place, candidates in enumerate(found) if not candidates]
        if len(names) == len(nodes) and missed:  # one name per topic: a name that resembles none is the topic that is left
            used = {candidate.node for candidates in found for candidate in candidates}
            left = [group for group in nodes if not used.intersection(group)]
            if len(missed) == 1 == len(left):
                found[missed[0]] = self._as_candidates(left[0])
        return found

    def _link_in_text(self, names: Sequence[str], text: str) -> list[list[Candidate]]:
        """Return the candidates of each name, repairing slips of copying by what the question itself names.

        A name slipped where the question does not hold it, or holds it only as part of a longer name. It is looked for among the names
        that the question does hold; one that resembles none of them is the most telling name that the plan leaves out.
        """
        from raykg.kg.linking import fold

        limit = self.config.candidates
        found = self.linker.link_many(names, limit)
        mentions = self.linker.mentions(text) if text else []
        if not mentions:
            return found
        held = [f" {fold(mention.text)} " for mention in mentions]
        folded = f" {fold(text)} {fold(_POSSESSIVE.sub('', text))} "  # "The Brave's stars" holds "The Brave"
        slips = []
        for place, mark in enumerate(f" {fold(name)} " for name in names):
            itself = max((mention.score for mention, whole in zip(mentions, held, strict=True) if whole == mark), default=0.0)
            around = [
                mention
                for mention, whole in zip(mentions, held, strict=True)
                if mark in whole and mention.score > itself and mention.candidates[0].how in ("exact", "alias")
            ]
            if mark not in folded:
                slips.append(place)
            elif around:
                found[place] = around[0].candidates[:limit]
        used = {candidate.node for place, candidates in enumerate(found) if place not in slips for candidate in candidates}
        for place in slips:
            nodes = sorted({candidate.node for mention in mentions for candidate in mention.candidates})
            alike = self.linker.link(names[place], limit, among=nodes)
            written = [candidate for candidate in found[place] if f" {fold(self.graph.label(candidate.node))} " in folded]
            left = (mention.candidates for mention in mentions if not used.intersection(one.node for one in mention.candidates))
            found[place] = alike or written or next(left, [])[:limit] or found[place]
            used |= {candidate.node for candidate in found[place]}
        return found

    def _as_candidates(self, nodes: Sequence[int]) -> list[Candidate]:
        from raykg.kg.linking import Candidate

        return [Candidate(node, 0.0, "fuzzy") for node in nodes]

    def _execute(self, form: LogicalForm, names: Sequence[str], found: Sequence[Sequence[Candidate]], answer: Answer) -> Answer:
        """Execute combinations of candidates, best first, until one gives something."""
        from raykg.kg.logical_form import Budget, BudgetExceeded, Count, bind, execute

        deadline = time.monotonic() + self.config.seconds
        zero: Answer | None = None
        empty, stopped, best = False, "", None
        unproved: Answer | None = None
        for total, nodes in _best_first(found, self.config.combinations):
            best = total if best is None else best
            if zero is not None and total < best:
                break  # a count of nothing yields only to nodes of the same name, not to names that look alike
            budget = Budget(triples=self.config.triples, answers=self.config.answers, seconds=max(0.0, deadline - time.monotonic()))
            bound = bind(form, dict(zip(names, nodes, strict=True)))
            try:
                with phase("execute"):
                    result = execute(bound, self.graph, budget)
            except BudgetExceeded as error:
                stopped = stopped or str(error)
                if error.what == "seconds":
                    break
                continue
            if result.empty:
                empty = True
                continue
            here = self._answered(bound, result, answer, budget)
            if here.status != "answered":
                unproved = unproved or here
            elif isinstance(form, Count) and result.count == 0:
                zero = zero or here
            else:
                return here
        if zero is not None or unproved is not None:
            return zero or unproved or answer
        if stopped or not empty:
            return replace(answer, status="over_budget", error=stopped)
        return replace(answer, status="empty", error="the plan ran and found nothing")

    def _answered(self, bound: LogicalForm, result: Result, answer: Answer, budget: Budget) -> Answer:
        from raykg.kg.logical_form import fault

        ids = tuple(int(node) for node in result.answers)
        with phase("prove"):
            proof = self._prove(bound, result, budget) if self.config.proved else None
            wrong = None if proof is None else fault(proof, self.graph, replace(budget, seconds=self.config.seconds))
        if wrong is not None:
            return replace(answer, status="empty", error=f"the plan ran, and the proof of what it found does not hold: {wrong}")
        return replace(
            answer,
            status="answered",
            answers=tuple(self.graph.labels(result.answers)) if result.count is None else (str(result.count),),
            ids=ids,
            count=result.count,
            proof=proof,
            citations=() if proof is None else tuple(triple.id for triple in proof.triples),
        )

    def _prove(self, bound: LogicalForm, result: Result, budget: Budget) -> Proof | None:
        from raykg.kg.logical_form import BudgetExceeded, prove

        try:
            return prove(bound, self.graph, result, limit=self.config.proved, budget=replace(budget, seconds=self.config.seconds))
        except BudgetExceeded:  # keeping the edges costs a little more than executing did
            return None


def leave_topics_out(form: LogicalForm) -> LogicalForm:
    """Return the plan with every walk of several hops that begins at an entity leaving that entity out."""
    from raykg.kg.logical_form import Entity, Hop, Path, children, with_children

    form = with_children(form, [cast("NodeSet", leave_topics_out(part)) for part in children(form)])
    if isinstance(form, Path) and isinstance(form.source, Entity) and sum(isinstance(step, Hop) for step in form.steps) > 1:
        return replace(form, away=True)
    return form


def _best_first(found: Sequence[Sequence[Candidate]], limit: int) -> Iterator[tuple[float, tuple[int, ...]]]:
    """Yield (total score, one node per name) by falling score, at most `limit`; ties by the candidates' ranks."""

    def entry(ranks: tuple[int, ...]) -> tuple[float, tuple[int, ...]]:
        return -round(sum(found[name][rank].score for name, rank in enumerate(ranks)), 6), ranks

    heap = [entry((0,) * len(found))]
    seen = {heap[0][1]}
    for _ in range(limit):
        if not heap:
            return
        negative, ranks = heapq.heappop(heap)
        yield -negative, tuple(found[name][rank].node for name, rank in enumerate(ranks))
        for name, rank in enumerate(ranks):
            after = (*ranks[:name], rank + 1, *ranks[name + 1 :])
            if rank + 1 < len(found[name]) and after not in seen:
                seen.add(after)
                heapq.heappush(heap, entry(after))

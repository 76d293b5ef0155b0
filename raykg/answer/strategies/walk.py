"""Walk: the model goes from the question's entity along relations, each step chosen from what the graph offers.

Paper: Knowledge Solver: Teaching LLMs to Search for Domain Knowledge from Knowledge Graphs, 2023, arXiv 2309.03118.

As in the paper retrieval is a game of choices; here a step takes all neighbours by one relation, so that a walk is a plan, and its answers
are proved like those of a plan. The model picks an option or stopping (`raykg.answer.choosing`), by likelihood among the options and never
as free text: it cannot leave the graph. After `max_hops` steps, or where nothing leads on, the walk stops by itself.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from raykg.answer.choosing import By, Crossroads, ModelChooser, Option, Picked, bare_prompt, prompt
from raykg.answer.phases import phase
from raykg.answer.question import Answer, AnswerError, Question, Status
from raykg.answer.topics import topic_nodes
from raykg.config.schema import NonNegativeInt, PositiveFloat, PositiveInt, config
from raykg.data.prompts import plan_prompt

if TYPE_CHECKING:
    from raykg.answer.choosing import Chooser
    from raykg.answer.generation import Generator, TooLong
    from raykg.kg.graph import KnowledgeGraph
    from raykg.kg.linking import Linker
    from raykg.kg.logical_form import Budget, Hop, LogicalForm
    from raykg.kg.logical_form.evaluate import Meter

SEARCH: dict[str, list[object]] = {"by": ["number", "words", "plan"], "max_hops": [1, 2, 3], "neighbours": [1, 3, 5]}


@config
class Config:
    """How far a walk goes and what it is shown."""

    by: By = "plan"
    """What the model finds likely or not: the `number` of an option, as in the paper, its `words`, or the `plan` that the walk would be
    with it, for models that were trained on plans."""
    max_hops: PositiveInt = 3
    """Steps of a walk; each costs one look of the model at the options."""
    options: PositiveInt = 24
    """Ways on that are shown, those whose relation resembles the question's words first where there are more."""
    neighbours: PositiveInt = 3
    """Names shown of where an option leads."""
    mentions: PositiveInt = 3
    """Names in the question from which a walk may start, when topics are linked."""
    triples: PositiveInt = 200_000
    """Triples that one walk may visit."""
    answers: PositiveInt = 100_000
    """Answers that one walk may give."""
    seconds: PositiveFloat = 10.0
    """Wall time of one walk's look at the graph, without the model's choices."""
    proved: NonNegativeInt = 20
    """Answers that the proof covers, the first ones; 0 makes no proof."""


@dataclass(slots=True)
class _Walker:
    row: int
    question: Question
    origins: tuple[int, ...]
    meter: Meter
    spent: float = 0.0  # seconds of the meter's clock
    hops: list[Hop] = field(default_factory=list)
    nodes: NDArray[np.int64] | None = None  # None before the first step
    likely: list[float] = field(default_factory=list)
    walked: str = ""
    failed: Answer | None = None
    done: bool = False


class Walk:
    """Answers with the nodes where a walk of the model ends.

    Abilities: several topics to start from; walks back and forth; proofs; an injected chooser in the model's place.
    Not supported: intersections, counts, comparisons; coming back to the topic.
    """

    name = "walk"

    def __init__(self, config: Config, graph: KnowledgeGraph, linker: Linker, generator: Generator, chooser: Chooser | None = None) -> None:
        """Hold what answering needs; `chooser` picks in the place of the generator's model."""
        self.config = config
        self.graph = graph
        self.linker = linker
        self.chooser = ModelChooser(generator, config.by) if chooser is None else chooser

    @staticmethod
    def prompt_words(config: Config) -> str:
        """Return what the model reads at a crossroads."""
        if config.by == "plan":
            return f"{plan_prompt('{question}')} {{plan so far}}\n(steps of a plan, and its end, are scored, nothing is written)"
        nowhere = np.zeros(0, np.int64)
        ways = (None, *(Option(0, "", True, nowhere, f"{{way {number}}}") for number in (1, 2)))
        here = Crossroads(Question("{question}"), "{way so far}", nowhere, ways)
        if config.by == "words":
            return f"{bare_prompt(here)}\n(words of ways are scored, nothing is written)"
        return f"{prompt(here)}\n(numbers are scored, nothing is written)"

    def answer(self, questions: Sequence[Question]) -> list[Answer]:
        """Return one answer per question, in order.

        Raises:
            AnswerError: an injected chooser picks what is not offered.
        """
        started = time.perf_counter()
        walkers = [self._start(row, question) for row, question in enumerate(questions)]
        for _ in range(self.config.max_hops):
            self._step([walker for walker in walkers if not walker.done])
        answers = [walker.failed or self._answered(walker) for walker in walkers]
        share = (time.perf_counter() - started) / max(1, len(questions))
        return [replace(answer, seconds=share) for answer in answers]

    def _start(self, row: int, question: Question) -> _Walker:
        from raykg.kg.logical_form.evaluate import Meter

        nodes = topic_nodes(question, self.linker, self.config.mentions)
        walker = _Walker(row, question, tuple(nodes), Meter(self._budget()), walked=" or ".join(self.graph.labels(nodes)) if nodes else "")
        if not nodes:
            self._fail(walker, "unlinked", "no name in the question is in the graph")
        return walker

    def _step(self, walkers: Sequence[_Walker]) -> None:
        """Take one step with each of some walkers."""
        from raykg.kg.logical_form import Hop

        standing = [(walker, crossroads) for walker in walkers if (crossroads := self._crossroads(walker)) is not None]
        for (walker, crossroads), picked in zip(standing, self.chooser.choose([crossroads for _, crossroads in standing]), strict=True):
            if not isinstance(picked, Picked):
                self._too_long(walker, picked)
                continue
            if not 0 <= picked.place < len(crossroads.options):
                raise AnswerError(f"chooser: picked {picked.place}, expected one of the {len(crossroads.options)} options, from 0 on")
            option = crossroads.options[picked.place]
            walker.likely.append(picked.probability)
            if option is None:
                walker.done = True
                continue
            walker.origins, walker.nodes = (option.origin,), option.nodes
            walker.hops.append(Hop(option.relation, option.forward))
            walker.walked = option.words if len(walker.hops) == 1 else f"{walker.walked}; {option.words}"

    def _crossroads(self, walker: _Walker) -> Crossroads | None:
        """Return where a walker stands; None where nothing leads on, and the walker is done."""
        from raykg.kg.logical_form import BudgetExceeded

        walker.meter.started = time.monotonic() - walker.spent  # the clock stands while models choose, for all walkers of a batch
        try:
            if walker.nodes is None:
                options = [option for node in walker.origins for option in self._options(walker, node, np.array([node]))]
            else:
                onward = walker.nodes[walker.nodes != walker.origins[0]]  # a walk does not come back
                options = list(self._options(walker, walker.origins[0], onward))
        except BudgetExceeded as error:
            self._fail(walker, "over_budget", str(error))
            return None
        walker.spent = time.monotonic() - walker.meter.started
        if not options:
            walker.done = True
            return None
        here = np.array(walker.origins, dtype=np.int64) if walker.nodes is None else walker.nodes
        stop = () if walker.nodes is None else (None,)
        return Crossroads(walker.question, walker.walked, here, (*stop, *self._shown(walker.question, options)))

    def _options(self, walker: _Walker, origin: int, nodes: NDArray[np.int64]) -> Iterator[Option]:
        """Yield the ways on from some nodes: each relation along, then each relation back."""
        from raykg.kg.logical_form import Entity, Hop, path, write

        start = Entity(self.graph.label(origin), origin)
        lead = write(path(start, *walker.hops))
        for forward in (True, False):
            side = self.graph.forward if forward else self.graph.backward
            walker.meter.spare(int(side.degree(nodes).sum()))
            edges = side.edges(nodes)
            walker.meter.visit(len(edges.triple))
            for relation in np.unique(edges.relation).tolist():
                reached = np.unique(np.asarray(edges.neighbour[edges.relation == relation], dtype=np.int64))
                if walker.nodes is not None:
                    reached = reached[reached != origin]
                if len(reached):
                    name = self.graph.relation_names[relation]
                    words = self._words(nodes, name, forward, reached)
                    plan = write(path(start, *walker.hops, Hop(name, forward)))
                    yield Option(origin, name, forward, reached, words, lead, plan.removeprefix(lead))

    def _words(self, nodes: NDArray[np.int64], relation: str, forward: bool, reached: NDArray[np.int64]) -> str:
        here = self.graph.label(int(nodes[0])) if len(nodes) == 1 else "these"
        names = ", ".join(self.graph.labels(reached[: self.config.neighbours]))
        more = len(reached) - self.config.neighbours
        there = names + (f" and {more} more" if more > 0 else "")
        return f"{here} {relation} {there}" if forward else f"{there} {relation} {here}"

    def _shown(self, question: Question, options: Sequence[Option]) -> list[Option]:
        """Return at most as many options as are shown, in their order; where there are more, those that resemble the question."""
        from raykg.kg.linking import fold
        from raykg.kg.linking.words import STOP_WORDS, likeness

        if len(options) <= self.config.options:
            return list(options)
        asked = [word for word in fold(question.text).split() if word not in STOP_WORDS]

        def worth(place: int) -> float:
            words = fold(options[place].relation).split()
            return max((likeness(word, other) for word in words for other in asked), default=0.0)

        best = sorted(range(len(options)), key=lambda place: (-worth(place), place))[: self.config.options]
        return [options[place] for place in sorted(best)]

    def _answered(self, walker: _Walker) -> Answer:
        """Return where a walk ended, as the answer of the plan that the walk is."""
        from raykg.kg.logical_form import BudgetExceeded, Entity, execute, path, prove, write

        answer = Answer(strategy=self.name, status="empty", version=self.graph.version)
        if not walker.hops:
            return replace(answer, error="no edge leads away from the question's entities")
        origin = Entity(self.graph.label(walker.origins[0]), walker.origins[0])
        form: LogicalForm = path(origin, *walker.hops, away=len(walker.hops) > 1)
        answer = replace(answer, plan=write(form), confidence=float(np.mean(walker.likely)))
        try:
            with phase("execute"):
                result = execute(form, self.graph, self._budget())
            with phase("prove"):
                proof = prove(form, self.graph, result, limit=self.config.proved, budget=self._budget()) if self.config.proved else None
        except BudgetExceeded as error:
            return replace(answer, status="over_budget", error=str(error))
        return replace(
            answer,
            status="answered",
            answers=tuple(self.graph.labels(result.answers)),
            ids=tuple(int(node) for node in result.answers),
            proof=proof,
            citations=() if proof is None else tuple(triple.id for triple in proof.triples),
        )

    def _budget(self) -> Budget:
        from raykg.kg.logical_form import Budget

        return Budget(triples=self.config.triples, answers=self.config.answers, seconds=self.config.seconds)

    def _too_long(self, walker: _Walker, why: TooLong) -> None:
        self._fail(walker, "too_long", str(why))

    def _fail(self, walker: _Walker, status: Status, error: str) -> None:
        walker.failed = Answer(strategy=self.name, status=status, error=error, version=self.graph.version)
        walker.done = True

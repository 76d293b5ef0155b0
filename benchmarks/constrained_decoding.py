"""What constrained decoding costs and gives: the same prompts with and without it.

    python benchmarks/constrained_decoding.py                      # the base model, its weights as they are: it has never seen a plan
    python benchmarks/constrained_decoding.py runs/quickstart      # the model of a run, on the run's own test questions
    python benchmarks/constrained_decoding.py runs/quickstart --questions 64 --repeats 3

Printed for each way: seconds, tokens a second, how many texts are plans with a relation; then how long a token takes beside an
unconstrained one, by the clock and by the time of choosing alone, which a noisy machine disturbs less. The ways alternate, since
the speed of a shared machine drifts, and the time of a way is its best. One thread, so that nothing depends on how well threads
share the cores.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported

from raykg.answer import generation  # noqa: E402
from raykg.answer.constrained_grammar import PlanGrammar  # noqa: E402
from raykg.answer.constrained_names import stretches  # noqa: E402
from raykg.data.prompts import STOP, plan_prompt  # noqa: E402

if TYPE_CHECKING:
    from raykg.answer.generation import Generator
    from raykg.kg.graph import KnowledgeGraph

TOKENS = 64
QUESTIONS = [  # for the base model, over a graph made here
    "who directed Alien",
    "which films star Sigourney Weaver",
    "what language is Amélie in",
    "how many films did Ridley Scott direct",
    "which films by James Cameron are newer than 1985",
    "who starred in the longest film of Michael Mann",
    "which is older: Blade Runner or The Terminator",
    "what genres do the films of Jean-Pierre Jeunet have",
]


@dataclass
class Way:
    """One way to decode, and what was measured of it."""

    name: str
    grammars: list[PlanGrammar] | None
    seconds: list[float] = field(default_factory=list)
    choosing: list[float] = field(default_factory=list)
    tokens: int = 0
    parsed: int = 0
    texts: list[str] = field(default_factory=list)


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("run", nargs="?", type=Path, help="a finished run's folder; without one the base model is asked")
    arguments.add_argument("--questions", type=int, default=64, help="how many prompts")
    arguments.add_argument("--repeats", type=int, default=3, help="how often each way is timed")
    arguments.add_argument("--batch", type=int, default=16, help="rows that generate together")
    given = arguments.parse_args()
    import torch

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        generator, graph, questions = opened(given.run, given.questions, given.batch, Path(scratch))
        compare(generator, graph, questions, given.repeats)


def opened(run: Path | None, count: int, batch: int, scratch: Path) -> tuple[Generator, KnowledgeGraph, list[str]]:
    """Return a generator, the graph that plans are about, and questions."""
    if run is not None:
        import numpy as np

        from raykg.answer.opening import open_model
        from raykg.data.question_set import QuestionSet
        from raykg.eval.suites.kgqa import questions_of

        model = open_model(run, batch=batch)
        folder = next(iter(sorted((run / "questions").glob("test-*"))))
        rows = QuestionSet.open(folder)
        table = rows.take(np.arange(min(count, rows.num_rows)))
        return model.generator, model.graph, [question.text for question in questions_of(table, "linked")]
    from raykg.kg.build import from_triples
    from raykg.models.reference import DEFAULT, load_model, load_tokenizer, resolve

    folder = resolve(DEFAULT)
    relations = ["directed_by", "written_by", "starred_actors", "release_year", "in_language", "has_genre", "runtime", "country"]
    graph = from_triples(scratch, [("Alien", relation, "x") for relation in relations])
    questions = [QUESTIONS[number % len(QUESTIONS)] for number in range(count)]
    return generation.Generator(load_model(folder, "float32"), load_tokenizer(folder), batch), graph, questions


def compare(generator: Generator, graph: KnowledgeGraph, questions: list[str], repeats: int) -> None:
    """Time each way in turn, then print what came of it."""
    grammar = PlanGrammar.of(graph, asking=True)
    copying = [grammar.copying(stretches(question)) for question in questions]
    ways = [Way("unconstrained", None), Way("plans", [grammar] * len(questions)), Way("plans, names copied", copying)]
    prompts = [plan_prompt(question) for question in questions]
    generator.generate(prompts[:2], 4, STOP)  # what is set up once is nobody's time
    started = time.perf_counter()
    _ = generator.vocabulary
    print(f"reading the tokenizer's {len(generator.vocabulary.pieces)} tokens, once: {time.perf_counter() - started:.2f} s")
    clock = Clock()
    for _ in range(repeats):
        for way in ways:
            clock.seconds = 0.0
            before, started = generator.new_tokens, time.perf_counter()
            texts = generator.generate(prompts, TOKENS, STOP, way.grammars)
            way.seconds.append(time.perf_counter() - started)
            way.choosing.append(clock.seconds)
            way.tokens = generator.new_tokens - before
            way.texts = [str(text) for text in texts]
    for way in ways:
        way.parsed = sum(parses(text, graph) for text in way.texts)
        best = min(way.seconds)
        print(f"{way.name:>20}: {best:6.2f} s, {way.tokens} tokens, {way.tokens / best:6.1f}/s, {way.parsed} of {len(questions)} are plans")
    plain = ways[0]
    for way in ways[1:]:
        ratio = min(way.seconds) / way.tokens / (min(plain.seconds) / plain.tokens)
        extra = (min(way.choosing) / way.tokens - min(plain.choosing) / plain.tokens) / (min(plain.seconds) / plain.tokens)
        same = sum(a == b for a, b in zip(plain.texts, way.texts, strict=True))
        print(f"{way.name}: {ratio:.3f} times the seconds per token; choosing alone costs {extra:.2%} more; {same} texts are the same")


class Clock:
    """Adds up the time in which tokens are chosen out of logits; the model's own time is not in it."""

    def __init__(self) -> None:
        """Put a clock around the choice."""
        self.seconds = 0.0
        choose = generation._choose

        def timed(*arguments: Any) -> Any:  # noqa: ANN401
            started = time.perf_counter()
            chosen = choose(*arguments)
            self.seconds += time.perf_counter() - started
            return chosen

        generation._choose = timed


def parses(text: str, graph: KnowledgeGraph) -> bool:
    """Tell whether a text is a plan that asks something: any words are the name of an entity, which is a plan without a relation."""
    from raykg.kg.logical_form import ParseError, parse, relations

    try:
        return bool(relations(parse(text.strip(), graph)))
    except ParseError:
        return False


if __name__ == "__main__":
    main()

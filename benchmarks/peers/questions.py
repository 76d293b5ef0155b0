"""What a load test asks: many questions about few films, so that they share subgraphs.

    questions = about_few(run, 300, films=30)
    prompts = reading_prompts(run, questions)       # the facts about each question's film, and the question

The same seed, films and words give the same questions.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from raykg.config.choice import Chosen

READ = {"order": "stable"}  # facts stand in the order of the graph, so that prompts about one film begin alike


def about_few(run: Path, count: int, films: int) -> list[str]:
    """Return questions about few entities: those that one-hop test questions begin at, in the words of all of these questions.

    Raises:
        SystemExit: there are not so many.
    """
    from raykg.data.question_set import QuestionSet

    rows = [
        row
        for folder in sorted((run / "questions").glob("test-*"))
        for row in QuestionSet.open(folder).to_table().to_pylist()
        if row["kind"] == "1-hop" and " > " in row["plan"] and row["topics"][0] in row["question"]
    ]
    names = list(dict.fromkeys(row["topics"][0] for row in rows))[:films]
    asked = list(dict.fromkeys(row["question"].replace(row["topics"][0], name) for name in names for row in rows))
    if len(asked) < count:
        raise SystemExit(f"--questions ({count}): about {films} films there are {len(asked)}: ask fewer, or about more --films")
    return random.Random(0).sample(asked, count)


def strategy_of(run: Path, name: str) -> Chosen:
    """Return a strategy with the settings of its training, and with those by which every server of the test runs it."""
    from dataclasses import replace

    from raykg.answer.opening import choose_strategy, open_saved

    found = choose_strategy(name, open_saved(run))
    return replace(found, config=replace(found.config, **READ)) if name == "read" else found


def reading_prompts(run: Path, questions: Sequence[str]) -> list[str]:
    """Return what `read` lets the model read for each question."""
    from raykg.answer.opening import open_graph, open_saved
    from raykg.answer.question import Question
    from raykg.answer.strategies import make_strategy
    from raykg.kg.linking import Linker
    from raykg.models.reference import load_tokenizer
    from raykg.models.saved import verified_base

    saved = open_saved(run)
    graph, tokenizer = open_graph(saved), load_tokenizer(saved.weights or verified_base(saved))
    counting = cast("Any", SimpleNamespace(tokenizer=tokenizer))  # facts are counted in tokens; nothing is generated here
    reading = cast("Any", make_strategy(strategy_of(run, "read"), graph, Linker(graph), counting))
    asked = [Question(text) for text in questions]
    return [reading.prompt(one, reading.facts(one.text, reading.topics(one)).texts) for one in asked]

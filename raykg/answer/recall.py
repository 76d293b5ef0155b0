"""Recall: what a model remembers of a fact with a question mark in it, asked after a few examples.

    Recall(generator).names([Missing("Alien", "directed by", "?")])      # [["Ridley Scott"]]

What the model writes is read as names and as nothing else: it is never run, and never becomes part of a query.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from raykg.answer.prompting import Style, worded
from raykg.answer.question import Missing
from raykg.data.prompts import STOP, closed_book_prompt, one_line, parse_read_answer
from raykg.kg.linking import fold

if TYPE_CHECKING:
    from raykg.answer.generation import Generator

INSTRUCTION = "Complete each fact: answer with the name or number that stands in the place of the question mark."
EXAMPLES: tuple[tuple[str, str], ...] = (
    (closed_book_prompt("France capital ?"), "Paris"),
    (closed_book_prompt("? written by Jane Austen"), "Emma; Persuasion"),
    (closed_book_prompt("Uruguay borders ?"), "Argentina; Brazil"),
    (closed_book_prompt("Sony founded in ?"), "1946"),
)
_LONGEST = 200  # characters of a name, as linking has it
_NOTHING = frozenset(("", "unknown", "none", "nothing", "i do not know", "i dont know", "not known", "n a"))


@dataclass(frozen=True, slots=True)
class Recall:
    """Asks a model to complete facts.

    Attributes:
        most: names taken from one text, the first ones.
        tokens: new tokens that the model may write for one fact.
        style: how the model is asked; see `raykg.answer.prompting`.
    """

    generator: Generator
    most: int = 3
    tokens: int = 24
    style: Style = "few_shot"

    def prompt(self, pattern: Missing) -> str:
        """Return what the model reads."""
        return prompt_words(self.style, f"{pattern.head} {pattern.relation} {pattern.tail}", self.generator.tokenizer)

    def names(self, patterns: Sequence[Missing]) -> list[list[str]]:
        """Return the names that the model puts in the place of each question mark, in order; none where its prompt is too long."""
        if not patterns:
            return []
        texts = self.generator.generate([self.prompt(pattern) for pattern in patterns], self.tokens, STOP)
        return [self._read(text, pattern) if isinstance(text, str) else [] for text, pattern in zip(texts, patterns, strict=True)]

    def _read(self, text: str, pattern: Missing) -> list[str]:
        """Return the names in a text, cleaned of what no name is."""
        known = {fold(pattern.head), fold(pattern.tail), *_NOTHING}
        names = [one_line(name).rstrip(".").strip() for name in parse_read_answer(text, 0).answers]
        good = [name for name in names if name.isprintable() and len(name) <= _LONGEST and fold(name) not in known]
        return list(dict.fromkeys(good))[: self.most]


def prompt_words(style: Style, fact: str, tokenizer: object = None) -> str:
    """Return the prompt of a fact with a question mark in it; without a tokenizer, for people to read."""
    return worded(style, tokenizer, closed_book_prompt(fact), INSTRUCTION, EXAMPLES)

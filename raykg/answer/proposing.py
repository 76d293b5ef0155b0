"""Proposals for missing facts: what the model remembers, checked against passages.

    proposer = Proposer(graph, linker, generator, witness=Witness(graph, linker, passages))
    proposer.propose([Missing("Alien", "directed by", "?", head_id=17)])[0]

For each pattern the model is asked once, after a few examples, what stands in the place of the question mark. Then the passages speak:

    passages put other names there        their names are proposed, how="passage"; the model's where they agree, "model and passage"
    a passage names the model's beside    the model's, how="model and passage"
    the known side
    no passage says anything              the model's, how="model": nothing speaks for it

What the model writes is a name and nothing else: it is linked by spelling to a node that fits the relation (`raykg.answer.ranges`),
compared as text, and never run or put into a query.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from raykg.answer.prompting import Style, worded
from raykg.answer.question import Missing, Proposed
from raykg.answer.ranges import Ranges
from raykg.data.prompts import STOP, closed_book_prompt, one_line, parse_read_answer
from raykg.kg.linking import fold

if TYPE_CHECKING:
    from raykg.answer.generation import Generator, TooLong
    from raykg.answer.testimony import Testimony, Witness
    from raykg.kg.graph import KnowledgeGraph
    from raykg.kg.linking import Linker

INSTRUCTION = "Complete each fact: answer with the name or number that stands in the place of the question mark."
EXAMPLES: tuple[tuple[str, str], ...] = (
    (closed_book_prompt("France capital ?"), "Paris"),
    (closed_book_prompt("? written by Jane Austen"), "Emma; Persuasion"),
    (closed_book_prompt("Uruguay borders ?"), "Argentina; Brazil"),
    (closed_book_prompt("Sony founded in ?"), "1946"),
)
_SURE = ("exact", "alias", "folded")
_CANDIDATES = 10  # nodes of one name that are looked at
_LONGEST = 200  # characters of a name, as linking has it
_NOTHING = frozenset(("", "unknown", "none", "nothing", "i do not know", "i dont know", "not known", "n a"))


@dataclass(frozen=True, slots=True)
class Proposer:
    """Completes missing facts from the model's memory and from passages.

    Attributes:
        witness: asks passages; None where there are none, then everything is the model's word alone.
        most: names proposed for one pattern.
        tokens: new tokens that the model may write for one pattern.
        style: how the model is asked; see `raykg.answer.prompting`.
    """

    graph: KnowledgeGraph
    linker: Linker
    generator: Generator
    witness: Witness | None = None
    most: int = 3
    tokens: int = 24
    style: Style = "few_shot"
    ranges: Ranges = field(init=False)

    def __post_init__(self) -> None:
        """Look at the sides of the graph's relations once."""
        object.__setattr__(self, "ranges", Ranges(self.graph))

    def prompt(self, pattern: Missing) -> str:
        """Return what the model reads."""
        return prompt_words(self.style, f"{pattern.head} {pattern.relation} {pattern.tail}", self.generator.tokenizer)

    def propose(self, patterns: Sequence[Missing]) -> list[tuple[Proposed, ...]]:
        """Return the proposals for each pattern, in order; facts that the graph has are not proposed."""
        texts = self.generator.generate([self.prompt(pattern) for pattern in patterns], self.tokens, STOP) if patterns else []
        return [self._checked(pattern, self._names(pattern, text)) for pattern, text in zip(patterns, texts, strict=True)]

    def _names(self, pattern: Missing, text: str | TooLong) -> list[str]:
        """Return the names that the model wrote, cleaned of what no name is."""
        if not isinstance(text, str):
            return []
        known = {fold(pattern.head), fold(pattern.tail), *_NOTHING}
        names = [one_line(name).rstrip(".").strip() for name in parse_read_answer(text, 0).answers]
        good = [name for name in names if name.isprintable() and len(name) <= _LONGEST and fold(name) not in known]
        return list(dict.fromkeys(good))[: self.most]

    def _checked(self, pattern: Missing, names: Sequence[str]) -> tuple[Proposed, ...]:
        testimonies = [] if self.witness is None else self.witness.hear(pattern)
        linked = {name: self._node(name, pattern) for name in names}
        said = {node: (name, one) for one in reversed(testimonies) for node, name in one.names.items()}
        if said:
            folded, nodes = {fold(name) for name in names}, set(linked.values())
            found = [
                self._fact(pattern, name, node, one, model=node in nodes or fold(name) in folded)
                for node, (name, one) in sorted(said.items(), key=lambda item: testimonies.index(item[1][1]))
            ]
        else:
            beside = {name: next((one for one in testimonies if one.mentions(name)), None) for name in names}
            found = [self._fact(pattern, name, linked[name], beside[name], model=True) for name in names]
        return tuple(fact for fact in found if not self._known(fact))[: self.most]

    def _node(self, name: str, pattern: Missing) -> int | None:
        """Return the node that is called so and fits the pattern: of 1971 the year, not the film, where a year is missing."""
        relation = self.graph.relation(pattern.relation)
        sure = [one.node for one in self.linker.link(name, _CANDIDATES) if one.how in _SURE]
        return next((node for node in sure if self.ranges.fits(node, relation, pattern.tail != "?")), None)

    def _fact(self, pattern: Missing, name: str, node: int | None, heard: Testimony | None, *, model: bool) -> Proposed:
        ahead = pattern.tail == "?"
        name = name if node is None else self.graph.label(node)
        return Proposed(
            head=pattern.head if ahead else name,
            relation=pattern.relation,
            tail=name if ahead else pattern.tail,
            head_id=pattern.head_id if ahead else node,
            tail_id=node if ahead else pattern.tail_id,
            how="model" if heard is None else "model and passage" if model else "passage",
            evidence="" if heard is None else heard.passage.text,
            source="" if heard is None else heard.passage.id,
        )

    def _known(self, fact: Proposed) -> bool:
        if fact.head_id is None or fact.tail_id is None:
            return False
        return self.graph.find_triple(fact.head_id, self.graph.relation(fact.relation), fact.tail_id) >= 0


def prompt_words(style: Style, fact: str, tokenizer: object = None) -> str:
    """Return the prompt of a fact with a question mark in it; without a tokenizer, for people to read."""
    return worded(style, tokenizer, closed_book_prompt(fact), INSTRUCTION, EXAMPLES)

"""Proposals for missing facts: what the model remembers, checked against passages and against another model.

    proposer = Proposer(graph, linker, generator, witness=Witness(graph, linker, passages))
    proposer.propose([Missing("Alien", "directed by", "?", head_id=17)])[0]

For each pattern the model is asked once, after a few examples, what stands in the place of the question mark. Then the passages speak:

    passages put other names there        their names are proposed, how="passage"; the model's where they agree, "model and passage"
    a passage names the model's beside    the model's, how="model and passage"
    the known side
    no passage says anything              the model's, how="model": nothing speaks for it

Where nothing speaks for a name and there is a second model, that one completes the same pattern without knowing what the first one said.
A name that both give, which is where the graph links both to one node that fits, gets how="two models".

What a model writes is a name and nothing else: it is linked by spelling to a node that fits the relation (`raykg.answer.ranges`),
compared as text, and never run or put into a query.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from raykg.answer.prompting import Style
from raykg.answer.question import Missing, Proposed
from raykg.answer.ranges import Ranges
from raykg.answer.recall import Recall
from raykg.kg.linking import fold

if TYPE_CHECKING:
    from raykg.answer.generation import Generator
    from raykg.answer.second_model import Completing
    from raykg.answer.testimony import Testimony, Witness
    from raykg.kg.graph import KnowledgeGraph
    from raykg.kg.linking import Linker

_SURE = ("exact", "alias", "folded")
_CANDIDATES = 10  # nodes of one name that are looked at


@dataclass(frozen=True, slots=True)
class Proposer:
    """Completes missing facts from the model's memory and from passages.

    Attributes:
        witness: asks passages; None where there are none.
        most: names proposed for one pattern.
        tokens: new tokens that the model may write for one pattern.
        style: how the model is asked; see `raykg.answer.prompting`.
        second: another model, asked about names for which no passage speaks; None where there is none.
    """

    graph: KnowledgeGraph
    linker: Linker
    generator: Generator
    witness: Witness | None = None
    most: int = 3
    tokens: int = 24
    style: Style = "few_shot"
    second: Completing | None = None
    ranges: Ranges = field(init=False)

    def __post_init__(self) -> None:
        """Look at the sides of the graph's relations once."""
        object.__setattr__(self, "ranges", Ranges(self.graph))

    def propose(self, patterns: Sequence[Missing]) -> list[tuple[Proposed, ...]]:
        """Return the proposals for each pattern, in order; facts that the graph has are not proposed."""
        recalled = Recall(self.generator, self.most, self.tokens, self.style).names(patterns)
        found = [self._checked(pattern, names) for pattern, names in zip(patterns, recalled, strict=True)]
        return found if self.second is None else self._heard_twice(self.second, patterns, found)

    def _heard_twice(
        self, second: Completing, patterns: Sequence[Missing], found: list[tuple[Proposed, ...]]
    ) -> list[tuple[Proposed, ...]]:
        """Return the proposals with those marked on which the second model agrees; it is asked only where nothing else speaks."""
        alone = [row for row, facts in enumerate(found) if any(fact.how == "model" for fact in facts)]
        for row, names in zip(alone, second.names([patterns[row] for row in alone]), strict=True):
            found[row] = tuple(self._agreed(fact, patterns[row], names, second.reference) for fact in found[row])
        return found

    def _agreed(self, fact: Proposed, pattern: Missing, names: Sequence[str], reference: str) -> Proposed:
        """Return a proposal as supported where the second model means the same node, or says the same name where neither is a node."""
        name, node = (fact.tail, fact.tail_id) if pattern.tail == "?" else (fact.head, fact.head_id)
        for text in names if fact.how == "model" else ():
            other = self._node(text, pattern)
            if other == node and (node is not None or fold(text) == fold(name)):
                return replace(fact, how="two models", evidence=text, source=reference)
        return fact

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

"""What passages say about a missing fact: the names that they put in the place of its question mark.

    witness = Witness(graph, linker, passages)
    for said in witness.hear(Missing("Alien", "directed by", "?", head_id=17)):
        said.passage.id, said.names      # ("passages.txt:3", {42: "Ridley Scott"})

A passage counts where it names the known side of the fact, as a name of its own and not as a part of a longer one ("Alien Resurrection"
says nothing about Alien). Names belong to the nearest word before them, in their clause, that relations are called by, or to the first one
after them: in "Alien, starring Sigourney Weaver, was directed by Ridley Scott" one name belongs to each. Of two films in a passage a name
belongs to the nearer one. Only nodes fit that stand on that side of the relation elsewhere in the graph, or are of the type of those.

This is reading by rules: it is right about plain sentences, and a reviewer decides.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from raykg.answer.passages import Passage, Passages
from raykg.answer.question import Missing
from raykg.answer.ranges import Ranges
from raykg.kg.linking import fold
from raykg.kg.linking.words import STOP_WORDS, likeness

if TYPE_CHECKING:
    from raykg.kg.graph import KnowledgeGraph
    from raykg.kg.linking import Linker, Mention

_SURE = ("exact", "alias", "folded")
_MENTIONS = 200  # names of a passage that are looked at
_LONGEST = 5000  # characters of a passage that are read; a passage is a paragraph and no book
_ALIKE = 0.5  # words with a common stem: "directed" and "director" are 0.75 alike
_WORD = re.compile(r"\w+")
_CLAUSE = re.compile(r"[.!?;](?=\s|$)")


@dataclass(frozen=True, slots=True)
class Testimony:
    """One passage that names the known side of a missing fact.

    Attributes:
        names: what it puts in the place of the question mark: node -> the name as it stands there, in the order of the text.
        rest: the folded text without the known side's names, between spaces.
    """

    passage: Passage
    names: dict[int, str]
    rest: str

    def mentions(self, name: str) -> bool:
        """Tell whether the passage holds a name beside the known side's, in whole words."""
        return f" {fold(name)} " in self.rest


class _Named(NamedTuple):
    start: int
    end: int
    text: str
    nodes: tuple[int, ...]


class Witness:
    """Asks passages about missing facts.

    Abilities: both sides of a fact; several names; known sides that are no node of the graph.
    Not supported: names in the place of the question mark that are no node of the graph (`Testimony.mentions` finds those that a model
    proposes); pronouns across passages; negations.
    """

    def __init__(self, graph: KnowledgeGraph, linker: Linker, passages: Passages, limit: int = 5) -> None:
        """Hold what reading needs; `limit` is the number of passages that are read for one fact."""
        self.graph = graph
        self.linker = linker
        self.passages = passages
        self.limit = limit
        self.ranges = Ranges(graph)
        self._cues = lru_cache(maxsize=4096)(self._relations_like)

    def hear(self, pattern: Missing) -> list[Testimony]:
        """Return what the best passages say, best first; passages that do not name the known side are left out."""
        query = f"{pattern.head} {pattern.relation} {pattern.tail}"
        heard = (self._read(passage, pattern) for passage in self.passages.best(query, self.limit))
        return [testimony for testimony in heard if testimony is not None]

    def _read(self, passage: Passage, pattern: Missing) -> Testimony | None:
        ahead = pattern.tail == "?"
        known, node = (pattern.head, pattern.head_id) if ahead else (pattern.tail, pattern.tail_id)
        text = passage.text[:_LONGEST]
        named = _longest(self.linker.mentions(text, _MENTIONS))
        mine = [one for one in named if node in one.nodes or fold(one.text) == fold(known)]
        if not mine and node is None:
            mine = _written(text, known)
        if not mine:
            return None
        relation = self.graph.relation(pattern.relation)
        rest = " ".join(fold(text[a:b]) for a, b in _gaps(mine, len(text)))
        said: dict[int, str] = {}
        rivals = [one for one in named if one not in mine and any(self.ranges.fits(other, relation, ahead) for other in one.nodes)]
        cues = self._cue_places(text, named)
        for one in named:
            fitting = [other for other in one.nodes if one not in mine and self.ranges.fits(other, relation, not ahead)]
            if not fitting or relation not in _cue_of(one, cues, text):
                continue
            if _nearest(one, mine, [rival for rival in rivals if rival is not one], text):
                said.setdefault(fitting[0], one.text)
        return Testimony(passage, said, f" {rest} ")

    def _cue_places(self, text: str, named: Sequence[_Named]) -> list[tuple[int, frozenset[int]]]:
        """Return where words stand that relations are called by, outside names, and which relations."""
        found = []
        for match in _WORD.finditer(text):
            if not any(one.start <= match.start() < one.end for one in named) and (relations := self._cues(fold(match.group()))):
                found.append((match.start(), relations))
        return found

    def _relations_like(self, word: str) -> frozenset[int]:
        """Return the relations that are called by a word most alike to this one."""
        if word in STOP_WORDS:
            return frozenset()
        scores: dict[int, float] = {}
        for relation, name in enumerate(self.graph.relation_names):
            words = [part for part in fold(name).split() if part not in STOP_WORDS]
            scores[relation] = max((likeness(word, part) for part in words), default=0.0)
        best = max(scores.values(), default=0.0)
        return frozenset(relation for relation, score in scores.items() if score == best) if best >= _ALIKE else frozenset()


def _longest(mentions: Sequence[Mention]) -> list[_Named]:
    """Return the surely linked names that no longer one covers, in the order of the text."""
    sure = [one for one in mentions if one.candidates and one.candidates[0].how in _SURE]
    kept: list[_Named] = []
    for one in sorted(sure, key=lambda one: (one.start - one.end, one.start)):
        if not any(one.start < other.end and other.start < one.end for other in kept):
            nodes = tuple(candidate.node for candidate in one.candidates)
            kept.append(_Named(one.start, one.end, one.text, nodes))
    return sorted(kept)


def _written(text: str, name: str) -> list[_Named]:
    """Return where a name that no node has stands in a text, in whole words."""
    pattern = r"\W+".join(re.escape(word) for word in _WORD.findall(name))
    found = re.finditer(rf"(?<!\w){pattern}(?!\w)", text, re.IGNORECASE) if pattern else ()
    return [_Named(match.start(), match.end(), match.group(), ()) for match in found]


def _gaps(names: Sequence[_Named], length: int) -> list[tuple[int, int]]:
    """Return the stretches of a text between some names."""
    edges = [0, *(edge for one in names for edge in (one.start, one.end)), length]
    return list(zip(edges[::2], edges[1::2], strict=True))


def _clause(place: int, text: str) -> tuple[int, int]:
    """Return where the clause around a place begins and ends."""
    ends = [match.end() for match in _CLAUSE.finditer(text)]
    return max((end for end in ends if end <= place), default=0), min((end for end in ends if end > place), default=len(text))


def _cue_of(one: _Named, cues: Sequence[tuple[int, frozenset[int]]], text: str) -> frozenset[int]:
    """Return the relations that a name belongs to: those of the nearest cue before it in its clause, else of the first one after it."""
    low, high = _clause(one.start, text)
    before = [relations for place, relations in cues if low <= place < one.start]
    after = [relations for place, relations in cues if one.start < place < high]
    return (before[-1:] or after[:1] or [frozenset()])[0]


def _nearest(one: _Named, mine: Sequence[_Named], rivals: Sequence[_Named], text: str) -> bool:
    """Tell whether a name belongs to the known side: the last one named before it in its clause, the first after it, or the last before."""
    low, high = _clause(one.start, text)
    sides = sorted([(other.start, True) for other in mine] + [(other.start, False) for other in rivals])
    before = [own for place, own in sides if low <= place < one.start]
    after = [own for place, own in sides if one.start < place < high]
    earlier = [own for place, own in sides if place < low]
    return (before[-1:] or after[:1] or earlier[-1:] or [True])[0]

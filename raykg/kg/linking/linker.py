"""From a name to the nodes that it may mean.

The first rule that finds anything decides, and its score says how sure it is:

    exact   the label, letter by letter                                    1.00
    alias   an alias, letter by letter                                     0.97
    folded  label or alias but for case, accents, punctuation              0.95, 0.92
    fuzzy   the nearest spelling (normalised edit similarity s >= 0.72)    0.90 s
    bm25    rare words in common (share b of the best possible score)      0.80 b

A literal scores 0.01 less than an entity of the same name: the film "1984" before the year. Candidates stand by falling score; of equal
ones the node with more triples comes first, then the lower id.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from rapidfuzz import fuzz, process

from raykg.kg.errors import KgError
from raykg.kg.linking.folding import fold, fold_array
from raykg.kg.linking.index import LABEL, LONGEST, open_index
from raykg.kg.linking.spans import Mention, Names, find_mentions

if TYPE_CHECKING:
    from raykg.kg.graph import KnowledgeGraph

How = Literal["exact", "alias", "folded", "fuzzy", "bm25"]
_EXACT, _ALIAS, _FOLDED, _FOLDED_ALIAS, _FUZZY, _BM25 = 1.0, 0.97, 0.95, 0.92, 0.9, 0.8
_LITERAL = 0.01
_LEAST_ALIKE = 72.0  # percent; "Tittanic" and "Titanic" are 93 alike, "Heat" and "Hero" 50


class Candidate(NamedTuple):
    """A node that a mention may mean."""

    node: int
    score: float
    how: How


class LinkingBudget(NamedTuple):
    """Limits of one look-up of a misspelt name; the rare trigrams and words are read first."""

    postings: int = 400_000  # entries of the trigram or word table
    compared: int = 200  # names whose spelling is compared
    candidates: int = 1000  # nodes of one name that are ranked


class Linker:
    """Finds the nodes that texts name, by labels and aliases of entities and literals.

    Abilities: shared names; misspelt names; restriction to given nodes; names inside a question. Opening is cheap: the index is built once
    per version and memory-mapped. Travels to other processes by its graph's path.
    Not supported: names that no letter or word of the graph resembles (that is a job for dense retrieval).

    Args:
        graph: the version whose names are meant.
        cache: folder for the index, when it shall not lie in the version's folder.
        budget: limits of a look-up.
    """

    def __init__(self, graph: KnowledgeGraph, cache: Path | None = None, budget: LinkingBudget = LinkingBudget()) -> None:  # noqa: B008 - immutable
        self.graph = graph
        self.budget = budget
        self._cache = cache
        self.index = open_index(graph, cache)
        self._found = lru_cache(maxsize=8192)(self._find)

    def __reduce__(self) -> tuple[type[Linker], tuple[KnowledgeGraph, Path | None, LinkingBudget]]:
        return Linker, (self.graph, self._cache, self.budget)

    def link(self, mention: str, limit: int = 5, among: Sequence[int] | None = None) -> list[Candidate]:
        """Return the nodes that a name may mean, best first, at most `limit`; none where nothing resembles it.

        Args:
            mention: the name.
            limit: most candidates.
            among: only these nodes are candidates; the nearest spelling among them is found even where another node has the exact name.

        Raises:
            KgError: `limit` is not positive, or a node of `among` is not in the graph.
        """
        if limit < 1:
            raise KgError(f"limit ({limit}) must be at least 1")
        if among is not None:
            return self._among(mention, among)[:limit]
        return list(self._found(mention)[:limit])

    def link_many(self, mentions: Sequence[str], limit: int = 5) -> list[list[Candidate]]:
        """Link many names; a name that comes again costs nothing."""
        return [self.link(mention, limit) for mention in mentions]

    def mentions(self, question: str, limit: int = 8) -> list[Mention]:
        """Return the names in a question, the most telling first, each with its candidates.

        Bracketed topics, as MetaQA writes them, are taken as they stand and nothing else is looked for. Otherwise the longest names win,
        names that overlap a longer one come after, and names made of question words ("Who", "What", "Films") have low scores.
        """
        return find_mentions(self, question, limit)

    @property
    def names(self) -> Sequence[Names]:
        """The sorted names that questions are walked through."""
        return (self.index.keys,)

    def spellings(self, text: str) -> list[str]:
        """Return the names, as the graph writes them, that differ from a text at most in case, accents and punctuation."""
        row = self.index.keys.find(fold(text)) if text.strip() else -1
        entries = np.arange(*self.index.key_offsets[[row, row + 1]])[: self.budget.candidates] if row >= 0 else np.zeros(0, dtype=np.int64)
        names: list[str] = self.index.names.take(pa.array(entries, pa.int64())).unique().to_pylist()
        return names

    def beginning_with(self, text: str, limit: int = 10) -> list[int]:
        """Return nodes with a name that begins so but for case and accents, those with most triples first, at most `limit`."""
        folded = fold(text).encode() if text.strip() else b""
        keys = self.index.keys
        found: list[int] = []
        row = keys.lower_bound(folded, 0, len(keys)) if folded else len(keys)
        while row < len(keys) and len(found) < self.budget.compared and keys[row].encode().startswith(folded):
            found += [int(self.index.entry_nodes[entry]) for entry in self.index.entries(row)]
            row += 1
        return self._by_degree(found)[:limit]

    def _by_degree(self, nodes: Sequence[int]) -> list[int]:
        """Return the nodes, each once, those with most triples first, then by id."""
        distinct = np.unique(np.array(nodes, dtype=np.int64))
        return [int(node) for node in distinct[np.lexsort((distinct, -self.degrees(distinct)))]]

    def degrees(self, nodes: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the number of triples of each node, both directions."""
        return np.asarray(self.graph.forward.degree(nodes) + self.graph.backward.degree(nodes), dtype=np.int64)

    def _find(self, mention: str) -> tuple[Candidate, ...]:
        if not mention.strip():
            return ()
        folded = fold(mention)
        row = self.index.keys.find(folded)
        found = self._of_keys(np.array([row]), np.ones(1), "folded", mention) if row >= 0 else []
        if not found and len(mention) <= LONGEST:
            found = self._alike(folded) or self._by_words(folded)
        return tuple(found)

    def _alike(self, folded: str) -> list[Candidate]:
        keys = self.index.keys_like(folded, self.budget.compared, self.budget.postings)
        score = fuzzy_scores(folded, [self.index.keys[int(key)] for key in keys])
        near = np.flatnonzero(score > 0)
        return self._of_keys(keys[near], score[near], "fuzzy")

    def _by_words(self, folded: str) -> list[Candidate]:
        keys, share = self.index.keys_by_words(folded, self.budget.compared, self.budget.postings)
        return self._of_keys(keys, _BM25 * share, "bm25")

    def _of_keys(self, keys: NDArray[np.int64], scores: NDArray[np.float64], how: How, mention: str | None = None) -> list[Candidate]:
        """Return the nodes of some keys; with `mention`, the one key's entries are told apart by spelling."""
        entries = [range(self.index.entries(int(key)).start, self.index.entries(int(key)).stop) for key in keys]
        entry = np.array([place for places in entries for place in places][: self.budget.candidates], dtype=np.int64)
        score = np.repeat(scores, [len(places) for places in entries])[: len(entry)]
        nodes = np.asarray(self.index.entry_nodes[entry], dtype=np.int64)
        kinds = np.asarray(self.index.entry_kinds[entry])
        hows: list[How] = [how] * len(entry)
        if mention is not None:
            names = self.index.names.take(pa.array(entry)).to_pylist()
            for place, (name, kind) in enumerate(zip(names, kinds, strict=True)):
                hows[place], score[place] = exact_score(mention == name, kind == LABEL)
        return self._ranked(nodes, score, hows)

    def _among(self, mention: str, among: Sequence[int]) -> list[Candidate]:
        """Score all names of a few nodes."""
        nodes = np.array(list(dict.fromkeys(int(node) for node in among)), dtype=np.int64)
        strange = nodes[(nodes < 0) | (nodes >= self.graph.num_entities)]
        if len(strange):
            raise KgError(f"among: node {int(strange[0])} is not in the graph, which has nodes 0 to {self.graph.num_entities - 1}")
        if not len(nodes) or not mention.strip():
            return []
        rows = self.graph.entities.select(["label", "aliases"]).take(pa.array(nodes)).to_pylist()
        names = [
            (place, name, kind == 0) for place, row in enumerate(rows) for kind, name in enumerate([row["label"], *(row["aliases"] or ())])
        ]
        folded = fold(mention)
        spelt = fold_array(pa.array([name for _, name, _ in names], pa.large_string())).to_pylist()
        alike = _likeness(folded, spelt)
        hows: list[How] = []
        scores = np.zeros(len(names))
        for at, (_, name, is_label) in enumerate(names):
            how: How = "fuzzy"
            score = _FUZZY * float(alike[at]) / 100 if alike[at] >= _LEAST_ALIKE else 0.0
            if spelt[at] == folded:
                how, score = exact_score(name == mention, is_label)
            hows.append(how)
            scores[at] = score
        owner = nodes[[place for place, _, _ in names]]
        kept = np.flatnonzero(scores > 0)
        return self._ranked(owner[kept], scores[kept], [hows[at] for at in kept])

    def _ranked(self, nodes: NDArray[np.int64], scores: NDArray[np.float64], hows: Sequence[How]) -> list[Candidate]:
        """Return each node once with its best score, by score, degree and id."""
        scores = scores - _LITERAL * self.graph.is_literal[nodes]
        order = np.lexsort((nodes, -self.degrees(nodes), -scores))
        seen: dict[int, Candidate] = {}
        for place in order.tolist():
            seen.setdefault(int(nodes[place]), Candidate(int(nodes[place]), round(float(scores[place]), 6), hows[place]))
        return list(seen.values())


def exact_score(same: bool, is_label: bool) -> tuple[How, float]:
    """Return how a name is found that is spelt so, letter by letter or but for case and accents, and its score."""
    if same:
        return ("exact", _EXACT) if is_label else ("alias", _ALIAS)
    return "folded", _FOLDED if is_label else _FOLDED_ALIAS


def fuzzy_scores(folded: str, names: Sequence[str]) -> NDArray[np.float64]:
    """Return the score of each name for a misspelt one, 0 where they are too unlike; `[names]`."""
    alike = _likeness(folded, names)
    return np.where(alike >= _LEAST_ALIKE, _FUZZY * alike / 100, 0.0)


def _likeness(folded: str, names: Sequence[str]) -> NDArray[np.float64]:
    """Return how alike spellings are in percent, words in any order counting a little less; `[names]`."""
    if not names:
        return np.zeros(0)
    straight = process.cdist([folded], names, scorer=fuzz.ratio, dtype=np.float64)[0]
    sorted_words = process.cdist([folded], names, scorer=fuzz.token_sort_ratio, dtype=np.float64)[0]
    return np.asarray(np.maximum(straight, 0.95 * sorted_words))

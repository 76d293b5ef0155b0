"""Linking over a view: the version's memory-mapped names, and the few names that edits added.

The rules and scores are those of `raykg.kg.linking.linker`; a rule that finds something on either side decides for both. A view's linker is
made in microseconds: the version's index is shared, the added names are folded when a name is first asked for.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from functools import cached_property, lru_cache
from itertools import groupby
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from raykg.kg.linking import Candidate, Linker, fold
from raykg.kg.linking.folding import fold_array
from raykg.kg.linking.index import ALIAS, LABEL, LONGEST
from raykg.kg.linking.linker import exact_score, fuzzy_scores
from raykg.kg.linking.spans import Names
from raykg.kg.live.overlay import LiveView


class _Entry(NamedTuple):
    key: str  # folded
    kind: int
    node: int
    name: str


class AddedNames:
    """The names of added nodes, sorted by their folded spelling."""

    def __init__(self, view: LiveView) -> None:
        first = view.base.num_entities
        rows = view.delta.entity_rows.select(["label", "aliases"]).to_pylist()
        names = [(first + row, LABEL, one["label"]) for row, one in enumerate(rows)]
        names += [(first + row, ALIAS, alias) for row, one in enumerate(rows) for alias in one["aliases"] or ()]
        names = [entry for entry in names if len(entry[2]) <= LONGEST and entry[2].strip()]
        folded = fold_array(pa.array([name for _, _, name in names], pa.large_string())).to_pylist() if names else []
        entries = (_Entry(key, kind, node, name) for key, (node, kind, name) in zip(folded, names, strict=True))
        ordered = sorted(entries, key=lambda entry: (entry.key.encode(), entry.kind, entry.node))
        self.of_key = {key: list(group) for key, group in groupby(ordered, key=lambda entry: entry.key)}
        self.keys = _Keys(list(self.of_key))


class _Keys:
    """Sorted texts in memory, searched as `raykg.kg.linking.index.SortedTexts` is."""

    def __init__(self, texts: list[str]) -> None:
        self.texts = texts
        self._bytes = [text.encode() for text in texts]

    def __len__(self) -> int:
        return len(self.texts)

    def find(self, text: str) -> int:
        """Return the row of a text, -1 where it is not there."""
        wanted = text.encode()
        row = bisect_left(self._bytes, wanted)
        return row if self.is_at(row, wanted) else -1

    def is_at(self, row: int, text: bytes) -> bool:
        """Tell whether a row is there and is `text`."""
        return row < len(self._bytes) and self._bytes[row] == text

    def lower_bound(self, text: bytes, low: int, high: int) -> int:
        """Return the first row of `low : high` whose text is not below `text`."""
        return bisect_left(self._bytes, text, low, high)


class LiveLinker(Linker):
    """Finds the nodes of a view that texts name.

    Abilities: those of `Linker`, over the version's names and the added ones.

    Args:
        view: whose names are meant.
        base: a linker over the view's version; its index is shared.
    """

    def __init__(self, view: LiveView, base: Linker) -> None:
        self.graph: LiveView = view
        self.base = base
        self.budget = base.budget
        self.index = base.index
        self._found = lru_cache(maxsize=8192)(self._find)

    def __reduce__(self) -> tuple[type[Linker], tuple[LiveView, Linker]]:  # type: ignore[override]
        return LiveLinker, (self.graph, self.base)

    @cached_property
    def added(self) -> AddedNames:
        """The names that edits added."""
        return AddedNames(self.graph)

    @property
    def names(self) -> Sequence[Names]:
        """The sorted names that questions are walked through."""
        return (self.index.keys, self.added.keys)

    def spellings(self, text: str) -> list[str]:
        """Return the names, as the graph writes them, that differ from a text at most in case, accents and punctuation."""
        own = [entry.name for entry in self.added.of_key.get(fold(text), ())] if text.strip() else []
        return list(dict.fromkeys([*super().spellings(text), *own]))

    def beginning_with(self, text: str, limit: int = 10) -> list[int]:
        """Return nodes with a name that begins so but for case and accents, those with most triples first, at most `limit`."""
        folded = fold(text) if text.strip() else ""
        rows = [row for row, key in enumerate(self.added.keys.texts) if folded and key.startswith(folded)]
        own = [entry.node for row in rows[: self.budget.compared] for entry in self._entries(row)]
        return self._by_degree([*super().beginning_with(text, limit), *own])[:limit]

    def _find(self, mention: str) -> tuple[Candidate, ...]:
        if not self.added.keys.texts:
            return super()._find(mention)
        found = list(super()._find(mention))
        folded = fold(mention)
        spelt = self.added.of_key.get(folded, []) if mention.strip() else []
        if spelt:
            hows = [exact_score(mention == entry.name, entry.kind == LABEL) for entry in spelt]
            own = self._ranked(np.array([entry.node for entry in spelt]), np.array([score for _, score in hows]), [how for how, _ in hows])
            found = [candidate for candidate in found if candidate.how in ("exact", "alias", "folded")]
        elif found and found[0].how in ("exact", "alias", "folded"):
            return tuple(found)
        else:
            own = self._added_alike(mention, folded)
            found = [candidate for candidate in found if candidate.how == "fuzzy" or not own]
        return tuple(self._merged(found, own))

    def _added_alike(self, mention: str, folded: str) -> list[Candidate]:
        """Return the added nodes whose names are spelt nearly so."""
        if not mention.strip() or len(mention) > LONGEST:
            return []
        scores = fuzzy_scores(folded, self.added.keys.texts)
        near = [(entry.node, float(scores[row])) for row in np.flatnonzero(scores > 0) for entry in self._entries(int(row))]
        return (
            self._ranked(np.array([node for node, _ in near]), np.array([score for _, score in near]), ["fuzzy"] * len(near))
            if near
            else []
        )

    def _entries(self, row: int) -> list[_Entry]:
        return self.added.of_key[self.added.keys.texts[row]]

    def _merged(self, one: list[Candidate], other: list[Candidate]) -> list[Candidate]:
        """Return the candidates of both sides by score, degree and id, each node once."""
        both = [*one, *other]
        if not both:
            return both
        degrees = self.degrees(np.array([candidate.node for candidate in both], dtype=np.int64))
        order = sorted(range(len(both)), key=lambda place: (-both[place].score, -int(degrees[place]), both[place].node))
        seen: dict[int, Candidate] = {}
        for place in order:
            seen.setdefault(both[place].node, both[place])
        return list(seen.values())

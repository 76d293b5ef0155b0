"""Triples in words: as short as a small context needs, by their labels.

    lines = verbalise(graph, triple_ids)
    lines.texts                                     # ["Alien directed by Ridley Scott", "Alien has genre horror, science fiction"]
    lines.triples_of(1)                             # the two triples behind the second line

Triples that share head and relation stand in one line, their tails joined: a context of 64 tokens then holds about twice the facts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raykg.data.steps import Ints

if TYPE_CHECKING:
    from raykg.kg.graph import KnowledgeGraph


@dataclass(frozen=True, slots=True)
class Lines:
    """Triples in words.

    Attributes:
        texts: one text a line.
        offsets: where the triples of each line begin in `triple_ids`; int64 `[lines + 1]`.
        triple_ids: triples, line by line; int64 `[triples]`.
    """

    texts: list[str]
    offsets: Ints
    triple_ids: Ints

    def triples_of(self, line: int) -> Ints:
        """Return the triples that a line says."""
        return self.triple_ids[self.offsets[line] : self.offsets[line + 1]]


def verbalise(graph: KnowledgeGraph, triple_ids: Ints, *, merge: bool = True, most: int = 8) -> Lines:
    """Return triples as lines `head relation tail, tail`, in the order in which each line's first triple was given.

    Args:
        graph: what the triples are from.
        triple_ids: int64 `[triples]`.
        merge: put tails of one head and relation into one line.
        most: tails in a line.
    """
    ids = np.asarray(triple_ids, dtype=np.int64)
    heads, relations, tails = (np.asarray(column[ids], dtype=np.int64) for column in (graph.heads, graph.relation_ids, graph.tails))
    group = heads * graph.num_relations + relations if merge else np.arange(len(ids))
    _, first, member = np.unique(group, return_index=True, return_inverse=True)
    order = np.lexsort((np.arange(len(ids)), first[member]))
    place = np.arange(len(ids)) - np.searchsorted(first[member][order], first[member][order])
    starts = np.flatnonzero(place % most == 0)
    offsets = np.append(starts, len(ids)).astype(np.int64)
    joined = pc.binary_join(pa.ListArray.from_arrays(pa.array(offsets.astype(np.int32)), _labels(graph, tails[order])), ", ")
    names = pa.array(graph.relation_names, pa.string()).take(pa.array(relations[order][starts]))
    texts = pc.binary_join_element_wise(_labels(graph, heads[order][starts]), names, joined, " ")
    return Lines(texts.to_pylist(), offsets, ids[order])


def _labels(graph: KnowledgeGraph, nodes: Ints) -> pa.Array:
    found = graph.entities["label"].take(pa.array(nodes))
    return found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found

"""Finds nodes by their names, many at once: by key, else by label where only one node is called so.

`raykg.kg.linking` is for what people say; this is for files that name nodes as the graph does.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raykg.data.steps import Ints

if TYPE_CHECKING:
    from raykg.kg.graph import KnowledgeGraph

UNKNOWN, AMBIGUOUS = -1, -2


class NodeNames:
    """An index of one graph's names. Costs a dictionary of all labels in each process that makes one."""

    def __init__(self, graph: KnowledgeGraph) -> None:
        """Encode keys and labels."""
        self._keys = _Unique(graph.entities["key"], ~graph.is_literal)
        self._labels = _Unique(graph.entities["label"], np.ones(graph.num_entities, dtype=np.bool_))

    def find(self, names: pa.Array) -> Ints:
        """Return the node of each name, `UNKNOWN` where nothing and `AMBIGUOUS` where several nodes are called so; int64 `[names]`."""
        by_key, by_label = self._keys.find(names), self._labels.find(names)
        return np.where(by_key >= 0, by_key, by_label)


@lru_cache(maxsize=2)
def node_names(root: str, version: str) -> NodeNames:
    """Return the index of a version, made once in a process."""
    from raykg.kg.graph import KnowledgeGraph

    return NodeNames(KnowledgeGraph.open(root, version, verify=False))


class _Unique:
    """Texts with the row that has each, where only one has."""

    def __init__(self, texts: pa.ChunkedArray, rows: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> None:
        places = np.flatnonzero(rows)
        encoded = texts.combine_chunks().take(pa.array(places)).dictionary_encode()
        codes = encoded.indices.to_numpy()
        self._texts = encoded.dictionary
        count = np.bincount(codes, minlength=len(self._texts))
        row = np.full(len(self._texts), UNKNOWN, dtype=np.int64)
        row[codes] = places
        self._rows = np.append(np.where(count == 1, row, AMBIGUOUS), UNKNOWN)

    def find(self, names: pa.Array) -> Ints:
        found = pc.index_in(names.cast(self._texts.type), value_set=self._texts)
        return np.asarray(self._rows[pc.fill_null(found, -1).to_numpy(zero_copy_only=False)])

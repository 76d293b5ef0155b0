"""KnowledgeGraph: one immutable version of a graph, memory-mapped.

Nodes are entities and typed literals in one id space. Triples are sorted by head, relation and tail; a triple's id is its row. Adjacency is
in compressed sparse rows in both directions. Whoever opens the same version on one machine shares one copy of its arrays.

    graph = KnowledgeGraph.open("runs/graphs/movies")
    film = graph.node("tt0078748")
    graph.labels(graph.forward.hop([film], graph.relation("directed by")).neighbour)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import ArrayLike, NDArray

from raykg.kg import store
from raykg.kg.adjacency import Adjacency, IntArray, bisect_ranges
from raykg.kg.errors import UnknownNode, UnknownRelation
from raykg.kg.triples import EXTRAS


class KnowledgeGraph:
    """One immutable version of a graph.

    Abilities: nodes with labels, aliases, descriptions and types; typed literals as nodes; triples with provenance, time and qualifiers;
    look-up by key, name or triple; adjacency both ways. Travels to another process by its path: unpickling opens the same version again.
    Not supported: changing anything; build the next version with `raykg.kg.build.GraphBuilder`.
    """

    def __init__(self, root: Path, manifest: store.Manifest) -> None:
        self.root = root
        """Folder of this version; others may keep files of their own in it, such as an index."""
        self.manifest = manifest
        self.version: str = manifest.version

    @classmethod
    def open(cls, path: Path | str, version: str = "latest", *, verify: bool = True) -> KnowledgeGraph:
        """Open a version of a store, or a version's own folder.

        Args:
            path: a store's folder or a version's folder.
            version: the version's id, or `latest`.
            verify: compare every file's hash with the manifest. A hash is computed once per file and remembered until the file changes, so
                only the first open pays. Without it, sizes are compared.

        Raises:
            DamagedVersion: a file is missing, truncated or altered.
            KgError: there is no such store or version.
        """
        root, manifest = store.find_version(Path(path), version)
        store.check_files(root, manifest, hashes=verify)
        return cls(root, manifest)

    def __reduce__(self) -> tuple[Callable[..., KnowledgeGraph], tuple[str, str, bool]]:
        return _reopen, (str(self.root), self.version, False)

    def __repr__(self) -> str:
        return f"KnowledgeGraph({self.root}, {self.num_entities:,} nodes, {self.num_relations} relations, {self.num_triples:,} triples)"

    # Tables

    @cached_property
    def entities(self) -> pa.Table:
        """Table of nodes; the row is the node's id. Columns: see `raykg.kg.triples.ENTITY_SCHEMA`."""
        return store.map_table(self.root / "entities.arrow")

    @cached_property
    def relations(self) -> pa.Table:
        """Table of relations; the row is the relation's id. Columns: see `raykg.kg.triples.RELATION_SCHEMA`."""
        return store.map_table(self.root / "relations.arrow")

    @cached_property
    def triples(self) -> pa.Table:
        """Table of triples without a copy: head, relation, tail (ids), then provenance, time and qualifiers where the version has them."""
        columns = {"head": pa.array(self.heads), "relation": pa.array(self.relation_ids), "tail": pa.array(self.tails)}
        for name in EXTRAS:
            if self.manifest.has(f"{name}.npy"):
                codes = pa.array(np.asarray(self._array(name)))
                texts = store.map_table(self.root / f"{name}.arrow")["text"].combine_chunks()
                codes = pc.if_else(pc.less(codes, 0), None, codes) if self.manifest.counts.get(f"{name}_missing", 0) else codes
                columns[name] = pa.DictionaryArray.from_arrays(codes, texts)
        return pa.table(columns)

    @property
    def num_entities(self) -> int:
        """Number of nodes, literals included."""
        return self.manifest.counts["entities"]

    @property
    def num_relations(self) -> int:
        """Number of relations."""
        return self.manifest.counts["relations"]

    @property
    def num_triples(self) -> int:
        """Number of triples."""
        return self.manifest.counts["triples"]

    # Arrays, in the order of triple ids

    @cached_property
    def heads(self) -> IntArray:
        """Head of every triple, int32 `[triples]`."""
        return self._array("heads")

    @cached_property
    def relation_ids(self) -> IntArray:
        """Relation of every triple, int32 `[triples]`."""
        return self._array("relation_ids")

    @cached_property
    def tails(self) -> IntArray:
        """Tail of every triple, int32 `[triples]`."""
        return self._array("tails")

    @cached_property
    def forward(self) -> Adjacency:
        """Edges from head to tail."""
        return Adjacency(self._array("forward_offsets"), self.relation_ids, self.tails)

    @cached_property
    def backward(self) -> Adjacency:
        """Edges from tail to head."""
        names = ("backward_offsets", "backward_relations", "backward_neighbours", "backward_triple_ids")
        return Adjacency(*(self._array(name) for name in names))

    @cached_property
    def values(self) -> NDArray[np.float64]:
        """Number that each node stands for, NaN where it stands for none; `[nodes]`. Dates are fractional years."""
        found: NDArray[np.float64] = self.entities["value"].to_numpy()
        return found

    @cached_property
    def is_literal(self) -> NDArray[np.bool_]:
        """Tell for each node whether it is a literal; `[nodes]`."""
        found: NDArray[np.bool_] = pc.is_valid(self.entities["datatype"]).to_numpy()
        return found

    # Nodes

    def label(self, node: int) -> str:
        """Return a node's label."""
        return str(self.entities["label"][int(node)].as_py())

    def labels(self, nodes: ArrayLike) -> list[str]:
        """Return the labels of many nodes."""
        return self._texts("label", nodes)

    def key(self, node: int) -> str:
        """Return a node's key: the id, IRI or name that its source has."""
        return str(self.entities["key"][int(node)].as_py())

    def keys(self, nodes: ArrayLike) -> list[str]:
        """Return the keys of many nodes."""
        return self._texts("key", nodes)

    def node(self, key: str, datatype: str | None = None) -> int:
        """Return the id of the node with `key`, a literal's text being its key, by binary search over the stored key order.

        Raises:
            UnknownNode: there is none.
        """
        found = self.find_node(key, datatype)
        if found < 0:
            raise UnknownNode(key, datatype)
        return found

    def find_node(self, key: str, datatype: str | None = None) -> int:
        """Return the id of the node with `key`, or -1."""
        order, keys, types = self._array("key_order"), self.entities["key"], self.entities["datatype"]
        wanted = (key.encode(), (datatype or "").encode())
        low, high = 0, len(order)
        while low < high:
            middle = (low + high) // 2
            row = int(order[middle])
            here = (keys[row].as_py().encode(), (types[row].as_py() or "").encode())
            if here == wanted:
                return row
            low, high = (middle + 1, high) if here < wanted else (low, middle)
        return -1

    def find_entities(self, keys: pa.Array | Sequence[str]) -> IntArray:
        """Return the ids of many entities by their keys, -1 where there is none; int64 `[keys]`. Hashes all keys once: O(nodes + keys)."""
        values = self.entities["key"].filter(pc.is_null(self.entities["datatype"])).combine_chunks()
        places = pc.fill_null(pc.index_in(pa.array(keys, values.type), value_set=values), -1)
        rows = np.append(np.flatnonzero(~self.is_literal), -1)
        return np.asarray(rows[places.to_numpy(zero_copy_only=False)])

    # Relations

    @cached_property
    def relation_names(self) -> list[str]:
        """Names of relations as plans write them: the label where no other relation has it, the label and the key otherwise."""
        labels, keys = self.relations["label"].to_pylist(), self.relations["key"].to_pylist()
        shared = Counter(labels)
        return [label if shared[label] == 1 else f"{label} ({key})" for label, key in zip(labels, keys, strict=True)]

    @cached_property
    def _relation_index(self) -> dict[str, int]:
        keys = {key: row for row, key in enumerate(self.relations["key"].to_pylist())}
        return keys | {name: row for row, name in enumerate(self.relation_names)}

    def relation(self, name: str) -> int:
        """Return the id of a relation by its name in plans or its key; the name wins.

        Raises:
            UnknownRelation: no relation is called so; the message suggests the nearest.
        """
        try:
            return self._relation_index[name]
        except KeyError:
            raise UnknownRelation(name, self.relation_names) from None

    # Triples

    def triple(self, triple_id: int) -> tuple[int, int, int]:
        """Return head, relation and tail of a triple."""
        return int(self.heads[triple_id]), int(self.relation_ids[triple_id]), int(self.tails[triple_id])

    def has_triples(self, triples: ArrayLike) -> NDArray[np.bool_]:
        """Tell which ids are those of triples of this graph; `[triples]`."""
        ids = np.atleast_1d(np.asarray(triples, dtype=np.int64))
        found: NDArray[np.bool_] = (ids >= 0) & (ids < self.num_triples)
        return found

    def find_triple(self, head: int, relation: int, tail: int) -> int:
        """Return the id of a triple, -1 where the graph does not have it."""
        return int(self.find_triples([head], [relation], [tail])[0])

    def find_triples(self, heads: ArrayLike, relations: ArrayLike, tails: ArrayLike) -> IntArray:
        """Return the ids of many triples, -1 where the graph does not have one; int64 `[triples asked for]`.

        A statement that the graph has several times, with different qualifiers, has several ids: the lowest is returned.
        """
        head, relation, tail = (np.atleast_1d(np.asarray(column, dtype=np.int64)) for column in (heads, relations, tails))
        found = np.full(len(head), -1, dtype=np.int64)
        known = np.flatnonzero((head >= 0) & (head < self.num_entities))
        offsets = self.forward.offsets
        low, high = np.asarray(offsets[head[known]]), np.asarray(offsets[head[known] + 1])
        begin = bisect_ranges(self.relation_ids, low, high, relation[known])
        end = bisect_ranges(self.relation_ids, begin, high, relation[known] + 1)
        place = bisect_ranges(self.tails, begin, end, tail[known])
        inside = np.flatnonzero(place < end)
        hits = inside[self.tails[place[inside]] == tail[known][inside]]
        found[known[hits]] = place[hits]
        return found

    def provenance(self, triples: ArrayLike) -> list[str | None]:
        """Return where each of the triples came from."""
        if "provenance" not in self.triples.column_names:
            return [None] * len(np.atleast_1d(np.asarray(triples)))
        rows = pa.array(np.atleast_1d(np.asarray(triples, dtype=np.int64)))
        found: list[str | None] = self.triples["provenance"].take(rows).to_pylist()
        return found

    def extra_codes(self, name: str) -> IntArray:
        """Return the code of an optional text (`provenance`, `time`, `qualifiers`) of every triple, -1 where it has none; `[triples]`."""
        if self.manifest.has(f"{name}.npy"):
            return self._array(name)
        return np.full(self.num_triples, -1, dtype=np.int32)

    def _texts(self, column: str, nodes: ArrayLike) -> list[str]:
        rows = pa.array(np.atleast_1d(np.asarray(nodes, dtype=np.int64)))
        found: list[str] = self.entities[column].take(rows).to_pylist()
        return found

    def _array(self, name: str) -> NDArray[Any]:
        return store.map_array(self.root / f"{name}.npy")


def _reopen(root: str, version: str, verify: bool) -> KnowledgeGraph:
    return KnowledgeGraph.open(root, version, verify=verify)

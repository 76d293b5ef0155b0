"""LiveView: a version with a few changes laid over it, at one point of its log. Everything that runs on a KnowledgeGraph runs on it.

A view is immutable: an edit makes the next one, in milliseconds, and whoever holds the old one goes on with it. Triples of the version keep
their ids; added ones have ids from `base.num_triples` on in the order of the edits; retracted ids stay unused.

    view = LiveView(base, delta, sequence=12)
    view.version                                   # "203b1b65f00afb86+12"
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from raykg.kg.adjacency import IntArray
from raykg.kg.errors import KgError
from raykg.kg.graph import KnowledgeGraph
from raykg.kg.live.appended import appended
from raykg.kg.live.delta import Delta, Fact
from raykg.kg.live.overlay_adjacency import DeltaEdges, Ids, OverlayAdjacency
from raykg.kg.triples import EXTRAS


def version_text(base: str, sequence: int) -> str:
    """Return the version of a live state: the base's own at sequence 0, otherwise `base+sequence`."""
    return f"{base}+{sequence}" if sequence else base


def parse_version(text: str) -> tuple[str, int]:
    """Return base and sequence of a version.

    Raises:
        KgError: it is no version.
    """
    base, plus, number = text.partition("+")
    if not base or (plus and not (number.isascii() and number.isdigit() and len(number) <= 12)):
        raise KgError(f"version {text!r}: expected a version like 203b1b65f00afb86 or 203b1b65f00afb86+12")
    return base, int(number) if plus else 0


class LiveView(KnowledgeGraph):
    """One state of a live graph.

    Abilities: all that a KnowledgeGraph has, at the speed of the version's own arrays where nothing was edited. Travels to another process
    by the version's path and the changes.
    Not supported: being the parent of a new version (take a snapshot); time and qualifiers of added triples.

    Args:
        base: the version below.
        delta: what was changed.
        sequence: number of the last log record that it holds.
    """

    def __init__(self, base: KnowledgeGraph, delta: Delta, sequence: int) -> None:
        counts = dict(base.manifest.counts)
        counts["entities"] += len(delta.nodes)
        counts["literals"] = counts.get("literals", 0) + int(delta.is_literal.sum())
        counts["relations"] += len(delta.relations)
        counts["triples"] += len(delta.heads) - len(delta.retracted)
        version = version_text(base.version, sequence)
        super().__init__(base.root, replace(base.manifest, version=version, parent=base.version, counts=counts))
        self.base = base
        self.delta = delta
        self.sequence = sequence

    def __reduce__(self) -> tuple[Callable[..., KnowledgeGraph], tuple[Any, ...]]:
        return LiveView, (self.base, self.delta, self.sequence)

    def __repr__(self) -> str:
        return f"LiveView({self.root}, version {self.version}, {self.num_entities:,} nodes, {self.num_triples:,} triples)"

    # Tables

    @cached_property
    def entities(self) -> pa.Table:
        """Table of nodes; the row is the node's id."""
        return pa.concat_tables([self.base.entities, self.delta.entity_rows]) if self.delta.nodes else self.base.entities

    @cached_property
    def relations(self) -> pa.Table:
        """Table of relations; the row is the relation's id."""
        return pa.concat_tables([self.base.relations, self.delta.relation_rows]) if self.delta.relations else self.base.relations

    @cached_property
    def triples(self) -> pa.Table:
        """Table of the triples that hold, without a copy of the version's; where some are retracted, rows are no ids."""
        table, delta = self.base.triples, self.delta
        gone = delta.retracted[delta.retracted < self.base.num_triples].tolist()
        begins, ends = [0, *(row + 1 for row in gone)], [*gone, self.base.num_triples]
        pieces = [table.slice(begin, end - begin) for begin, end in zip(begins, ends, strict=True) if end > begin] or [table.slice(0, 0)]
        kept = np.flatnonzero(~delta.is_retracted(np.arange(len(delta.heads)) + self.base.num_triples))
        if len(kept):
            pieces.append(self._added_triples(kept, table.schema))
        return pa.concat_tables(pieces, promote_options="default")

    def _added_triples(self, kept: Ids, schema: pa.Schema) -> pa.Table:
        delta = self.delta
        columns: dict[str, Any] = {"head": delta.heads[kept], "relation": delta.relation_ids[kept], "tail": delta.tails[kept]}
        table = pa.table({name: pa.array(column) for name, column in columns.items()})
        sources = pa.array([delta.provenance[row] for row in kept.tolist()], pa.large_string()).dictionary_encode()
        for name in EXTRAS:
            if name == "provenance":
                kind = schema.field(name).type if name in schema.names else sources.type
                table = table.append_column(name, sources.cast(kind))
            elif name in schema.names:
                table = table.append_column(name, pa.nulls(len(kept), schema.field(name).type))
        return table

    # Arrays, in the order of triple ids; retracted ones included

    @cached_property
    def heads(self) -> IntArray:
        """Head of every triple id, int32."""
        return appended(self.base.heads, self.delta.heads)

    @cached_property
    def relation_ids(self) -> IntArray:
        """Relation of every triple id, int32."""
        return appended(self.base.relation_ids, self.delta.relation_ids)

    @cached_property
    def tails(self) -> IntArray:
        """Tail of every triple id, int32."""
        return appended(self.base.tails, self.delta.tails)

    @cached_property
    def values(self) -> NDArray[np.float64]:
        """Number that each node stands for, NaN where it stands for none; `[nodes]`."""
        return appended(self.base.values, self.delta.values)

    @cached_property
    def is_literal(self) -> NDArray[np.bool_]:
        """Tell for each node whether it is a literal; `[nodes]`."""
        return appended(self.base.is_literal, self.delta.is_literal)

    @cached_property
    def forward(self) -> OverlayAdjacency:
        """Edges from head to tail."""
        return self._side(forward=True)

    @cached_property
    def backward(self) -> OverlayAdjacency:
        """Edges from tail to head."""
        return self._side(forward=False)

    def _side(self, *, forward: bool) -> OverlayAdjacency:
        base, delta = self.base, self.delta
        kept = np.flatnonzero(~delta.is_retracted(np.arange(len(delta.heads)) + base.num_triples))
        gone = delta.retracted[delta.retracted < base.num_triples]
        sides: list[DeltaEdges] = []
        for rows, heads, relations, tails, first in (
            (kept, delta.heads, delta.relation_ids, delta.tails, base.num_triples),
            (gone, base.heads, base.relation_ids, base.tails, 0),
        ):
            here, there = (heads[rows], tails[rows]) if forward else (tails[rows], heads[rows])
            sides.append(DeltaEdges(here, relations[rows], there, rows + first, max(self.num_relations, 1)))
        return OverlayAdjacency(
            base.forward if forward else base.backward,
            *sides,
            nodes=self.num_entities,
            relations=self.num_relations,
            base_nodes=base.num_entities,
            base_relations=base.num_relations,
        )

    # Nodes

    def find_node(self, key: str, datatype: str | None = None) -> int:
        """Return the id of the node with `key`, or -1."""
        found = self.delta.nodes.get((key, datatype or None), -1)
        return found if found >= 0 else self.base.find_node(key, datatype)

    def find_entities(self, keys: pa.Array | Sequence[str]) -> IntArray:
        """Return the ids of many entities by their keys, -1 where there is none; int64 `[keys]`."""
        found = self.base.find_entities(keys)
        if self.delta.nodes:
            wanted = keys.to_pylist() if isinstance(keys, pa.Array | pa.ChunkedArray) else list(keys)
            for place in np.flatnonzero(found < 0).tolist():
                found[place] = self.delta.nodes.get((wanted[place], None), -1)
        return found

    # Relations

    @cached_property
    def relation_names(self) -> list[str]:
        """Names of relations as plans write them: the label where no other relation has it, the label and the key otherwise."""
        if not self.delta.relations:
            return self.base.relation_names
        labels, keys = self.relations["label"].to_pylist(), self.relations["key"].to_pylist()
        shared = Counter(labels)
        return [label if shared[label] == 1 else f"{label} ({key})" for label, key in zip(labels, keys, strict=True)]

    @cached_property
    def _relation_index(self) -> dict[str, int]:
        if not self.delta.relations:
            return self.base._relation_index  # noqa: SLF001 - of its own class
        keys = {key: row for row, key in enumerate(self.relations["key"].to_pylist())}
        return keys | {name: row for row, name in enumerate(self.relation_names)}

    # Triples

    def has_triples(self, triples: ArrayLike) -> NDArray[np.bool_]:
        """Tell which ids are those of triples that hold; `[triples]`."""
        ids = np.atleast_1d(np.asarray(triples, dtype=np.int64))
        known: NDArray[np.bool_] = (ids >= 0) & (ids < self.base.num_triples + len(self.delta.heads))
        return known & ~self.delta.is_retracted(ids)

    def find_triples(self, heads: ArrayLike, relations: ArrayLike, tails: ArrayLike) -> IntArray:
        """Return the ids of many triples, -1 where the view does not have one; the lowest of several; int64 `[triples asked for]`."""
        head, relation, tail = (np.atleast_1d(np.asarray(column, dtype=np.int64)) for column in (heads, relations, tails))
        found = np.full(len(head), -1, dtype=np.int64)
        old = np.flatnonzero((head >= 0) & (head < self.base.num_entities) & (relation >= 0) & (relation < self.base.num_relations))
        found[old] = self.base.find_triples(head[old], relation[old], tail[old])
        found[self.delta.is_retracted(found)] = -1
        for place in np.flatnonzero(found < 0).tolist() if len(self.delta.heads) else ():
            found[place] = self._added_statements.get((int(head[place]), int(relation[place]), int(tail[place])), -1)
        return found

    def fact(self, triple: int) -> Fact:
        """Return a triple by its keys."""
        head, relation, tail = self.triple(triple)
        kind = self.entities["datatype"][tail].as_py()
        return Fact(self.key(head), str(self.relations["key"][relation].as_py()), self.key(tail), kind)

    def provenance(self, triples: ArrayLike) -> list[str | None]:
        """Return where each of the triples came from."""
        ids = np.atleast_1d(np.asarray(triples, dtype=np.int64))
        old = ids < self.base.num_triples
        of_base = iter(self.base.provenance(ids[old]))
        return [next(of_base) if here else self.delta.provenance[one - self.base.num_triples] for one, here in zip(ids, old, strict=True)]

    def extra_codes(self, name: str) -> IntArray:
        """Refuse: only versions can be built on.

        Raises:
            KgError: always.
        """
        raise KgError(f"version {self.version}: a live view cannot be built on ({name}); take a snapshot and build on that")

    @cached_property
    def _added_statements(self) -> dict[tuple[int, int, int], int]:
        """Return the id of every added triple that holds."""
        delta, first = self.delta, self.base.num_triples
        rows = np.flatnonzero(~delta.is_retracted(np.arange(len(delta.heads)) + first)).tolist()
        columns = (delta.heads.tolist(), delta.relation_ids.tolist(), delta.tails.tolist())
        return {(columns[0][row], columns[1][row], columns[2][row]): first + row for row in reversed(rows)}

    def _texts(self, column: str, nodes: ArrayLike) -> list[str]:
        if not self.delta.nodes:
            return self.base._texts(column, nodes)  # noqa: SLF001 - of its own class
        ids = np.atleast_1d(np.asarray(nodes, dtype=np.int64))
        old = ids < self.base.num_entities
        if bool(old.all()):
            return self.base._texts(column, ids)  # noqa: SLF001 - of its own class
        of_base = iter(self.base._texts(column, ids[old]))  # noqa: SLF001 - of its own class
        added = self.delta.entity_rows[column].take(pa.array(ids[~old] - self.base.num_entities)).to_pylist()
        of_delta = iter(added)
        return [next(of_base) if here else next(of_delta) for here in old.tolist()]

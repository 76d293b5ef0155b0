"""Names of nodes and relations: labels, aliases, descriptions, types and images, gathered from many pieces into one table.

A name is a row of key and text in the column it belongs to. Of several labels the one of the lowest rank wins, then the first; aliases add
up. What a new import says stands before what the version it builds on said.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from raykg.kg.graph import KnowledgeGraph
from raykg.kg.literals import numbers
from raykg.kg.triples import ENTITY_SCHEMA, RELATION_SCHEMA
from raykg.kg.vocabulary import literal_texts, readable, split_literals

_SINGLE = ("label", "description", "type", "image")
_SCHEMA = pa.schema([("key", pa.large_string()), ("text", pa.large_string()), ("rank", pa.int32())])


class Names:
    """Gathers names by column until all keys are known."""

    def __init__(self) -> None:
        self._columns: dict[tuple[bool, str], list[pa.Table]] = {}
        self._node_keys: list[pa.Array] = []
        self._maybe_keys: list[pa.Array] = []
        self._relation_keys: list[pa.Array] = []

    def add(self, table: pa.Table, *, make_nodes: bool = False, relations: bool = False) -> None:
        """Add a table of key and any of label, aliases, description, type, image, and `rank`, which orders labels.

        Args:
            table: the names.
            make_nodes: whether a key that no triple has becomes a node even if it is a relation.
            relations: whether the keys are relations.
        """
        keys = table["key"].combine_chunks().cast(pa.large_string())
        (self._relation_keys if relations else self._node_keys if make_nodes else self._maybe_keys).append(keys.unique())
        rank = table["rank"].combine_chunks() if "rank" in table.column_names else pa.array(np.zeros(len(keys), np.int32))
        for column in _SINGLE:
            if column in table.column_names:
                self._keep(relations, column, keys, table[column].combine_chunks(), rank)
        if "aliases" in table.column_names:
            lists = table["aliases"].combine_chunks()
            parents = pc.list_parent_indices(lists)
            self._keep(relations, "aliases", keys.take(parents), pc.list_flatten(lists), rank.take(parents))

    def add_row_labels(self, table: pa.Table, datatypes: pa.Array) -> None:
        """Add the labels that triples carry for their own head and tail."""
        if "head_label" in table.column_names:
            self._keep_distinct(table["head"].combine_chunks(), table["head_label"].combine_chunks())
        if "tail_label" in table.column_names:
            tails = literal_texts(table["tail"].combine_chunks().cast(pa.large_string()), datatypes)
            self._keep_distinct(tails, table["tail_label"].combine_chunks())

    def node_keys(self, relations: set[str]) -> pa.Array:
        """Return keys that become nodes even without a triple: all but those that name a relation."""
        maybe = pa.chunked_array(self._maybe_keys, pa.large_string()).unique()
        named = pc.is_in(maybe, value_set=pa.array(sorted(relations), pa.large_string()))
        return pa.concat_arrays([pa.array([], pa.large_string()), *self._node_keys, maybe.filter(pc.invert(named))])

    def relation_keys(self) -> pa.Array:
        """Return keys that become relations even without a triple."""
        return pa.concat_arrays([pa.array([], pa.large_string()), *self._relation_keys])

    def pieces(self, column: str, *, relations: bool) -> list[pa.Table]:
        """Return what was gathered of one column; names of relations may also come from tables that did not say so."""
        own = self._columns.get((True, column), []) if relations else []
        return own + self._columns.get((False, column), [])

    def _keep(self, relations: bool, column: str, keys: pa.Array, texts: pa.Array, rank: pa.Array) -> None:
        mask = pc.and_(pc.is_valid(texts), pc.not_equal(pc.fill_null(texts, ""), ""))
        table = pa.table([keys, texts.cast(pa.large_string()), rank.cast(pa.int32())], schema=_SCHEMA).filter(mask)
        if table.num_rows:
            self._columns.setdefault((relations, column), []).append(table)

    def _keep_distinct(self, keys: pa.Array, texts: pa.Array) -> None:
        pairs = pa.table({"key": keys.cast(pa.large_string()), "text": texts.cast(pa.large_string())})
        pairs = pairs.group_by(["key", "text"], use_threads=False).aggregate([])
        self._keep(False, "label", pairs["key"].combine_chunks(), pairs["text"].combine_chunks(), pa.array(np.zeros(len(pairs), np.int32)))


def entity_table(texts: pa.Array, names: Names, parent: KnowledgeGraph | None) -> pa.Table:
    """Return the table of nodes, one row per text of the vocabulary."""
    keys, datatypes = split_literals(texts)
    gathered = {column: _gather(texts, names, column, parent, relations=False) for column in (*_SINGLE, "aliases")}
    defaults = pc.if_else(pc.is_null(datatypes), readable(keys), keys)
    label = pc.coalesce(_first(gathered["label"], texts), defaults)
    columns = {
        "key": keys,
        "label": label,
        "aliases": _lists(gathered["aliases"], len(texts), label),
        "description": _first(gathered["description"], texts),
        "type": _first(gathered["type"], texts),
        "datatype": datatypes,
        "value": _values(keys, datatypes),
        "image": _first(gathered["image"], texts),
    }
    return _table(columns, ENTITY_SCHEMA)


def relation_table(texts: pa.Array, names: Names, parent: KnowledgeGraph | None) -> pa.Table:
    """Return the table of relations, one row per text of the vocabulary."""
    gathered = {column: _gather(texts, names, column, parent, relations=True) for column in ("label", "description", "aliases")}
    label = pc.coalesce(_first(gathered["label"], texts), readable(texts, relations=True))
    aliases = _lists(gathered["aliases"], len(texts), label)
    columns = {"key": texts, "label": label, "aliases": aliases, "description": _first(gathered["description"], texts)}
    return _table(columns, RELATION_SCHEMA)


def _gather(
    texts: pa.Array, names: Names, column: str, parent: KnowledgeGraph | None, *, relations: bool
) -> tuple[NDArray[np.int64], pa.Array]:
    """Return ids and texts of one column, by id, then rank, then the order they came in, the parent's last."""
    pieces = names.pieces(column, relations=relations)
    table = pa.concat_tables([_SCHEMA.empty_table(), *pieces]).combine_chunks()
    places = pc.index_in(table["key"], value_set=texts if table.num_rows else texts[:0])  # it hashes all texts first
    ids = pc.fill_null(places, -1).to_numpy().astype(np.int64)
    rank = table["rank"].to_numpy()
    words = table["text"].combine_chunks()
    if parent is not None:
        old_ids, old_words = _parent_column(parent.relations if relations else parent.entities, column)
        ids, rank = np.r_[ids, old_ids], np.r_[rank, np.full(len(old_ids), np.iinfo(np.int32).max)]
        words = pa.concat_arrays([words, old_words])
    known = np.flatnonzero(ids >= 0)
    order = known[np.lexsort([rank[known], ids[known]])]
    return ids[order], words.take(pa.array(order))


def _parent_column(table: pa.Table, column: str) -> tuple[NDArray[np.int64], pa.Array]:
    values = table[column].combine_chunks()
    if column == "aliases":
        rows = pc.list_parent_indices(values).to_numpy(zero_copy_only=False).astype(np.int64)
        return rows, pc.list_flatten(values).cast(pa.large_string())
    valid = pc.is_valid(values)
    return np.flatnonzero(valid.to_numpy(zero_copy_only=False)), values.filter(valid).cast(pa.large_string())


def _first(gathered: tuple[NDArray[np.int64], pa.Array], texts: pa.Array) -> pa.Array:
    """Return the first text of each id, null where there is none; `[ids]`."""
    ids, words = gathered
    rows = np.full(len(texts), -1, dtype=np.int64)
    distinct, first = np.unique(ids, return_index=True)
    rows[distinct] = first
    return words.take(pa.array(rows, mask=rows < 0))


def _lists(gathered: tuple[NDArray[np.int64], pa.Array], count: int, label: pa.Array) -> pa.Array:
    """Return the distinct texts of each id but its label, as lists; `[ids]`."""
    ids, words = gathered
    codes = words.dictionary_encode().indices.to_numpy(zero_copy_only=False).astype(np.int64)
    _, first = np.unique(np.stack([ids, codes]), axis=1, return_index=True) if len(ids) else (None, np.zeros(0, dtype=np.int64))
    keep = np.sort(first)
    ids, words = ids[keep], words.take(pa.array(keep))
    other = pc.not_equal(words, label.take(pa.array(ids)))
    ids, words = ids[other.to_numpy(zero_copy_only=False)], words.filter(other)
    offsets = np.r_[0, np.cumsum(np.bincount(ids, minlength=count))].astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), words.cast(pa.string()))


def _values(keys: pa.Array, datatypes: pa.Array) -> pa.Array:
    found = np.full(len(keys), np.nan)
    for datatype in _distinct(datatypes):
        rows = np.flatnonzero(pc.fill_null(pc.equal(datatypes, datatype), False).to_numpy(zero_copy_only=False))
        found[rows] = numbers(keys.take(pa.array(rows)), datatype)
    return pa.array(found, mask=np.isnan(found))


def _distinct(datatypes: pa.Array) -> Iterator[str]:
    for datatype in pc.unique(datatypes).to_pylist():
        if datatype is not None:
            yield datatype


def _table(columns: dict[str, pa.Array], schema: pa.Schema) -> pa.Table:
    """Return the columns as a table of the schema, in pieces small enough that no piece's texts pass 2 GB."""
    rows, step = len(columns["key"]), 1 << 18
    pieces = [[columns[field.name].slice(begin, step).cast(field.type) for field in schema] for begin in range(0, rows, step)]
    return pa.Table.from_batches([pa.record_batch(piece, schema=schema) for piece in pieces], schema=schema)

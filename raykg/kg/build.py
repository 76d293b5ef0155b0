"""Building a version: triples and names go in as Arrow tables, in any number of pieces; a KnowledgeGraph comes out.

Memory holds the names of nodes and one piece of triples; triples wait on disk as integers, are sorted there, and duplicates leave.

    builder = GraphBuilder(store, literals={"release_year": "integer"})
    for table in tables:
        builder.add_triples(table)      # columns of raykg.kg.triples.TRIPLE_SCHEMA
    builder.add_entities(names)         # key, and any of label, aliases, description, type, image
    graph = builder.finish()
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from raykg.kg import store as versions
from raykg.kg.ahead import ahead
from raykg.kg.errors import KgError
from raykg.kg.graph import KnowledgeGraph
from raykg.kg.literals import declare, unparsable
from raykg.kg.names import Names, entity_table, relation_table
from raykg.kg.store import ArrayWriter
from raykg.kg.triples import EXTRAS, Rows, first_of_equal, sort_rows
from raykg.kg.vocabulary import Vocabulary, literal_texts, refuse_nul

_SLICE = 1 << 20  # rows that are read back at once
_HEAD, _RELATION, _TAIL = 0, 1, 2
_STATEMENT = (0, 1, 2, 4, 5)  # head, relation, tail, time, qualifiers: what makes two rows the same statement


class GraphBuilder:
    """Collects triples and names and writes them as one version.

    Abilities: pieces of any size; literals declared by relation; provenance, time and qualifiers; building on a parent version, whose nodes
    and relations keep their ids, with or without all of its triples.
    Not supported: removing nodes and relations that the parent has.

    Args:
        store: folder of the versions; made if missing.
        literals: relation key -> datatype of its tails, for pieces without a datatype column.
        parent: the version to build on.
        without: ids of the parent's triples that are left out, sorted.

    Raises:
        KgError: a datatype is unknown; a text is no value of its declared datatype or holds a NUL; a declared relation never occurs.
    """

    def __init__(
        self,
        store: Path,
        *,
        literals: Mapping[str, str] | None = None,
        parent: KnowledgeGraph | None = None,
        without: Sequence[int] | NDArray[np.int64] = (),
    ) -> None:
        self.store = Path(store)
        self.parent = parent
        self._without = np.asarray(without, dtype=np.int64)
        self.rows = 0
        """Triples added, duplicates included."""
        self.duplicates = 0
        """Triples that were there already; known after `finish`."""
        self._literals = dict(literals or {})
        self._folder = versions.scratch(self.store)
        (self._folder / "files").mkdir()
        self._spilled: list[Path] = []
        self._settled = 0
        self._names = Names()
        known = _parent_texts(parent)
        self._nodes, self._relations = Vocabulary(known["nodes"]), Vocabulary(known["relations"])
        self._extras = {name: Vocabulary(known.get(name)) for name in EXTRAS}
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="settle")
        self._settling: Future[None] = self._thread.submit(lambda: None)

    def __enter__(self) -> GraphBuilder:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.discard()

    def discard(self) -> None:
        """Remove the scratch folder; harmless after `finish`."""
        self._thread.shutdown()
        shutil.rmtree(self._folder, ignore_errors=True)

    def add_triples(self, table: pa.Table) -> None:
        """Add triples as texts.

        Args:
            table: columns of `TRIPLE_SCHEMA`, all but head, relation and tail optional.
        """
        if not table.num_rows:
            return
        table = table.unify_dictionaries().combine_chunks()
        datatypes = declare(table, self._literals)
        bad = unparsable(table["tail"], datatypes)
        if len(bad):
            row = int(bad[0])
            kind, relation, tail = datatypes[row].as_py(), table["relation"][row].as_py(), table["tail"][row].as_py()
            raise KgError(f"{relation}: {tail!r} is no value of datatype {kind!r}; correct the source or the declared datatype")
        heads, tails = _plain(table["head"]), _plain(table["tail"])
        for name, texts in (("head", heads), ("relation", _plain(table["relation"])), ("tail", tails)):
            refuse_nul(texts, name)
            if texts.null_count:
                raise KgError(f"{name}: a key is null; every triple needs head, relation and tail")
        # Heads and tails are the same nodes in good part: encoded together, fewer texts are staged.
        ends = self._nodes.stage(pa.concat_arrays([heads, literal_texts(tails, datatypes)]))
        codes = [ends[: len(heads)], self._relations.stage(table["relation"]), ends[len(heads) :]]
        absent = pa.nulls(table.num_rows, pa.string())
        for name, vocabulary in self._extras.items():
            codes.append(vocabulary.stage(table[name] if name in table.column_names else absent))
        self._names.add_row_labels(table, datatypes)
        self._spill(np.stack(codes))
        self.rows += table.num_rows
        if any(vocabulary.crowded for vocabulary in (self._nodes, self._relations, *self._extras.values())):
            self._begin_settling()

    def add_entities(self, table: pa.Table) -> None:
        """Add names of entities: a key, and any of label, aliases, description, type, image; entities without triples become nodes too."""
        refuse_nul(table["key"], "entities.key")
        self._names.add(table, make_nodes=True)

    def add_names(self, table: pa.Table) -> None:
        """Add names of what may be entities or relations, as RDF files give them; a key that is a relation names the relation."""
        refuse_nul(table["key"], "names.key")
        self._names.add(table, make_nodes=False)

    def add_relations(self, table: pa.Table) -> None:
        """Add names of relations: a key, and any of label, aliases, description; relations without triples are kept too."""
        refuse_nul(table["key"], "relations.key")
        self._names.add(table, relations=True)

    def reserve(self, nodes: pa.Table, relations: pa.Array) -> None:
        """Give nodes (key, datatype) and relations their ids now, in the order given, after those that are known already."""
        self._settle()
        keys, datatypes = _plain(nodes["key"]), _plain(nodes["datatype"])
        refuse_nul(keys, "entities.key")
        self._nodes.stage(literal_texts(keys, datatypes))
        self._relations.stage(relations)
        self._nodes.settle(self._nodes.staged())
        self._relations.settle(self._relations.staged())

    def finish(self, about: Mapping[str, Any] | None = None) -> KnowledgeGraph:
        """Write the version and open it; the same content gives the version that is there already.

        Args:
            about: how the version came to be; kept in its manifest and no part of its identity.
        """
        try:
            self._nodes.stage(self._names.node_keys(set(self._relations_now())))
            self._relations.stage(self._names.relation_keys())
            self._settle()
            self._refuse_strange_texts()
            folder = self._folder / "files"
            named = self._thread.submit(self._write_names, folder)  # meanwhile
            counts = self._write_triples(folder) | named.result()
            parent = self.parent.version if self.parent is not None else None
            version = versions.publish(self.store, folder, counts, parent=parent, about=about)
        finally:
            self.discard()
        return KnowledgeGraph.open(self.store, version, verify=False)

    # Integers on disk

    def _spill(self, codes: Rows) -> None:
        path = self._folder / f"rows-{len(self._spilled)}.npy"
        np.save(path, codes)
        self._spilled.append(path)

    def _settle(self) -> None:
        """Turn all staged chunks' codes into final ids."""
        self._begin_settling()
        self._settling.result()

    def _begin_settling(self) -> None:
        """Let a thread turn the staged chunks' codes into final ids while further ones are staged, one such round at a time."""
        self._settling.result()
        staged = [vocabulary.staged() for vocabulary in (self._nodes, self._relations, *self._extras.values())]
        paths, self._settled = self._spilled[self._settled :], len(self._spilled)
        self._settling = self._thread.submit(self._settle_files, paths, staged)

    def _settle_files(self, paths: Sequence[Path], staged: Sequence[list[pa.Array]]) -> None:
        vocabularies = (self._nodes, self._relations, *self._extras.values())
        nodes, relations, *extras = [vocabulary.settle(texts) for vocabulary, texts in zip(vocabularies, staged, strict=True)]
        for place, path in enumerate(paths):
            codes = np.array(versions.map_array(path))
            mappings = [nodes[place], relations[place], nodes[place], *(extra[place] for extra in extras)]
            np.save(path, np.stack([mapping[column] for mapping, column in zip(mappings, codes, strict=True)]))

    def _relations_now(self) -> list[str]:
        self._settle()
        keys: list[str] = self._relations.texts.to_pylist()
        missing = [key for key in self._literals if key not in keys]
        if missing:
            shown = ", ".join(sorted(keys)[:12])
            raise KgError(f"literals.{missing[0]}: no triple has this relation; declare literals by relation key (keys: {shown})")
        return keys

    def _refuse_strange_texts(self) -> None:
        for name, vocabulary in self._extras.items():
            refuse_nul(vocabulary.texts, name)

    def _parent_rows(self) -> Iterator[Rows]:
        if self.parent is None:
            return
        columns = [self.parent.heads, self.parent.relation_ids, self.parent.tails]
        total = self.parent.num_triples
        for name in EXTRAS:
            columns.append(self.parent.extra_codes(name))
        for begin in range(0, total, _SLICE):
            rows = np.stack([np.asarray(column[begin : begin + _SLICE], dtype=np.int32) for column in columns])
            low, high = np.searchsorted(self._without, [begin, begin + _SLICE])
            yield np.delete(rows, self._without[low:high] - begin, axis=1) if high > low else rows

    def _all_rows(self) -> Iterator[Rows]:
        yield from self._parent_rows()
        for path in self._spilled:
            yield np.array(versions.map_array(path))

    def _write_names(self, folder: Path) -> dict[str, int]:
        """Write the tables of nodes and relations; return their counts."""
        entities = entity_table(self._nodes.texts, self._names, self.parent)
        relations = relation_table(self._relations.texts, self._names, self.parent)
        versions.write_table(folder / "entities.arrow", entities)
        versions.write_table(folder / "relations.arrow", relations)
        _write_key_order(folder, entities)
        return {"entities": len(entities), "literals": len(entities) - entities["datatype"].null_count, "relations": len(relations)}

    def _write_triples(self, folder: Path) -> dict[str, int]:
        """Sort the rows, drop duplicates, write the triples and both adjacencies; return their counts."""
        heads = np.zeros(len(self._nodes), dtype=np.int64)
        for rows in self._all_rows():
            heads += np.bincount(rows[_HEAD], minlength=len(heads))
        present = [name for name, vocabulary in self._extras.items() if len(vocabulary)]
        writers = {name: ArrayWriter(folder / f"{name}.npy", "<i4") for name in ("heads", "relation_ids", "tails", *present)}
        out, into, missing = np.zeros_like(heads), np.zeros_like(heads), dict.fromkeys(present, 0)
        columns = dict(zip(("heads", "relation_ids", "tails", *EXTRAS), range(6), strict=True))
        for rows in ahead(sort_rows(self._all_rows(), _STATEMENT, heads, self._folder / "forward")):
            kept = rows[:, first_of_equal(rows, _STATEMENT)]
            for name, writer in writers.items():
                writer.append(kept[columns[name]])
            for name in present:
                missing[name] += int((kept[columns[name]] < 0).sum())
            out += np.bincount(kept[_HEAD], minlength=len(out))
            into += np.bincount(kept[_TAIL], minlength=len(into))
        for writer in writers.values():
            writer.close()
        for name in present:
            versions.write_table(folder / f"{name}.arrow", pa.table({"text": self._extras[name].texts}))
        total = int(out.sum())
        self.duplicates = int(heads.sum()) - total
        _write_offsets(folder / "forward_offsets.npy", out)
        _write_backward(folder, into, self._folder / "backward")
        return {"triples": total} | {f"{name}_missing": count for name, count in missing.items()}


def _write_backward(folder: Path, counts: NDArray[np.int64], scratch: Path) -> None:
    """Write the edges sorted by tail, relation and head."""
    arrays = [versions.map_array(folder / f"{name}.npy") for name in ("tails", "relation_ids", "heads")]

    def chunks() -> Iterator[Rows]:
        for begin in range(0, len(arrays[0]), _SLICE):
            part = [np.asarray(array[begin : begin + _SLICE], dtype=np.int64) for array in arrays]
            yield np.stack([*part, np.arange(begin, begin + len(part[0]))])

    names = ("backward_relations", "backward_neighbours", "backward_triple_ids")
    writers = [ArrayWriter(folder / f"{name}.npy", dtype) for name, dtype in zip(names, ("<i4", "<i4", "<i8"), strict=True)]
    for rows in ahead(sort_rows(chunks(), (0, 1, 2), counts, scratch)):
        for writer, column in zip(writers, rows[1:], strict=True):
            writer.append(column)
    for writer in writers:
        writer.close()
    _write_offsets(folder / "backward_offsets.npy", counts)


def _write_offsets(path: Path, counts: NDArray[np.int64]) -> None:
    writer = ArrayWriter(path, "<i8")
    writer.append(np.zeros(1, dtype=np.int64))
    writer.append(np.cumsum(counts))
    writer.close()


def _write_key_order(folder: Path, entities: pa.Table) -> None:
    """Write the nodes in the order of key and datatype, through which one key is found by halving."""
    datatype = entities["datatype"].fill_null("")
    table = pa.table({"key": entities["key"], "datatype": datatype})
    several = [("datatype", "ascending")] if entities["datatype"].null_count < len(entities) else []
    indices = pc.sort_indices(table, sort_keys=[("key", "ascending"), *several])
    writer = ArrayWriter(folder / "key_order.npy", "<i4")
    writer.append(indices.to_numpy())
    writer.close()


def _parent_texts(parent: KnowledgeGraph | None) -> dict[str, Any]:
    """Return the vocabularies of the version that is built on."""
    if parent is None:
        return {"nodes": None, "relations": None}
    table = parent.entities.select(["key", "datatype"]).combine_chunks()
    nodes = literal_texts(_plain(table["key"]), _plain(table["datatype"]))
    texts = {name: versions.map_table(parent.root / f"{name}.arrow")["text"] for name in EXTRAS if parent.manifest.has(f"{name}.arrow")}
    return {"nodes": nodes, "relations": parent.relations["key"], **texts}


def _plain(column: pa.ChunkedArray) -> pa.Array:
    """Return a column as one large_string array, decoded."""
    whole = column.combine_chunks()
    return (whole.dictionary_decode() if pa.types.is_dictionary(whole.type) else whole).cast(pa.large_string())


def from_triples(
    folder: Path,
    triples: Iterable[tuple[str, str, str]],
    *,
    literals: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
    aliases: Mapping[str, Sequence[str]] | None = None,
    types: Mapping[str, str] | None = None,
    relation_labels: Mapping[str, str] | None = None,
    provenance: str = "given",
) -> KnowledgeGraph:
    """Build a small graph from Python tuples, for tests and examples.

    Args:
        folder: store to make.
        triples: head, relation and tail keys; a tail is a literal where its relation is in `literals`.
        literals: relation key -> datatype of its tails.
        labels: entity key -> label, where it is not the key.
        aliases: entity key -> further names.
        types: entity key -> type.
        relation_labels: relation key -> label, where it is not the key with spaces for underscores.
        provenance: where the triples came from.
    """
    rows = [*triples]
    names = sorted({*(labels or {}), *(aliases or {}), *(types or {})})
    with GraphBuilder(folder, literals=literals) as builder:
        if rows:
            heads, relations, tails = (pa.array(column, pa.string()) for column in zip(*rows, strict=True))
            given = pa.array([provenance] * len(rows)).dictionary_encode()
            builder.add_triples(pa.table({"head": heads, "relation": relations, "tail": tails, "provenance": given}))
        builder.add_entities(
            pa.table(
                {
                    "key": pa.array(names, pa.string()),
                    "label": pa.array([(labels or {}).get(key) for key in names], pa.string()),
                    "aliases": pa.array([list((aliases or {}).get(key, ())) for key in names], pa.list_(pa.string())),
                    "type": pa.array([(types or {}).get(key) for key in names], pa.string()),
                }
            )
        )
        if relation_labels:
            keys, texts = zip(*relation_labels.items(), strict=True)
            builder.add_relations(pa.table({"key": pa.array(keys, pa.string()), "label": pa.array(texts, pa.string())}))
        return builder.finish()

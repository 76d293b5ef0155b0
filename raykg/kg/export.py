"""Exporting a graph: its triples in any format that it can be imported from, slice by slice, so memory holds the names and one slice.

Importing an export gives the same triples. RDF formats carry labels, aliases, descriptions and types, but no provenance, time or
qualifiers; the others carry those, and their names go into a file of their own (`write_names`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raykg.kg.errors import KgError
from raykg.kg.graph import KnowledgeGraph
from raykg.kg.literals import long_datatype
from raykg.kg.rdf import ALIAS, DESCRIPTION, LABEL, RDF_TYPE, mint
from raykg.kg.triples import EXTRAS

_SLICE = 1 << 17
Progress = Callable[[int], None]
_ENDINGS = {
    ".tsv": "tsv",
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".nt": "ntriples",
    ".ttl": "turtle",
}


def export_graph(graph: KnowledgeGraph, path: Path, format: str | None = None, progress: Progress | None = None) -> int:  # noqa: A002
    """Write a graph's triples to a file; return how many.

    Args:
        graph: what to write.
        path: file to write; replaced only when all is written.
        format: tsv, csv, jsonl, parquet, ntriples or turtle; None: by the file's ending.
        progress: told of triples written.

    Raises:
        KgError: the ending or the format is unknown.
    """
    name = format or _ENDINGS.get(path.suffix.lower())
    if name not in _ENDINGS.values():
        raise KgError(f"{path}: no export format for {name or path.suffix!r}; one of {', '.join(sorted(set(_ENDINGS.values())))}")
    scratch = path.with_name(path.name + ".part")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        if name in ("ntriples", "turtle"):
            with scratch.open("wb") as file:
                _write_rdf(graph, file, progress)
        else:
            _write_tables(_triple_tables(graph, progress), scratch, str(name))
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)
    return graph.num_triples


def write_names(graph: KnowledgeGraph, path: Path) -> int:
    """Write the names of entities and relations to a TSV, CSV, JSONL or Parquet file that imports take as `entities`; return how many.

    Raises:
        KgError: the ending is unknown.
    """
    name = _ENDINGS.get(path.suffix.lower())
    if name not in ("tsv", "csv", "jsonl", "parquet"):
        raise KgError(f"{path}: names are written as .tsv, .csv, .jsonl or .parquet")
    columns = ["key", "label", "aliases", "description", "type", "image"]
    entities = graph.entities.filter(pc.is_null(graph.entities["datatype"])).select(columns)
    relations = graph.relations.select(columns[:4])
    for column in columns[4:]:
        relations = relations.append_column(column, pa.nulls(len(relations), pa.string()))
    table = pa.concat_tables([entities, relations])
    _write_tables(iter([table]), path, name)
    return len(entities) + len(relations)


def _triple_tables(graph: KnowledgeGraph, progress: Progress | None) -> Iterator[pa.Table]:
    """Yield the triples as texts, slice by slice."""
    triples = graph.triples
    keys, datatypes = graph.entities["key"].combine_chunks(), graph.entities["datatype"].combine_chunks()
    relations = graph.relations["key"].combine_chunks()
    extras = [name for name in EXTRAS if name in triples.column_names]
    for begin in range(0, graph.num_triples or 1, _SLICE):
        part = triples.slice(begin, _SLICE)
        columns = {
            "head": keys.take(part["head"].combine_chunks()),
            "relation": relations.take(part["relation"].combine_chunks()),
            "tail": keys.take(part["tail"].combine_chunks()),
            "datatype": datatypes.take(part["tail"].combine_chunks()),
        }
        yield pa.table(columns | {name: part[name].cast(pa.string()) for name in extras})
        if progress is not None:
            progress(begin + part.num_rows)


def _write_tables(tables: Iterator[pa.Table], path: Path, name: str) -> None:
    if name == "parquet":
        from pyarrow import parquet

        writer = None
        for table in tables:
            writer = writer or parquet.ParquetWriter(path, table.schema, compression="zstd")
            writer.write_table(table)
        if writer is not None:
            writer.close()
        return
    with path.open("wb") as file:
        for number, table in enumerate(tables):
            if name == "jsonl":
                _write_json(table, file)
                continue
            if number == 0:
                names = table.column_names
                file.write(("#" + "\t".join(names) if name == "tsv" else ",".join(names)).encode() + b"\n")
            texts = [_one_text(column) for column in table.columns]
            _write_lines(_joined([_tsv(text) if name == "tsv" else _csv(text) for text in texts], "\t" if name == "tsv" else ","), file)


def _write_rdf(graph: KnowledgeGraph, file: IO[bytes], progress: Progress | None) -> None:
    """Write N-Triples, which are Turtle too: first the names, then the triples."""
    entities = graph.entities
    terms = rdf_terms(entities["key"].combine_chunks(), entities["datatype"].combine_chunks())
    relations = rdf_terms(graph.relations["key"].combine_chunks(), pa.nulls(graph.num_relations, pa.string()))
    for table, subjects in ((entities, terms), (graph.relations, relations)):
        for begin in range(0, table.num_rows, _SLICE):
            write_name_statements(table.slice(begin, _SLICE), subjects.slice(begin, _SLICE), file)
    for begin in range(0, graph.num_triples, _SLICE):
        part = graph.triples.slice(begin, _SLICE)
        heads, tails = (terms.take(part[name].combine_chunks()) for name in ("head", "tail"))
        _write_statements(heads, relations.take(part["relation"].combine_chunks()), tails, file)
        if progress is not None:
            progress(begin + part.num_rows)


def write_name_statements(table: pa.Table, subjects: pa.Array, file: IO[bytes]) -> None:
    """Write labels, descriptions, types and aliases of some rows of `entities` or `relations` as N-Triples."""
    entity = pa.array(np.ones(len(subjects), dtype=np.bool_))
    if "datatype" in table.column_names:
        entity = pc.is_null(table["datatype"]).combine_chunks()
    for column, predicate in (("label", LABEL), ("description", DESCRIPTION), ("type", RDF_TYPE)):
        if column in table.column_names:
            texts = table[column].combine_chunks()
            mask = pc.and_(pc.is_valid(texts), entity)
            chosen = texts.filter(mask)
            objects = rdf_terms(chosen, pa.nulls(len(chosen), pa.string())) if column == "type" else _literal(chosen)
            _write_statements(subjects.filter(mask), _repeat(predicate, len(chosen)), objects, file)
    aliases = table["aliases"].combine_chunks()
    texts = pc.list_flatten(aliases)
    _write_statements(subjects.take(pc.list_parent_indices(aliases)), _repeat(ALIAS, len(texts)), _literal(texts), file)


def rdf_terms(keys: pa.Array, datatypes: pa.Array) -> pa.Array:
    """Return nodes as N-Triples terms."""
    keys = keys.cast(pa.large_string())
    iri = pc.match_substring_regex(keys, r'^[A-Za-z][A-Za-z0-9+.-]*:[^\x00-\x20<>"{}|^`\\]*$')
    iri = pc.and_(iri, pc.or_(pc.match_substring(keys, "://"), pc.starts_with(keys, "urn:")))
    iri = pc.and_(iri, pc.invert(pc.starts_with(keys, "urn:raykg:")))
    blank = pc.match_substring_regex(keys, r"^_:[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_-])?$")
    named = pc.replace_with_mask(keys, iri, _wrapped("<", keys.filter(iri), ">"))
    minted = pc.and_(pc.invert(pc.or_(iri, blank)), pc.is_null(datatypes))
    made = pa.array([mint(key) for key in keys.filter(minted).to_pylist()], pa.large_string())
    named = pc.replace_with_mask(named, minted, _wrapped("<", made, ">"))
    literal = pc.is_valid(datatypes)
    if not pc.any(literal).as_py():
        return named
    suffixes = {
        name: name if name.startswith("@") else "" if name == "string" else f"^^<{long_datatype(name)}>"
        for name in pc.unique(datatypes.drop_null()).to_pylist()
    }
    chosen = datatypes.filter(literal)
    index = pc.index_in(chosen, value_set=pa.array(list(suffixes), chosen.type))
    suffix = pa.array(list(suffixes.values()), pa.large_string()).take(index)
    texts = _joined([_literal(keys.filter(literal)), suffix], "")
    return pc.replace_with_mask(named, literal, texts)


def _literal(texts: pa.Array) -> pa.Array:
    for raw, escaped in (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\r", "\\r")):
        texts = pc.replace_substring(texts, raw, escaped)
    return _wrapped('"', texts.cast(pa.large_string()), '"')


def _tsv(texts: pa.Array) -> pa.Array:
    for raw, escaped in (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r")):
        texts = pc.replace_substring(texts, raw, escaped)
    return texts


def _csv(texts: pa.Array) -> pa.Array:
    needed = pc.match_substring_regex(texts, '[",\r\n]')
    return pc.replace_with_mask(texts, needed, _wrapped('"', pc.replace_substring(texts.filter(needed), '"', '""'), '"'))


def _write_json(table: pa.Table, file: IO[bytes]) -> None:
    """Write rows as JSON objects without their nulls."""
    import json

    for row in table.to_pylist():
        kept = {name: value for name, value in row.items() if value not in (None, [])}
        file.write(json.dumps(kept, ensure_ascii=False).encode() + b"\n")


def _one_text(column: pa.ChunkedArray) -> pa.Array:
    """Return a column as texts: nulls empty, lists joined by `|`."""
    whole = column.combine_chunks()
    if pa.types.is_list(whole.type):
        whole = pc.binary_join(whole, "|")
    return pc.fill_null(whole.cast(pa.large_string()), "")


def _joined(parts: list[pa.Array], mark: str) -> pa.Array:
    return pc.binary_join_element_wise(*parts, pa.scalar(mark, pa.large_string()))


def _wrapped(left: str, texts: pa.Array, right: str) -> pa.Array:
    kind = texts.type
    return pc.binary_join_element_wise(pa.scalar(left, kind), texts, pa.scalar(right, kind), pa.scalar("", kind))


def _repeat(predicate: str, count: int) -> pa.Array:
    return pa.repeat(pa.scalar(f"<{predicate}>", pa.large_string()), count)


def _write_statements(subjects: pa.Array, predicates: pa.Array, objects: pa.Array, file: IO[bytes]) -> None:
    _write_lines(_joined([subjects, predicates, objects, pa.repeat(pa.scalar(".", pa.large_string()), len(subjects))], " "), file)


def _write_lines(lines: pa.Array, file: IO[bytes]) -> None:
    """Write texts, a newline after each, from the array's own memory."""
    ended = _joined([lines, pa.repeat(pa.scalar("", pa.large_string()), len(lines))], "\n")
    if len(ended):
        offsets = np.frombuffer(ended.buffers()[1], dtype=np.int64)[ended.offset : ended.offset + len(ended) + 1]
        file.write(memoryview(ended.buffers()[2])[int(offsets[0]) : int(offsets[-1])])

"""Parquet: columns head, relation and tail, and any of datatype, provenance, time, qualifiers and labels.

A tail column of integers, decimals, booleans or dates makes literals of that datatype.

    raykg kg import 's3://bucket/triples/*.parquet' --store runs/graphs/mine
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from raykg.config.schema import PositiveInt, config, field
from raykg.kg.errors import KgError
from raykg.kg.files import SourceFile
from raykg.kg.formats import BadRow, Layout, Piece, excerpt

if TYPE_CHECKING:
    import pyarrow as pa

EXTENSIONS = (".parquet", ".pq")


@config
class Config:
    """How the file is read."""

    columns: Mapping[str, str] = field(default_factory=dict)
    """raykg's column -> the file's, where they differ: `{head: subject}`."""
    batch: PositiveInt = 131_072
    """Rows that are read at once."""


class Parquet:
    """Reads Parquet; a bad row is named by its number in the file, from 1, and has no byte offset.

    Abilities: text, binary and dictionary columns; typed tails; renamed columns; remote files read in part.
    Not supported: folders of partitions (name the files by a glob).
    """

    def __init__(self, config: Config) -> None:
        self.config = config

    def pieces(self, source: SourceFile, layout: Layout) -> Iterator[Piece]:
        """Read a file piece by piece, in bounded memory."""
        import pyarrow as pa
        from pyarrow import parquet

        names = {name: self.config.columns.get(name, name) for name in layout.known}
        with source.open(unpack=False) as file:
            try:
                opened = parquet.ParquetFile(file)
            except (pa.ArrowInvalid, OSError) as error:
                raise KgError(f"{source.path}: not a Parquet file: {error}") from None
            present = opened.schema_arrow.names
            missing = [names[name] for name in layout.required if names[name] not in present]
            if missing:
                found = ", ".join(present)
                raise KgError(f"{source.path}: no column {missing[0]!r} (columns: {found}); map names in the format's `columns`")
            wanted = {ours: theirs for ours, theirs in names.items() if theirs in present}
            row = 1
            for batch in opened.iter_batches(self.config.batch, columns=list(wanted.values()), use_threads=False):
                yield _piece(pa.Table.from_batches([batch]), wanted, layout, row, source)
                row += batch.num_rows


def _piece(table: pa.Table, names: Mapping[str, str], layout: Layout, row: int, source: SourceFile) -> Piece:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    columns: dict[str, pa.ChunkedArray] = {}
    problems: dict[int, BadRow] = {}

    def refuse(place: int, kind: str, reason: str, value: object = None) -> None:
        shown = excerpt(value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogateescape")) if value is not None else ""
        problems.setdefault(place, BadRow(kind, reason, row + place, None, shown))

    for ours, theirs in names.items():
        column = table[theirs]
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if ours == "tail" and (kind := _literal_type(column.type)):
            columns["datatype"] = pa.chunked_array([pa.array([kind] * len(column), pa.string())])
        if ours == "aliases" and pa.types.is_list(column.type):
            columns[ours] = column
            continue
        texts, broken = _texts(column, source, theirs)
        for place, value in broken.items():
            refuse(place, "utf-8", f"{theirs} is not UTF-8", value)
        columns[ours] = texts if ours not in columns else pc.coalesce(texts, columns[ours])
        for place in np.flatnonzero(pc.fill_null(pc.match_substring(texts, "\0"), False).to_numpy()).tolist():
            refuse(place, "nul", f"{theirs} holds a NUL character", texts[place].as_py())
        if ours in layout.required and texts.null_count:
            for place in np.flatnonzero(pc.is_null(texts).to_numpy()).tolist():
                refuse(place, "columns", f"no {theirs!r}")
    good = np.setdiff1d(np.arange(table.num_rows), np.fromiter(problems, dtype=np.int64, count=len(problems)))
    rows = pa.table(columns)
    if problems:
        rows = rows.take(pa.array(good))
    bad = [problems[place] for place in sorted(problems)]
    return Piece(rows, None, row + good, np.full(len(good), -1, dtype=np.int64), bad, table.num_rows)


def _literal_type(kind: pa.DataType) -> str | None:
    import pyarrow as pa

    if pa.types.is_integer(kind):
        return "integer"
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return "decimal"
    if pa.types.is_boolean(kind):
        return "boolean"
    return "date" if pa.types.is_date(kind) else None


def _texts(column: pa.ChunkedArray, source: SourceFile, name: str) -> tuple[pa.ChunkedArray, dict[int, bytes]]:
    """Return a column as texts, and the values that are no UTF-8 by row."""
    import pyarrow as pa

    if pa.types.is_nested(column.type):
        raise KgError(f"{source.path}: column {name!r} is of type {column.type}, expected texts")
    try:
        if pa.types.is_large_string(column.type) or pa.types.is_string(column.type):
            column.validate(full=True)
        return column.cast(pa.string()), {}
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        values = column.cast(pa.large_binary()).to_pylist()
    broken: dict[int, bytes] = {}
    texts: list[str | None] = []
    for place, value in enumerate(values):
        try:
            texts.append(value.decode() if value is not None else None)
        except UnicodeDecodeError:
            broken[place] = value
            texts.append("")
    return pa.chunked_array([pa.array(texts, pa.string())]), broken

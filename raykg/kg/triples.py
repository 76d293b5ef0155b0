"""The schemas of a graph's tables, and sorting more integer rows than fit into memory.

A triple is a row of integers: head, relation, tail, and one code for each of the optional texts (provenance, time, qualifiers). Sorting
deals the rows into files by ranges of their first column and sorts file by file, so memory holds one range, however many rows there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

EXTRAS = ("provenance", "time", "qualifiers")
"""Optional texts of a triple. Statements that differ in time or qualifiers are different; of equal ones the first keeps its provenance."""

TRIPLE_SCHEMA = pa.schema(
    [
        pa.field("head", pa.string(), nullable=False),
        pa.field("relation", pa.string(), nullable=False),
        pa.field("tail", pa.string(), nullable=False),
        pa.field("datatype", pa.string()),  # of the tail; null says that the tail is an entity
        pa.field("provenance", pa.string()),
        pa.field("time", pa.string()),
        pa.field("qualifiers", pa.string()),  # a JSON object
        pa.field("head_label", pa.string()),
        pa.field("tail_label", pa.string()),
    ]
)
"""Columns of triples as texts, as formats give them; all but the first three may be absent."""

ENTITY_SCHEMA = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),  # the source's id, IRI or name; unique together with datatype
        pa.field("label", pa.string(), nullable=False),
        pa.field("aliases", pa.list_(pa.string()), nullable=False),
        pa.field("description", pa.string()),
        pa.field("type", pa.string()),
        pa.field("datatype", pa.string()),  # null: an entity; otherwise a literal whose text is the key
        pa.field("value", pa.float64()),  # the number a literal stands for
        pa.field("image", pa.string()),  # path of an image that is the entity's attribute
    ]
)
RELATION_SCHEMA = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("label", pa.string(), nullable=False),
        pa.field("aliases", pa.list_(pa.string()), nullable=False),
        pa.field("description", pa.string()),
    ]
)

Rows = NDArray[np.integer[Any]]
"""Integer rows, stored by column: `[columns, rows]`."""

BUCKET_ROWS = 1 << 21
"""Rows that are sorted at once: about 150 MB with six columns."""


def sort_rows(
    chunks: Iterable[Rows], keys: Sequence[int], first_counts: NDArray[np.int64], folder: Path, bucket: int = BUCKET_ROWS
) -> Iterator[Rows]:
    """Yield the rows of all chunks in the order of their key columns, equal rows in the order they came.

    Args:
        chunks: the rows, `[columns, rows]` each.
        keys: column numbers, the most significant first.
        first_counts: how many rows have each value of the first key column.
        folder: where files for the ranges are kept meanwhile.
        bucket: how many rows to sort at once, unless one value alone has more.
    """
    total = int(first_counts.sum())
    if total <= bucket:
        gathered = list(chunks)
        if gathered:
            yield _sorted(np.concatenate(gathered, axis=1), keys)
        return
    number = (np.cumsum(first_counts) - 1) // bucket  # range of each value; -1 for leading values without rows
    number = np.maximum(number, 0)
    folder.mkdir(parents=True, exist_ok=True)
    files: dict[int, IO[bytes]] = {}
    try:
        shape, dtype = _deal(chunks, keys[0], number, folder, files)
        for place in sorted(files):
            files[place].seek(0)
            yield _sorted(np.fromfile(files[place], dtype=dtype).reshape(-1, shape).T, keys)
            files.pop(place).close()
            (folder / f"range-{place}").unlink()
    finally:
        for file in files.values():
            file.close()


def _deal(chunks: Iterable[Rows], column: int, number: NDArray[np.int64], folder: Path, files: dict[int, IO[bytes]]) -> tuple[int, Any]:
    """Append the rows of each chunk to the file of their range; return the number of columns and the type."""
    shape = 0
    dtype: Any = np.int32
    for chunk in chunks:
        shape, dtype = chunk.shape[0], chunk.dtype
        place = number[chunk[column]]
        order = np.argsort(place, kind="stable")
        places, starts = np.unique(place[order], return_index=True)
        rows = np.ascontiguousarray(chunk.T)[order]  # whole rows: each is in one place of the memory
        for at, begin, end in zip(places.tolist(), starts, np.r_[starts[1:], len(order)], strict=True):
            if at not in files:
                files[at] = (folder / f"range-{at}").open("w+b")
            rows[begin:end].tofile(files[at])
    return shape, dtype


def _sorted(rows: Rows, keys: Sequence[int]) -> Rows:
    """Sort rows by key columns, through one packed integer where the columns' values fit into 63 bits."""
    low = [int(rows[key].min(initial=0)) for key in keys]
    bits = [int(int(rows[key].max(initial=0)) - least).bit_length() for key, least in zip(keys, low, strict=True)]
    if sum(bits) > 63:
        return rows[:, np.lexsort([rows[key] for key in reversed(keys)])]
    packed = np.zeros(rows.shape[1], dtype=np.int64)
    for key, least, width in zip(keys, low, bits, strict=True):
        packed = (packed << width) | (rows[key].astype(np.int64) - least)
    return _taken(rows, np.argsort(packed, kind="stable"))


def _taken(rows: Rows, order: NDArray[np.int64]) -> Rows:
    """Return the rows in another order; those read from a file lie row by row, and are moved as they lie."""
    return rows.T[order].T if rows.T.flags.c_contiguous else rows[:, order]


def first_of_equal(rows: Rows, keys: Sequence[int]) -> NDArray[np.bool_]:
    """Tell for each of the sorted rows whether it is the first with its keys; `[rows]`."""
    first = np.ones(rows.shape[1], dtype=np.bool_)
    if rows.shape[1]:
        first[1:] = np.any(np.stack([rows[key, 1:] != rows[key, :-1] for key in keys]), axis=0)
    return first

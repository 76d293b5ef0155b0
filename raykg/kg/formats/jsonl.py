"""JSON Lines: one triple a line, an object with head, relation and tail, and any of datatype, provenance, time, qualifiers and labels.

A tail may be a JSON number or boolean and then is a literal of datatype integer, decimal or boolean; qualifiers may be an object.

    {"head": "tt0078748", "relation": "release_year", "tail": 1979, "provenance": "omdb"}
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from raykg.config.schema import config, field
from raykg.kg.files import Block, SourceFile, line_blocks
from raykg.kg.formats import BadRow, Layout, Piece, excerpt

if TYPE_CHECKING:
    import pyarrow as pa

EXTENSIONS = (".jsonl", ".ndjson", ".json")
_BLOCK = 1 << 22  # bytes; a block with an odd row is read row by row


@config
class Config:
    """How the file is written."""

    columns: Mapping[str, str] = field(default_factory=dict)
    """raykg's column -> the file's, where they differ: `{head: subject}`."""


class Jsonl:
    """Reads JSON Lines.

    Abilities: numbers and booleans as typed literals, nested qualifiers, renamed keys, packed files; unknown keys are skipped.
    Not supported: one JSON array of all triples.
    """

    def __init__(self, config: Config) -> None:
        self.config = config

    def pieces(self, source: SourceFile, layout: Layout) -> Iterator[Piece]:
        """Read a file piece by piece, in bounded memory."""
        names = {name: self.config.columns.get(name, name) for name in layout.known}
        with source.open() as file:
            for block in line_blocks(file, _BLOCK):
                yield _fast(block, layout, names) or _slow(block, layout, names)


def _fast(block: Block, layout: Layout, names: Mapping[str, str]) -> Piece | None:
    """Read a block in which every value is a text by Arrow; None where anything is odd."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyarrow import json as arrow_json

    data = np.frombuffer(block.data, dtype=np.uint8)
    newlines = np.flatnonzero(data == 10)
    starts = np.r_[0, newlines + 1] if block.data[-1:] != b"\n" else np.r_[0, newlines[:-1] + 1]
    if not (data[starts] == ord("{")).all() or b"\\u0000" in block.data or "aliases" in layout.known:
        return None
    types = pa.schema([(theirs, pa.string()) for theirs in names.values()])
    options = arrow_json.ParseOptions(explicit_schema=types, unexpected_field_behavior="ignore")
    reading = arrow_json.ReadOptions(use_threads=False, block_size=len(block.data) + 1)
    try:
        block.data.decode()
        table = arrow_json.read_json(pa.py_buffer(block.data), read_options=reading, parse_options=options)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, UnicodeDecodeError):
        return None
    columns = {ours: table[theirs] for ours, theirs in names.items() if table[theirs].null_count < table.num_rows}
    if table.num_rows != len(starts) or any(name not in columns or columns[name].null_count for name in layout.required):
        return None
    if b"\0" in block.data or any(pc.any(pc.match_substring(column, "\0")).as_py() for column in columns.values()):
        return None
    return Piece(pa.table(columns), None, block.line + np.arange(len(starts)), block.offset + starts, (), len(starts))


def _slow(block: Block, layout: Layout, names: Mapping[str, str]) -> Piece:
    """Read a block line by line."""
    import numpy as np

    rows: list[dict[str, Any]] = []
    places: list[tuple[int, int]] = []
    bad: list[BadRow] = []
    offset = block.offset
    for line, raw in enumerate(_lines(block.data), block.line):
        if raw.strip():
            found = _row(raw, layout, names)
            if isinstance(found, dict):
                rows.append(found)
                places.append((line, offset))
            else:
                bad.append(BadRow(*found, line, offset, excerpt(raw)))
        offset += len(raw)
    at = np.array(places, dtype=np.int64).reshape(-1, 2)
    return Piece(_table(rows, layout), None, at[:, 0], at[:, 1], bad, len(rows) + len(bad))


def _lines(data: bytes) -> list[bytes]:
    return [line + b"\n" for line in data.split(b"\n")[:-1]] + ([data[data.rfind(b"\n") + 1 :]] if not data.endswith(b"\n") else [])


def _row(raw: bytes, layout: Layout, names: Mapping[str, str]) -> dict[str, Any] | tuple[str, str]:
    """Return a line's row, or kind and reason of what is wrong with it."""
    if b"\0" in raw:
        return "nul", "a NUL byte"
    try:
        found = json.loads(raw)
    except UnicodeDecodeError as error:
        return "utf-8", f"byte {error.start} of the row (0x{raw[error.start]:02x}) is not UTF-8"
    except json.JSONDecodeError as error:
        return "syntax", f"not a JSON object: {error.msg} at character {error.pos}"
    except (ValueError, RecursionError) as error:
        return "syntax", f"not a JSON object: {error}"
    if not isinstance(found, dict):
        return "syntax", f"a JSON {type(found).__name__}, expected an object"
    row = {ours: found[theirs] for ours, theirs in names.items() if found.get(theirs) is not None}
    for name in layout.required:
        if name not in row:
            return "columns", f"no {names[name]!r}"
    tail = row.get("tail")
    if isinstance(tail, bool | int | float):
        kind = {bool: "boolean", int: "integer", float: "decimal"}[type(tail)]
        row["tail"], row["datatype"] = json.dumps(tail), row.get("datatype", kind)
    if isinstance(row.get("qualifiers"), dict):
        row["qualifiers"] = json.dumps(row["qualifiers"], ensure_ascii=False, sort_keys=True)
    for name, value in row.items():
        if name == "aliases" and isinstance(value, list) and all(isinstance(alias, str) for alias in value):
            value = "".join(value)
        elif not isinstance(value, str):
            return "syntax", f"{names[name]!r} is {json.dumps(value)[:40]}, expected a text"
        if "\0" in value:
            return "nul", f"{names[name]!r} holds a NUL character"
        if any("\ud800" <= letter <= "\udfff" for letter in value):
            return "utf-8", f"{names[name]!r} holds half a surrogate pair"
    return row


def _table(rows: list[dict[str, Any]], layout: Layout) -> pa.Table:
    import pyarrow as pa

    types = {name: pa.list_(pa.string()) if name == "aliases" else pa.string() for name in layout.known}
    used = [name for name in layout.known if name in layout.required or any(name in row for row in rows)]
    return pa.table({name: pa.array([row.get(name) for row in rows], types[name]) for name in used})

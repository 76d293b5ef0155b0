"""Importing: files of any format into a version of a store, streamed, with every bad row accounted for.

    graph, summary = import_graph(store, ["kb.txt"], format=chosen("raykg.kg.formats", "tsv", delimiter="|"))

A row that cannot be taken goes to a dead-letter file, one JSON object a line: source, line, byte_offset, kind, reason, excerpt. More of
them than `max_bad_rows` stop the import, and nothing is published.
"""

from __future__ import annotations

import json
import lzma
import secrets
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from raykg.config.choice import Chosen, chosen, names
from raykg.kg import mirror
from raykg.kg.ahead import ahead
from raykg.kg.build import GraphBuilder
from raykg.kg.errors import ImportStopped, KgError
from raykg.kg.files import SourceFile, expand
from raykg.kg.formats import FOLDER, NAMES, TRIPLES, BadRow, Format, Layout, Piece, excerpt
from raykg.kg.graph import KnowledgeGraph
from raykg.kg.literals import declare, unparsable

LONGEST_LITERAL = 1 << 20  # bytes
Progress = Callable[[str, int], None]
"""Called with the file's name and the rows read so far."""


@dataclass(frozen=True, kw_only=True)
class ImportSummary:
    """What an import did."""

    version: str
    read: int
    """Rows read: triples, names between them, bad rows."""
    taken: int
    """Good triples."""
    duplicates: int
    """Good triples that were there already."""
    names: int
    """Statements that name something, in RDF, and rows of the entities file."""
    bad: Mapping[str, int] = field(default_factory=dict)
    """Bad rows by kind."""
    bad_rows: Path | None = None
    """Dead-letter file, None where no row was bad."""
    seconds: float = 0.0


def import_graph(
    store: Path,
    sources: Sequence[str],
    *,
    format: Chosen | None = None,  # noqa: A002  # the config's word
    literals: Mapping[str, str] | None = None,
    closed_vocabulary: str | None = None,
    entities: str | None = None,
    parent: KnowledgeGraph | None = None,
    max_bad_rows: int = 0,
    provenance: str | None = None,
    progress: Progress | None = None,
) -> tuple[KnowledgeGraph, ImportSummary]:
    """Import files into a new version.

    Args:
        store: folder of the versions.
        sources: names, globs and URLs.
        format: how the files are written; None: by each file's ending.
        literals: relation key -> datatype of its tails.
        closed_vocabulary: file of entity keys, one a line; a row with another entity is bad.
        entities: file with names of entities and relations: key, and any of label, aliases (parted by `|`), description, type, image.
        parent: version to build on; its nodes keep their ids.
        max_bad_rows: how many bad rows are borne.
        provenance: what all triples without a provenance column came from; None: the file's name.
        progress: told of rows read.

    Raises:
        ImportStopped: there were more bad rows than allowed.
        KgError: a source is not there or cannot be read as a whole.
    """
    begin = time.monotonic()
    files = expand(sources)
    letters = _DeadLetters(Path(store) / "bad-rows", max_bad_rows)
    with letters, GraphBuilder(store, literals=literals, parent=parent) as builder:
        intake = _Intake(builder, letters, literals or {}, _closed(closed_vocabulary), provenance, progress)
        for file in files:
            intake.take_file(file, reader(file, format))
        for table in _entity_tables(entities, letters):
            intake.take_names(table)
        if not builder.rows:
            raise KgError(f"{sources[0]}: no triple in {len(files)} file(s), {intake.read:,} rows read; check the format and its delimiter")
        about = {"sources": [file.name for file in files], "read": intake.read, "bad": dict(letters.counts)}
        graph = builder.finish(about)
    mirror.keep(Path(store), without=["tmp"])
    summary = ImportSummary(
        version=graph.version,
        read=intake.read,
        taken=builder.rows,
        duplicates=builder.duplicates,
        names=intake.names,
        bad=dict(letters.counts),
        bad_rows=letters.path,
        seconds=time.monotonic() - begin,
    )
    return graph, summary


@dataclass
class _Intake:
    """Moves what files give into the builder and counts it."""

    builder: GraphBuilder
    letters: _DeadLetters
    literals: Mapping[str, str]
    closed: pa.Array | None
    provenance: str | None
    progress: Progress | None
    read: int = 0
    names: int = 0

    def take_file(self, file: SourceFile, format: Format) -> None:  # noqa: A002  # the config's word
        for piece in ahead(_pieces(format, file, TRIPLES)):
            self.read += piece.read
            self.letters.write(file, piece.bad)
            if piece.rows is not None and piece.rows.num_rows:
                rows, bad = _sift(piece.rows, piece, self.literals, self.closed)
                self.letters.write(file, bad)
                self.builder.add_triples(_with_provenance(rows, self.provenance or file.name))
            if piece.names is not None:
                self.take_names(piece.names)
            if self.progress is not None:
                self.progress(file.name, self.read)

    def take_names(self, table: pa.Table) -> None:
        self.builder.add_names(table)
        self.names += table.num_rows


def reader(file: SourceFile, format: Chosen | None) -> Format:  # noqa: A002  # the config's word
    """Return the reader of a file: of the format given, or by the file's ending.

    Raises:
        KgError: no format has this ending.
    """
    format = format or _by_ending(file)
    made: Format = format.method()(format.config)
    return made


def _pieces(format: Format, file: SourceFile, layout: Layout) -> Iterator[Piece]:  # noqa: A002  # the config's word
    """Read a file piece by piece; what a file system or an unpacker raises names the file."""
    pieces = format.pieces(file, layout)
    while True:
        try:
            piece = next(pieces, None)
        except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
            raise KgError(f"{file.path}: cannot be read: {error}") from error
        if piece is None:
            return
        yield piece


def _by_ending(file: SourceFile) -> Chosen:
    known: dict[str, str] = {}
    for name in names(FOLDER):
        found = chosen(FOLDER, name)
        known |= dict.fromkeys(found.module().EXTENSIONS, name)
        if file.suffix in found.module().EXTENSIONS:
            return found
    endings = ", ".join(f"{ending} ({name})" for ending, name in known.items())
    raise KgError(f"{file.path}: no format has the ending {file.suffix!r} (known: {endings}); choose one by `format`")


def _sift(rows: pa.Table, piece: Piece, literals: Mapping[str, str], closed: pa.Array | None) -> tuple[pa.Table, list[BadRow]]:
    """Part a piece's rows into those that can be stored and those that cannot, whatever their format."""
    problems: dict[int, tuple[str, str]] = {}
    datatypes = declare(rows, literals)
    for column in ("tail", "head", "relation"):
        for row in _rows(pc.equal(rows[column], "")) if column != "tail" else _rows(_empty_entity(rows["tail"], datatypes)):
            problems[row] = ("empty", f"{column} is empty")
        for row in _rows(pc.greater(pc.binary_length(rows[column]), LONGEST_LITERAL)):
            length = pc.binary_length(rows[column][row]).as_py()
            problems[row] = ("too long", f"a text of {length:,} bytes, at most {LONGEST_LITERAL:,} are taken")
    for row in unparsable(rows["tail"], datatypes).tolist():
        problems.setdefault(row, ("datatype", f"tail {_short(rows['tail'][row])} is no value of datatype {datatypes[row].as_py()}"))
    if closed is not None:
        for column in ("head", "tail"):
            unknown = pc.invert(pc.is_in(rows[column].cast(closed.type), value_set=closed))
            unknown = unknown if column == "head" else pc.and_(unknown, pc.is_null(datatypes))
            for row in _rows(unknown):
                problems.setdefault(row, ("unknown entity", f"{column} {_short(rows[column][row])} is not in the closed vocabulary"))
    if not problems:
        return rows, []
    bad = []
    for row in sorted(problems):
        kind, reason = problems[row]
        text = "\t".join(str(rows[column][row])[:200] for column in ("head", "relation", "tail"))
        line, offset = int(piece.lines[row]), int(piece.offsets[row])
        bad.append(BadRow(kind, reason, line or None, offset if offset >= 0 else None, excerpt(text.encode("utf-8", "replace"))))
    keep = np.setdiff1d(np.arange(rows.num_rows), np.fromiter(problems, dtype=np.int64, count=len(problems)))
    return rows.take(pa.array(keep)), bad


def _empty_entity(tails: pa.ChunkedArray, datatypes: pa.Array) -> pa.ChunkedArray:
    return pc.and_(pc.equal(tails, ""), pc.is_null(datatypes))  # an empty text may be a literal


def _rows(mask: pa.ChunkedArray | pa.Array) -> list[int]:
    filled: NDArray[np.bool_] = np.asarray(pc.fill_null(mask, False))
    found: list[int] = np.flatnonzero(filled).tolist()
    return found


def _short(value: pa.Scalar) -> str:
    return repr(str(value.as_py())[:80])


def _with_provenance(rows: pa.Table, name: str) -> pa.Table:
    if "provenance" not in rows.column_names:
        codes = pa.array(np.zeros(rows.num_rows, dtype=np.int32))
        return rows.append_column("provenance", pa.DictionaryArray.from_arrays(codes, pa.array([name])))
    column = pc.fill_null(rows["provenance"].cast(pa.string()), name)
    return rows.set_column(rows.schema.get_field_index("provenance"), "provenance", column)


def _closed(path: str | None) -> pa.Array | None:
    """Return the keys of a closed vocabulary: the lines of a file, up to their first tab."""
    if path is None:
        return None
    with expand([path])[0].open() as file:
        try:
            lines = file.read().decode().splitlines()
        except UnicodeDecodeError as error:
            raise KgError(f"{path}: the closed vocabulary is not UTF-8: {error}") from None
    return pa.array([line.split("\t")[0] for line in lines if line], pa.large_string())


def _entity_tables(path: str | None, letters: _DeadLetters) -> Iterator[pa.Table]:
    """Read the file of names; its bad rows count as any others."""
    for file in expand([path]) if path else ():
        for piece in _pieces(reader(file, None), file, NAMES):
            letters.write(file, piece.bad)
            if piece.rows is None or not piece.rows.num_rows:
                continue
            rows = piece.rows
            if "aliases" in rows.column_names and not pa.types.is_list(rows["aliases"].type):
                lists = pc.split_pattern(pc.fill_null(rows["aliases"], ""), "|")
                rows = rows.set_column(rows.schema.get_field_index("aliases"), "aliases", lists)
            yield rows


class _DeadLetters:
    """Writes bad rows to a file that exists only if there are some, and stops when there are too many."""

    def __init__(self, folder: Path, allowed: int) -> None:
        self.counts: Counter[str] = Counter()
        self.path: Path | None = None
        self._folder, self._allowed = folder, allowed
        self._file: IO[str] | None = None
        self._last = ""

    def __enter__(self) -> _DeadLetters:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None and self.path is not None:
            self._file.close()
            mirror.keep(self.path)

    def write(self, source: SourceFile, bad: Sequence[BadRow]) -> None:
        """Keep bad rows; raises when they pass what is allowed."""
        for row in bad:
            if self._file is None:
                self._folder.mkdir(parents=True, exist_ok=True)
                self.path = self._folder / f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(4)}.jsonl"
                self._file = self.path.open("w", encoding="utf-8")
            letter: dict[str, Any] = {"source": source.path, "line": row.line, "byte_offset": row.byte_offset}
            letter |= {"kind": row.kind, "reason": row.reason, "excerpt": row.excerpt}
            self._file.write(json.dumps(letter, ensure_ascii=False) + "\n")
            self.counts[row.kind] += 1
            if sum(self.counts.values()) == self._allowed + 1:
                self._last = f"{source.path}:{row.line if row.line is not None else '?'}: {row.reason}"
        self.check()

    def check(self) -> None:
        """Raise if there are more bad rows than allowed."""
        total = sum(self.counts.values())
        if total <= self._allowed:
            return
        if self._file is not None:
            self._file.flush()
        raise ImportStopped(
            f"{self._last}; {total:,} bad row{'s' if total > 1 else ''} so far, max_bad_rows allows {self._allowed:,}; "
            f"see {mirror.shown(self.path) if self.path else self._folder}, then correct the source or raise max_bad_rows (--max-bad-rows)"
        )

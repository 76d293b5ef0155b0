"""N-Triples: one RDF statement a line; labels, aliases, descriptions and types become names, everything else triples.

Specification: RDF 1.1 N-Triples, W3C Recommendation 2014. Lines that are three plain IRIs are taken as columns; all others are read by
Oxigraph's parser in blocks, and a block that it refuses again in ever smaller parts, so every bad line is found with its number and byte
offset.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal

from raykg.config.schema import config
from raykg.kg.errors import KgError
from raykg.kg.files import Block, SourceFile, line_blocks
from raykg.kg.formats import BadRow, Layout, Piece, excerpt

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from raykg.kg.rdf import Statements

EXTENSIONS = (".nt", ".ntriples")
_PARSED = 30_000  # lines that a parser reads at once: a few tens of MB as Python objects


@config
class Config:
    """How statements are taken."""

    types: Literal["column", "triples"] = "column"
    """Whether `rdf:type` fills the entity's type (the first one) or stays a relation."""
    languages: tuple[str, ...] = ("en",)
    """Languages of labels and descriptions, the preferred first; texts without a language come next, others last."""


class Ntriples:
    """Reads N-Triples.

    Abilities: typed and language-tagged literals, blank nodes (those of different files stay apart), comments, packed files.
    Not supported: quoted triples, quads.
    """

    def __init__(self, config: Config) -> None:
        self.config = config

    def pieces(self, source: SourceFile, layout: Layout) -> Iterator[Piece]:
        """Read a file piece by piece, in bounded memory."""
        if "head" not in layout.required:
            raise KgError(f"{source.path}: a table of names is expected; N-Triples go with the other sources, their labels are read there")
        with source.open() as file:
            for block in line_blocks(file):
                yield self._read(block, source)

    def _read(self, block: Block, source: SourceFile) -> Piece:
        """Take lines that are three plain IRIs as columns, and parse all others."""
        import numpy as np
        import pyarrow as pa

        from raykg.kg.iri_lines import iri_rows
        from raykg.kg.rdf import Statements

        statements = Statements(self.config.types, self.config.languages, source.scope)
        lines, starts, ends = _content_lines(block)
        plain, rows = iri_rows(block.data, starts, ends)
        other = np.flatnonzero(~plain)
        parsed, problems = _parse([block.data[start:end] for start, end in zip(starts[other], ends[other], strict=True)], statements)
        bad = [
            _bad(raw, problem, block.line + int(lines[other[at]]), block.offset + int(starts[other[at]])) for at, raw, problem in problems
        ]
        triples, names, kept = statements.plain(rows)
        of_plain, of_parsed = np.flatnonzero(plain), other[np.array(parsed, dtype=np.int64)]
        places = np.concatenate([of_plain[kept], of_parsed[statements.places()]])
        found = [table for table in (names, statements.name_table()) if table is not None]
        named = np.concatenate([np.delete(of_plain, kept), of_parsed[statements.name_places()]])
        return Piece(
            pa.concat_tables([triples, statements.rows()]) if statements.count else triples,
            pa.concat_tables(found).take(np.argsort(named, kind="stable")) if found else None,  # of several types the first line's counts
            block.line + lines[places],
            block.offset + starts[places],
            bad,
            rows.num_rows + statements.count + len(bad),
        )


def _content_lines(block: Block) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return number, begin and end in bytes, from 0, of the lines that hold more than blanks or a comment."""
    import numpy as np

    data = np.frombuffer(block.data, dtype=np.uint8)
    starts = np.r_[0, np.flatnonzero(data == 10) + 1]
    starts = starts[starts < len(data)]
    ends = np.append(starts[1:], len(data))
    first = data[starts]
    blank = np.isin(first, (9, 10, 13, 32))
    held = ~blank & (first != ord("#"))
    for line in np.flatnonzero(blank).tolist():  # few: an indented line, an empty one
        text = block.data[starts[line] : ends[line]].lstrip(b" \t\r\n")
        held[line] = bool(text) and not text.startswith(b"#")
    return np.flatnonzero(held), starts[held], ends[held]


def _parse(lines: Sequence[bytes], statements: Statements) -> tuple[list[int], list[tuple[int, bytes, str]]]:
    """Parse lines, or each part of them where one is bad; return which were taken, and number, bytes and problem of the others."""
    import pyoxigraph

    taken: list[int] = []
    bad: list[tuple[int, bytes, str]] = []
    parts = [(low, min(low + _PARSED, len(lines))) for low in reversed(range(0, len(lines), _PARSED))]
    while parts:
        begin, end = parts.pop()
        if begin == end:
            continue
        part = b"".join(lines[begin:end])
        try:
            found = list(pyoxigraph.parse(input=part, format=pyoxigraph.RdfFormat.N_TRIPLES)) if b"\0" not in part else []
            problem = "" if len(found) == end - begin else "not one statement, or it does not end on its line"
        except SyntaxError as error:
            found, problem = [], _without_place(str(error.msg))
        if not problem:
            for statement in found:
                statements.add(statement)
            taken.extend(range(begin, end))
        elif end - begin > 1:
            step = max(1, (end - begin) // 16)
            parts.extend((low, min(low + step, end)) for low in reversed(range(begin, end, step)))
        else:
            bad.append((begin, part.split(b"\n")[0], problem))
    return taken, bad


def _bad(raw: bytes, problem: str, line: int, offset: int) -> BadRow:
    kind, reason = "syntax", problem
    if b"\0" in raw:
        kind, reason = "nul", "a NUL byte"
    else:
        try:
            raw.decode()
        except UnicodeDecodeError as error:
            kind, reason = "utf-8", f"byte {error.start} of the row (0x{raw[error.start]:02x}) is not UTF-8"
    return BadRow(kind, reason, line, offset, excerpt(raw))


def _without_place(message: str) -> str:
    """Return the parser's message without its position, which counts from the part that it was given."""
    return re.sub(r"^Parser error at line \d+ ", "", message)
